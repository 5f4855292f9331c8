"""Shortened trainings on public data. They need its files: set ZOO_DATA to the folder that holds them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tiny

from zoo.hub import find_recipe, recipe_names
from zoo.recipe import load_recipe

pytestmark = pytest.mark.slow


def needs(name: str) -> None:
    if not os.environ.get("ZOO_DATA"):
        pytest.skip("ZOO_DATA is not set")
    if not (Path(os.environ["ZOO_DATA"]) / name).is_dir():
        pytest.skip(f"ZOO_DATA has no folder {name}")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


def test_multi30k_in_300_steps(tmp_path) -> None:
    """Measured 4.07 on a CPU; far from trained."""
    needs("multi30k")
    overrides = ("train.steps=300", "train.warmup=100", "train.validate_every=300", "train.save_every=300")
    outcome, _ = tiny.train(
        find_recipe("translation/multi30k-en-de-lstm-small"), tmp_path / "run", *overrides, "train.xla=false"
    )
    assert outcome.figures["val_loss"] < 4.4
    env = json.loads((tmp_path / "run" / "env.json").read_text(encoding="utf-8"))
    assert env["data_report"]["rows"]["train"] == 29_000
    losses = [
        line["train_loss"]
        for line in map(
            json.loads, (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        )
        if "train_loss" in line
    ]
    assert losses[-1] < losses[0] - 1.0


def test_sst2_in_500_steps(tmp_path) -> None:
    needs("sst2")
    overrides = ("train.steps=500", "train.warmup=50", "train.validate_every=250", "train.save_every=250")
    outcome, _ = tiny.train(
        find_recipe("classification/sst2-en-lstm-tiny"), tmp_path / "run", *overrides, "train.xla=false"
    )
    assert outcome.progress.best >= 72.0  # measured 78.7


def by_what_is_read() -> list[str]:
    """Of all recipes that read the same in the same way, one."""
    recipes = {name: load_recipe(name).recipe for name in recipe_names()}
    return list({repr((r.task, r.data, r.tokenizer)): name for name, r in recipes.items()}.values())


@pytest.mark.parametrize("name", by_what_is_read())
def test_the_data_of_our_own_recipes_is_no_reason_to_warn(name) -> None:
    recipe = load_recipe(name).recipe
    if recipe.data.name not in ("dates", "numbers"):
        needs("multi30k" if recipe.data.name == "english" else recipe.data.name)
    if recipe.tokenizer.name == "pretrained":
        pytest.skip("its tokenizer comes with another run")
    from zoo.cli.data import describe

    from zoo.data.datasets import load_dataset

    assert describe(recipe, load_dataset(recipe), 0)["warnings"] == []
