"""Every shipped recipe loads, is called what its path says, and begins with what a reader wants to know."""

from __future__ import annotations

import re

import pytest

from zoo import hub
from zoo.recipe import load_recipe

NAMES = hub.recipe_names()


@pytest.mark.parametrize("name", NAMES)
def test_recipe(name: str) -> None:
    loaded = load_recipe(name)
    recipe = loaded.recipe
    assert recipe.name == name
    assert loaded.warnings == []
    assert re.fullmatch(r"[a-z_]+/[a-z0-9_]+(-[a-z]+)+-[a-z0-9]+", name), (
        "<task>/<dataset>-<languages>-<model>-<size>"
    )
    assert name.split("/")[0] == recipe.task
    assert name.split("/")[1].split("-")[0].startswith(recipe.data.name.split("_")[0])


@pytest.mark.parametrize("name", NAMES)
def test_header(name: str) -> None:
    header = re.match(r"(#.*\n)+", hub.find_recipe(name).read_text(encoding="utf-8"))
    assert header, "a recipe opens with a comment"
    text = header[0]
    assert re.search(rf"^#\s+zoo train {re.escape(name)}$", text, re.MULTILINE)
    assert re.search(r"^# Expected time: \S+", text, re.MULTILINE)
    assert re.search(r"^# Expected score: \S+", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_works_anywhere(name: str) -> None:
    """`zoo cp` copies the file as it is, so a recipe extends by name and reads no file beside it."""
    extends = re.search(r"^extends: *(.*)$", hub.find_recipe(name).read_text(encoding="utf-8"), re.MULTILINE)
    assert extends is None or extends[1] in NAMES
