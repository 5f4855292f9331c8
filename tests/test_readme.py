"""What README and the cards show is what happens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from zoo.cli import main

from zoo import hub
from zoo.recipe import load_recipe
from zoo.saved.card import read_card
from zoo.saved.page import PAGE, page

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    ROOT / "docs" / "decoding.md",
    ROOT / "docs" / "saved-models.md",
    *sorted((ROOT / "saved_models").glob("*/card.md")),
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def shown(page: Path) -> list[tuple[str, str]]:
    """(command, what it printed) of every `$ zoo predict` and `$ zoo generate` of a page."""
    sessions = "".join(blocks(page, "console"))
    return re.findall(r"^\$ (zoo (?:predict|generate) .*)\n((?:(?!\$).*\n)*)", sessions, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_predictions_are_as_shown(page: Path) -> None:
    commands = shown(page)
    assert commands
    for command, expected in commands:
        result = CliRunner().invoke(main, shlex.split(command)[1:])
        assert result.exit_code == 0, result.output
        beginning, cut, _ = expected.partition("...")
        assert result.stdout[: len(beginning)] == beginning and (cut or result.stdout == expected), command


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_python_of_the_readme_runs(page: str) -> None:
    (code,) = (block for block in blocks(ROOT / page, "python") if "zoo.load" in block)
    names: dict = {}
    exec(code, names)
    assert names["model"].translate(["3 mars 2021"]) == ["2021-03-03"]


def test_the_python_of_the_page_on_decoding_runs() -> None:
    names: dict = {}
    for code in blocks(ROOT / "docs" / "decoding.md", "python"):
        exec(code, names)
    found = names["texts"].numpy()[0, 0, 1:].tolist()
    assert names["model"].tokenizer.decode(found) == "2021-03-03" == names["best"][0].text


def test_the_gates_of_the_readme_are_there() -> None:
    (code,) = (block for block in blocks(ROOT / "README.md", "python") if "LSTM" in block)
    names: dict = {}
    exec(code, names)
    assert {gate: tuple(x.shape) for gate, x in names["gates"].items()} == {
        gate: (1, 3, 4) for gate in ("input", "forget", "candidate", "output", "hidden", "cell")
    }


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_every_command_of_the_readme_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|[`$ ])zoo ([a-z]+)\b", text, re.MULTILINE))
    assert {"train", "eval", "predict", "export", "serve"} <= named <= set(main.list_commands(None))


def test_both_readmes_start_alike() -> None:
    """The command that installs and trains; what the Chinese one names is there."""
    english, chinese = (
        (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "README.zh-CN.md")
    )
    (command,) = re.findall(r"^python3 -m venv .*zoo train .*$", chinese, re.MULTILINE)
    assert command in english
    for name in re.findall(r"^extends: (\S+)", chinese, re.MULTILINE):
        assert name in hub.recipe_names()
    for path in re.findall(r"\]\(([^)#]+)", chinese):
        assert (ROOT / path).exists(), path


def test_the_page_of_every_card_is_what_its_figures_say() -> None:
    for name in hub.saved_names():
        folder = hub.saved_dir() / name
        said = (folder / PAGE).read_text(encoding="utf-8")
        assert said.startswith(page(read_card(folder))), f"zoo publish {folder}"


def test_the_table_of_models_is_made_of_the_cards(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))  # what somebody fetched is not of this project
    table = CliRunner().invoke(main, ["ls", "saved", "--markdown"]).stdout
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"<!-- zoo ls saved --markdown -->\n{table}" in readme, (
        "put what the command prints into README.md"
    )


def test_the_commands_of_the_story_are_possible() -> None:
    """Recipes with their overrides load, saved models and files to read are there."""
    page = ROOT / "docs" / "story.md"
    text = page.read_text(encoding="utf-8")
    recipes = re.findall(r"^zoo train (\S+)((?: [\w.]+=\S+)*)", text, re.MULTILINE)
    assert len(recipes) > 20
    for name, overrides in recipes:
        load_recipe(name, overrides.split())
    asked = re.findall(r"^zoo (?:predict|generate|plot|export) ([\w-]+) ", text, re.MULTILINE)
    assert set(asked) - {"exported"} <= set(hub.saved_names())
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / path).exists(), path
