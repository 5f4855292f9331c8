"""What others wrote gives no orders to a terminal, and never ends in a traceback."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from zoo.cli import main, output

CLI = Path(__file__).parents[1] / "cli"
ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_everything_is_printed_in_one_place():
    """click's own words alone are not ours: its usage errors, `interrupted`."""
    found = {
        (path.name, line.strip())
        for path in CLI.glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"click\.s?echo|\bprint\(|stdout\.write", line)
    }
    allowed = {
        ("__init__.py", 'click.echo("interrupted", err=True)'),
        ("doctor.py", 'print(json.dumps({"detail": CHECKS[name][0]()}), flush=True)'),
        ("doctor.py", 'print(json.dumps({"detail": first[:300]}), flush=True)'),
        ("export.py", """'print(tf.saved_model.load(sys.argv[1]).signatures["serving_default"]'"""),
    }
    assert {item for item in found if item[0] != "output.py"} == allowed


@pytest.mark.parametrize("err", [False, True])
def test_echo(capsys, err):
    output.echo("a\x1b[2J\x9bm\r狗\udcff\tb\n", err=err, nl=False)
    assert capsys.readouterr()[err] == "a\ufffd[2J\ufffdm\ufffd狗\ufffd\tb\n"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_terminal_of_few_letters(monkeypatch, name):
    written = io.BytesIO()
    monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding="latin-1"))
    output.echo("Hündchen 狗\x1b", err=name == "stderr")
    getattr(sys, name).flush()
    assert written.getvalue() == b"H\xfcndchen \\u72d7\\ufffd\n"


def test_tables_and_json(capsys):
    rows = [{"name": "a\x1b]0;owned\x07\nb", "n": None}]
    output.table(rows)
    assert capsys.readouterr().out == "a\ufffd]0;owned\ufffd b\n"
    output.table(rows, as_json=True)
    assert not ORDERS.search(capsys.readouterr().out)
    output.print_json({"a": "\x1b\x9b\u2028狗"})
    assert capsys.readouterr().out == '{\n  "a": "\\u001b\\u009b\\u2028狗"\n}\n'


def test_a_mistake_of_the_user(tmp_path):
    """File names and keys stand in messages."""
    recipe = tmp_path / "a\x1b[31m.yaml"
    recipe.write_text('task: "\\e[2J"\n"\\e]0;owned\\a": 1\n', encoding="utf-8")
    done = CliRunner().invoke(main, ["validate", str(recipe)])
    assert done.exit_code == 2 and "\ufffd[31m.yaml" in done.stderr
    assert not ORDERS.search(done.output)
