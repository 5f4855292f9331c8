"""Keys of the `train` section, each in a whole training: accumulation, precision, freezing, what is reported."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
from tiny import same_state

from zoo.errors import UserError
from zoo.loading import load
from zoo.training.init_from import weights_by_name


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """The recipe of a classifier, quick to train."""
    return tiny.classifier(tmp_path_factory.mktemp("colours"))


@pytest.mark.slow
def test_steps_of_several_scaled_batches_go_on_to_the_same_bits(colours, tmp_path) -> None:
    options = ("train.accumulate=3", "train.batch_tokens=64", "train.precision=float16")
    outcome, _ = tiny.train(colours, tmp_path / "whole", *options, "train.steps=4")
    tiny.train(colours, tmp_path / "parts", *options, "train.steps=2")
    again, _ = tiny.train(colours, tmp_path / "parts", *options, "train.steps=4")
    assert again.progress.tokens == outcome.progress.tokens
    assert same_state(tmp_path / "whole", tmp_path / "parts"), "the scale of the loss too"


def test_each_step_takes_the_next_batches(colours, tmp_path, monkeypatch) -> None:
    from zoo.data.pipeline import Batches

    tokens = {}
    make = Batches.batch

    def noting(self, i):
        batch = make(self, i)
        if self.training:
            tokens[i] = batch.tokens
        return batch

    monkeypatch.setattr(Batches, "batch", noting)
    options = ("train.accumulate=2", "train.steps=3", "train.batch_tokens=64")
    outcome, said = tiny.train(colours, tmp_path / "run", *options)
    assert set(range(6)) <= set(tokens) <= set(range(8))
    assert outcome.progress.tokens == sum(tokens[i] for i in range(6)) > 0
    assert " an epoch, 2 a step" in said


def test_a_model_trained_in_half_precision_is_loaded_whole(colours, tmp_path) -> None:
    tiny.train(colours, tmp_path / "run", "train.precision=bfloat16")
    model = load(tmp_path / "run").model
    assert model.compute_dtype == "float32"
    assert all(w.dtype == "float32" for w in model.weights if "seed" not in w.path)


def test_frozen_weights_stay_as_init_from_gave_them(colours, tmp_path) -> None:
    tiny.train(colours, tmp_path / "first")
    options = (
        f"train.init_from={tmp_path / 'first'}",
        f"tokenizer={{name: pretrained, run: {tmp_path / 'first'}}}",
    )
    names = "train.freeze=[embedding, 'convolution_*/kernel']"
    _, said = tiny.train(colours, tmp_path / "second", *options, names, "train.ema=0.5")
    before, after = (weights_by_name(load(tmp_path / run).model) for run in ("first", "second"))
    stayed = [path for path in before if np.array_equal(before[path].numpy(), after[path].numpy())]
    expected = [p for p in before if p.startswith("embedding") or (p.endswith("kernel") and "head" not in p)]
    assert stayed == expected and 1 < len(expected) < len(before)
    count = sum(before[path].numpy().size for path in expected)
    assert f"freeze  {len(expected)} of {len(before)} weights, {count:,} parameters stay" in said


def test_a_frozen_batch_norm_keeps_its_averages(colours, tmp_path) -> None:
    model = "name: transformer_classifier, num_layers: 1, hidden_dim: 8, intermediate_dim: 8, num_heads: 2"
    tiny.train(
        colours, tmp_path / "run", f"model={{{model}, normalization: batch}}", "train.freeze=[encoder]"
    )
    weights = weights_by_name(load(tmp_path / "run").model)
    means = [w.numpy() for path, w in weights.items() if "moving_mean" in path and path.startswith("encoder")]
    assert means and not any(mean.any() for mean in means)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("[embeding]", "no weight is called embeding, did you mean 'embedding'?"),
        (
            "[embedding, zzz]",
            "no weight is called zzz; there is embedding, convolution_0, convolution_1, head",
        ),
        ("['*']", "nothing is left to train"),
    ],
)
def test_what_cannot_be_frozen(colours, tmp_path, names, says) -> None:
    with pytest.raises(UserError) as error:
        tiny.train(colours, tmp_path / "run", f"train.freeze={names}")
    assert says in str(error.value)


@pytest.mark.parametrize("xla", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_compilations_are_told(colours, tmp_path, xla) -> None:
    """With XLA one for each shape, of which two buckets make two."""
    _, said = tiny.train(
        colours, tmp_path / "run", f"train.xla={str(xla).lower()}", "data.buckets=[8]", "train.steps=8"
    )
    env = json.loads((tmp_path / "run" / "env.json").read_text(encoding="utf-8"))
    outcome = json.loads((tmp_path / "run" / "outcome.json").read_text(encoding="utf-8"))
    assert len(env["shapes"]) == 2
    assert outcome["compilations"] == (2 if xla else 1)
    assert f"compiled  {'2 times' if xla else 'once'} for 2 shapes of batches" in said
