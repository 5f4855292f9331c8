"""Commands that need no model answer at once and never import TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from zoo.cli import COMMANDS, main, output

from zoo import __version__, hub, registry

DATES = "translation/dates-multi-lstm-tiny"
HEAVY = {"tensorflow", "keras", "numpy", "jax"}
RUN = """
import sys
from zoo.cli import main
code = 0
try:
    main(sys.argv[1:], prog_name="zoo")
except SystemExit as end:
    code = end.code
print("loaded:", *sorted(set(sys.modules) & {heavy}), file=sys.stderr)
sys.exit(code)
"""


def zoo(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in its own process; the last line of standard error says what heavy modules it loaded."""
    program = RUN.replace("{heavy}", repr(HEAVY))
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=cwd)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("ls",),
        ("ls", "layers", "--json"),
        ("ls", "runs"),
        ("show", DATES),
        ("show", DATES, "--resolved"),
        ("cp", DATES, "mine.yaml"),
        ("validate", DATES),
        ("schema",),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = zoo(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "loaded:"


def test_help_is_quick() -> None:
    """0.3 s on a quiet machine; a machine that does other things too gets three times as long."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from zoo.cli import main; main(['--help'])"], capture_output=True
        )
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.9


def test_help_lists_every_command_and_each_is_there() -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout
    for name, line in COMMANDS.items():
        assert f"  {name} " in shown
        assert line in shown
        assert main.get_command(None, name).name is not None


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"zoo {__version__}\n"


def test_unknown_command() -> None:
    result = CliRunner().invoke(main, ["trian"])
    assert result.exit_code == 2
    assert "no command is called 'trian', did you mean 'train'?" in result.stderr


def test_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(hub, "recipe_names", interrupted)
    result = CliRunner().invoke(main, ["ls", "recipes"])
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "interrupted\n")


def test_a_reader_that_goes_away() -> None:
    command = f'"{sys.executable}" -c "from zoo.cli import main; main()" schema | head -1'
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.parametrize("kind", ["recipes", "models", "layers", "datasets"])
def test_ls_names_everything_with_a_description(kind: str) -> None:
    lines = CliRunner().invoke(main, ["ls", kind]).stdout.splitlines()
    rows = json.loads(CliRunner().invoke(main, ["ls", kind, "--json"]).stdout)
    names = {
        "recipes": hub.recipe_names,
        "models": lambda: registry.MODELS,
        "layers": lambda: registry.LAYERS,
        "datasets": lambda: registry.DATASETS,
    }[kind]()
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows] == list(names)
    assert len(lines) >= 3
    assert all(row["description"] for row in rows)


def test_plain_lines_are_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = zoo("ls", "recipes")
    assert hub.find_recipe(DATES).read_text(encoding="utf-8").split("\n")[0][2:] in done.stdout
    assert "…" not in done.stdout


def test_a_table_on_a_terminal_fits_its_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    output.table([{"name": "some/name", "description": "[bold] words " * 20}])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["name", "description"]
    assert max(map(len, shown)) <= 60
    assert "[bold]" in shown[1]


def test_cells_stay_on_one_line(capsys: pytest.CaptureFixture) -> None:
    output.table(
        [{"name": "a", "text": "two\nlines", "score": 0.123456}, {"name": "bbb", "text": None, "score": 1}]
    )
    assert capsys.readouterr().out == "a    two lines  0.1235\nbbb             1\n"


def test_cp_gives_a_recipe_that_works_and_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "new" / "mine.yaml"
    assert CliRunner().invoke(main, ["cp", DATES, str(file)]).exit_code == 0
    assert CliRunner().invoke(main, ["validate", str(file)]).exit_code == 0
    file.write_text("mine", encoding="utf-8")
    result = CliRunner().invoke(main, ["cp", DATES, str(file)])
    assert result.exit_code == 2
    assert result.stderr == f"{file}: is there already: choose another name, or remove it first\n"
    assert file.read_text(encoding="utf-8") == "mine"
    assert CliRunner().invoke(main, ["cp", DATES, str(tmp_path / "mine")]).exit_code == 2


def test_show() -> None:
    written = CliRunner().invoke(main, ["show", DATES]).stdout
    assert written == hub.find_recipe(DATES).read_text(encoding="utf-8")
    whole = (
        CliRunner().invoke(main, ["show", DATES, "--resolved", "train.steps=77", "train.log_every=7"]).stdout
    )
    assert "  steps: 77\n" in whole
    assert "  clip_norm: 1.0\n" in whole
    as_json = json.loads(CliRunner().invoke(main, ["show", DATES, "--json"]).stdout)
    assert as_json["name"] == DATES
