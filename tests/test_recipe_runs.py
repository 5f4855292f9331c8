"""Every shipped recipe runs three steps, made small, on stand-ins for its data; one a family runs longer."""

from __future__ import annotations

import json
from functools import cache

import pytest
import small_data
import tensorflow as tf
import tiny

from zoo import hub
from zoo.contract.cases import SMALL
from zoo.recipe import load_recipe

NAMES = hub.recipe_names()
GENERATED = ("dates", "numbers")


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_DATA", str(small_data.write(tmp_path_factory.mktemp("data"), rows=160)))
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def made_small(name: str, steps: int) -> list[str]:
    """Overrides that leave the recipe its choices and take its size."""
    recipe = load_recipe(name).recipe
    overrides = {
        "train.steps": steps,
        "train.validate_every": steps,
        "train.save_every": steps,
        "train.log_every": 1,
        "train.batch_tokens": max(128, recipe.data.max_length),
        "train.warmup": 0,
        "train.xla": "false",
        "train.samples": 0,
    }
    if recipe.data.name in GENERATED:
        overrides |= {"data.train": 200, "data.val": 16, "data.test": 8}
    if recipe.tokenizer.name == "sentencepiece":
        overrides["tokenizer.vocabulary_size"] = 340
    for key, value in SMALL.items():
        if key != "max_sequence_length" and getattr(recipe.model, key, None) is not None:
            overrides[f"model.{key}"] = 1 if key.endswith("_layers") else value
    if recipe.task in ("translation", "language_modeling"):
        overrides["decode.max_length"] = 4
    return [f"{key}={value}" for key, value in overrides.items()]


@pytest.fixture
def quickly(name):
    """Tracing a graph takes many times what three steps take, but of loops; the longer runs below are traced."""
    tf.config.run_functions_eagerly(not hasattr(load_recipe(name).recipe.model, "cell"))
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Overrides that begin a recipe with a small run of the recipe it names; that one is trained once for all."""

    @cache
    def trained(source: str):
        run = tmp_path_factory.mktemp("source") / "run"
        tiny.train(source, run, *made_small(source, 1))
        return run

    def overrides(name: str) -> list[str]:
        source = load_recipe(name).recipe.train.init_from
        return [f"{key}={trained(source)}" for key in ("train.init_from", "tokenizer.run")] if source else []

    return overrides


def quick_and_slow() -> list:
    """Quick is the first recipe with its data and tokenizer, and the first with its model; the slow tests run all."""
    seen, found = set(), []
    for name in NAMES:
        recipe = load_recipe(name).recipe
        read = (recipe.task, recipe.data.name, recipe.tokenizer.name)
        model = (recipe.model.name, getattr(recipe.model, "cell", ""), bool(recipe.train.init_from))
        new = {read, model} - seen
        found.append(name if new else pytest.param(name, marks=pytest.mark.slow))
        seen |= new
    return found


@pytest.mark.parametrize("name", quick_and_slow())
def test_three_steps(name, tmp_path, quickly, begun):
    outcome, said = tiny.train(name, tmp_path / "run", *made_small(name, 3), *begun(name))
    assert outcome.progress.step == 3
    assert outcome.progress.best is not None, said
    assert (tmp_path / "run" / "best.weights.h5").exists() or list((tmp_path / "run").rglob("best*"))


FAMILIES = [
    "language_modeling/tinyshakespeare-en-lstm-tiny",
    "language_modeling/tinyshakespeare-en-gpt-tiny",
    "masked_language_modeling/english-bert-tiny",
    "masked_language_modeling/english-xlnet-tiny",
    "classification/trec-en-gru-tiny",
    "classification/trec-en-textcnn-tiny",
    "classification/sst2-en-transformer-tiny",
    "tagging/ud_ewt-en-lstm-crf-small",
    "translation/multi30k-de-en-lstm-fixed-small",
    "translation/multi30k-en-de-lstm-luong-small",
    "translation/multi30k-en-de-transformer-tiny",
]
MORE = {
    "masked_language_modeling": {
        "train.batch_tokens": 1024,
        "model.hidden_dim": 32,
        "model.intermediate_dim": 64,
    }
}
"""What a task needs to learn anything in 300 steps: of a batch, only one token in seven is asked for here."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_three_hundred_steps(name, tmp_path):
    """The validation loss falls, from step 100 over 200 to 300, on the stand-ins and with small widths."""
    overrides = [*made_small(name, 300), "train.validate_every=100", "train.learning_rate=0.005"]
    overrides += [f"{key}={value}" for key, value in MORE.get(name.split("/")[0], {}).items()]
    tiny.train(name, tmp_path / "run", *overrides)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [line["val_loss"] for line in map(json.loads, lines) if "val_loss" in line]
    assert losses == sorted(losses, reverse=True), losses
    assert losses[-1] < 0.92 * losses[0], losses
