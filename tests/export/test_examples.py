"""The programs of docs/using-a-tflite-file.md run as they stand, where neither zoo nor TensorFlow can be imported."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo import runtime

PAGE = (Path(__file__).parents[2] / "docs" / "using-a-tflite-file.md").read_text(encoding="utf-8")
ALONE = """
import runpy, sys
sys.modules.update({name: None for name in ("zoo", "tensorflow", "keras", "tf2onnx", "onnx")})
try:
    import zoo
except ImportError:
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """As the page's command leaves it, without the comparison, which has tests of its own."""
    from zoo.export import FILES
    from zoo.export.build import Build
    from zoo.export.kinds import KINDS
    from zoo.export.worker import WRITERS

    pytest.importorskip("tf2onnx")
    task, folder = zoo.load("dates-multi-lstm-tiny"), tmp_path_factory.mktemp("exported")
    for form in ("tflite", "onnx"):
        WRITERS[form](KINDS["translation"](task, form), folder / FILES[form], Build())
    return folder


def program(title: str) -> str:
    """The last program of a section."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)[-1]


def answers(script: str, model: Path, texts: list[str], folder: Path) -> list[str]:
    (folder / "translate.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-I", "-X", "utf8", "-c", ALONE, "translate.py", str(model), *texts]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("title", "name"), [("A .tflite file", "model.tflite"), ("An ONNX folder", "onnx")])
def test_the_program_of_the_page(exported, tmp_path, title, name):
    script = program(title)
    assert len(script.splitlines()) <= 30
    command, *printed = re.search(r"```console\n\$ (.*?)```", PAGE, re.DOTALL)[1].splitlines()
    texts = re.findall(r'"(.*?)"', command)
    assert answers(script, exported / name, texts, tmp_path) == printed
    more = ["", "12 Dez 1999", "2021年3月3日", "x" * 200]
    assert answers(script, exported / name, more, tmp_path) == runtime.load(exported / name).translate(more)


def test_with_the_package_it_is_a_line(exported, monkeypatch):
    monkeypatch.chdir(exported.parent)
    block = re.search(r"```python\n(from zoo import runtime.*?)```", PAGE, re.DOTALL)[1]
    imported, call = block.strip().split("\n\n")
    call, expected = call.replace("exported/", f"{exported.name}/").split("  # ")
    exec(imported, found := {})
    assert eval(call, found) == eval(expected)
