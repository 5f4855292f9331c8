"""The loop knows no task: a tagger and a language model are trained, validated, kept and resumed like the others."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny
from tiny import metrics, same_state, state

from zoo.loading import load


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_tagger(tmp_path) -> None:
    recipe, run = tiny.tagger(tmp_path), tmp_path / "run"
    outcome, said = tiny.train(recipe, run, "train.steps=30", "train.validate_every=15")
    assert outcome.metric == "accuracy"
    first, last = (line for line in metrics(run) if "val_loss" in line)
    assert set(last) == {
        "step",
        "tokens",
        "seconds",
        "val_loss",
        "val_accuracy",
        "val_macro_f1",
        "val_exact_match",
    }
    assert last["val_loss"] < first["val_loss"] and last["val_accuracy"] > 50
    assert f"  {tiny.SENTENCES[0]}\n    -> " in said and "\n     = DET NOUN VERB DET NOUN PUNCT" in said
    assert json.loads((run / "labels.json").read_text()) == ["DET", "NOUN", "PUNCT", "VERB"]
    task = load(run, "last")
    figures, _ = task.score(tiny.split(recipe, "val"))
    assert figures["accuracy"] == last["val_accuracy"], (
        "the last sentence is longer than max_length, and whole"
    )
    assert figures["words"] == 2 * sum(len(sentence.split()) for sentence in tiny.SENTENCES)


def test_a_language_model(tmp_path) -> None:
    recipe, run = tiny.language_model(tmp_path), tmp_path / "run"
    outcome, said = tiny.train(recipe, run, "train.steps=30", "train.validate_every=15")
    assert outcome.metric == "loss"
    first, last = (line for line in metrics(run) if "val_loss" in line)
    assert set(last) == {"step", "tokens", "seconds", "val_loss", "val_perplexity"}
    assert last["val_loss"] < first["val_loss"] - 0.1
    assert last["val_perplexity"] == pytest.approx(math.exp(last["val_loss"]))
    assert (outcome.progress.best, outcome.progress.best_step) == (last["val_loss"], 30)
    assert "shapes 8x16\n" in said or "shapes 8x16," in said
    sample = (run / "samples" / "step-000030.txt").read_text(encoding="utf-8")
    assert sample.count("->") == 2 and sample.startswith(f"  {tiny.RHYME[:40]}")
    assert not (run / "labels.json").exists()
    figures, _ = load(run, "last").score(tiny.split(recipe, "val"))
    assert figures["loss"] == pytest.approx(last["val_loss"], rel=1e-5), (
        "the windows of training's validation"
    )


def test_a_masked_language_model(tmp_path) -> None:
    recipe, run = tiny.masked(tmp_path), tmp_path / "run"
    outcome, said = tiny.train(recipe, run, "train.steps=40", "train.validate_every=20")
    assert outcome.metric == "loss"
    first, last = (line for line in metrics(run) if "val_loss" in line)
    assert set(last) == {"step", "tokens", "seconds", "val_loss", "val_perplexity", "val_accuracy"}
    assert last["val_loss"] < first["val_loss"] - 0.1
    assert "documents: train 2, val 1" in said
    sample = (run / "samples" / "step-000040.txt").read_text(encoding="utf-8")
    assert sample.count("[MASK]") == sample.count("->") == 2
    assert (run / "tokenizer" / "phrases.txt").read_text(encoding="utf-8") == "row your\n船, merrily,\n"
    figures, _ = load(run, "last").score(tiny.split(recipe, "val"))
    assert figures["loss"] == pytest.approx(last["val_loss"], rel=1e-5), "the same tokens are hidden"
    assert figures["accuracy"] == last["val_accuracy"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("tagger", marks=pytest.mark.slow),
        "language_model",
        pytest.param("masked", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(name, tmp_path) -> None:
    recipe = getattr(tiny, name)(tmp_path)
    tiny.train(recipe, tmp_path / "whole", "train.steps=4")
    tiny.train(recipe, tmp_path / "parts", "train.steps=2")
    assert not same_state(tmp_path / "whole", tmp_path / "parts")
    tiny.train(recipe, tmp_path / "parts", "train.steps=4")
    assert same_state(tmp_path / "whole", tmp_path / "parts")


def test_the_lowest_perplexity_is_the_best(tmp_path) -> None:
    recipe = tiny.language_model(tmp_path)
    outcome, _ = tiny.train(recipe, tmp_path / "run", "train.metric=perplexity")
    found = [line["val_perplexity"] for line in metrics(tmp_path / "run") if "val_loss" in line]
    assert outcome.progress.best == min(found) and len(found) == 3


@pytest.mark.slow
def test_what_batch_norm_remembers_is_kept(tmp_path) -> None:
    """Moving means are no trainable weights: they stand in the state, and beside averaged weights, as they are."""
    recipe, run, parts = tiny.classifier(tmp_path), tmp_path / "run", tmp_path / "parts"
    model = "name: transformer_classifier, num_layers: 1, hidden_dim: 8, intermediate_dim: 8, num_heads: 2"
    options = (f"model={{{model}, normalization: batch}}", "train.ema=0.5", "train.validate_every=2")
    tiny.train(recipe, run, *options, "train.steps=4")
    task = load(run, "last")
    moving = [v for v in task.model.non_trainable_variables if "moving" in v.path]
    assert moving and all(v.numpy().any() for v in moving)
    for variable, value in zip(task.model.variables, state(run)[0], strict=False):
        if "moving" in variable.path:
            np.testing.assert_array_equal(variable.numpy(), value)
    tiny.train(recipe, parts, *options, "train.steps=2")
    tiny.train(recipe, parts, *options, "train.steps=4")
    assert same_state(parts, run)


def test_both_steps_know_no_task() -> None:
    """Labels of one place, of many, of none: the loss is asked, whatever it is."""
    from zoo.data.objectives import Batch
    from zoo.training.step_tensorflow import TensorFlowStep

    class Squares:
        def of(self, model, inputs, labels, training):
            outputs = model(inputs, training=training)
            difference = keras.ops.sum(keras.ops.square(outputs)) * (2.0 if training else 1.0)
            return difference, keras.ops.cast(keras.ops.size(labels), "float32")

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = keras.layers.Embedding(5, 3)
            self.table.build()
            self.built = True

        def call(self, inputs, training=None):
            return self.table(inputs["token_ids"])

    model = Model()
    batch = Batch({"token_ids": np.array([[1, 2]], "int32")}, np.array([[1, 1]], "int32"), 2)
    step = TensorFlowStep(model, keras.optimizers.SGD(0.1), Squares(), {"token_ids": 2}, 2)
    total, count = step.evaluate(batch)
    assert count == 2.0 and step.train(batch) == pytest.approx(2.0 * total / 2.0)
    assert step.evaluate(batch)[0] < total


@pytest.mark.jax
def test_jax_trains_a_language_model_without_tensorflow(tmp_path) -> None:
    program = """
import sys
from pathlib import Path
import tiny
from zoo.loading import load
recipe, run = Path(sys.argv[1]), Path(sys.argv[2])
outcome, _ = tiny.train(recipe, run, "train.validate_every=6")
(answer,) = load(run).generate(["Row"], 5)
assert "tensorflow" not in sys.modules, "JAX alone should do"
print(repr(answer.text))
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(tiny.__file__).parent), *sys.path])
    recipe, run = tiny.language_model(tmp_path), tmp_path / "run"
    command = [sys.executable, "-c", program, str(recipe), str(run)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    losses = [line["train_loss"] for line in metrics(run) if "train_loss" in line]
    assert len(losses) == 6 and losses[-1] < losses[0]
    (here,) = load(run).generate(["Row"], 5)
    assert done.stdout == f"{here.text!r}\n", "TensorFlow draws the same"
