"""Every shipped recipe loads, is called what its path says, and begins with what a reader wants to know."""

from __future__ import annotations

import re

import pytest

from zoo import hub
from zoo.recipe import diff_recipes, load_recipe

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
    assert text.splitlines()[0].endswith("."), "`zoo ls recipes` shows the first line: a whole sentence"
    assert re.search(rf"^#\s+zoo train {re.escape(name)}$", text, re.MULTILINE)
    assert re.search(r"^# Expected time: \S+", text, re.MULTILINE)
    assert re.search(r"^# Expected score: \S+", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_works_anywhere(name: str) -> None:
    """`zoo cp` copies the file as it is, so a recipe extends by name and reads no file beside it."""
    extends = re.search(r"^extends: *(.*)$", hub.find_recipe(name).read_text(encoding="utf-8"), re.MULTILINE)
    assert extends is None or extends[1] in NAMES


SMALL = "translation/multi30k-en-de-transformer-tiny"
ABLATIONS = {
    "nopositions": "model.positions: sinusoidal -> none",
    "onehead": "model.num_heads: 4 -> 1",
    "unscaled": "model.scale_attention: true -> false",
    "postnorm": "model.normalize_first: true -> false",
    "batchnorm": "model.normalization: layer -> batch",
    "unsmoothed": "train.label_smoothing: 0.1 -> 0.0",
    "noncausal": "model.causal: true -> false",
}


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_an_ablation_changes_one_thing(ablation: str) -> None:
    base, other = (
        load_recipe(SMALL.replace("-tiny", f"-{word}-tiny")).recipe for word in ("ablation", ablation)
    )
    assert diff_recipes(base, other)[1:] == [ABLATIONS[ablation]]  # the first is the name


def test_the_base_of_the_ablations_is_a_short_run_of_the_tiny_recipe() -> None:
    base, whole = (load_recipe(name).recipe for name in (SMALL.replace("-tiny", "-ablation-tiny"), SMALL))
    changed = {line.split(":")[0] for line in diff_recipes(whole, base)}
    short = {f"train.{key}" for key in ("steps", "warmup", "validate_every", "save_every", "keep")}
    assert {key for key in changed if not key.startswith("expect")} == {
        "name",
        "tokenizer.vocabulary_size",
        "model.dropout",
        "decode.beams",
        *short,
    }
