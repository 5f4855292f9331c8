"""One training step: what it refuses, what it adds up, and in which precision.

The file runs on TensorFlow, and again on JAX in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from model_tools import random_ids, small_model

from zoo.config.training import Train
from zoo.data.objectives import IGNORE, Batch
from zoo.training import loss_scale
from zoo.training.losses import MaskedCrossEntropy
from zoo.training.optim import make_optimizer

BACKEND = keras.backend.backend()
BAD = 2
"""The label that poisons a batch."""


class Poisoned(MaskedCrossEntropy):
    """Where the label BAD stands the loss is as it was, and no gradient of it is finite."""

    def total(self, labels, outputs, smoothing=True):
        total, count = super().total(labels, outputs, smoothing)
        good = 1.0 - ops.cast(ops.any(ops.equal(labels, BAD)), "float32")
        root = ops.sqrt(good + 0.0 * ops.sum(outputs))  # its slope at 0 is infinite
        return total + root - good, count


class Steep(MaskedCrossEntropy):
    """Where the label BAD stands the loss is so steep that float16 cannot hold its gradient."""

    def total(self, labels, outputs, smoothing=True):
        total, count = super().total(labels, outputs, smoothing)
        return total * (1.0 + 1e8 * ops.cast(ops.any(ops.equal(labels, BAD)), "float32")), count


def small(name, **changes):
    """A model of one layer: what is traced is what takes time."""
    layers = {
        "transformer": ("num_encoder_layers", "num_decoder_layers"),
        "transformer_classifier": ("num_layers",),
    }
    return small_model(name, **dict.fromkeys(layers.get(name, ()), 1), **changes)


def make_step(model, loss=None, accumulate=1, xla=False, scales=False, parts=1, **train):
    train = Train(**{"steps": 100, "batch_tokens": 1, "learning_rate": 0.05, **train})
    optimizer, loss = make_optimizer(train), loss or model.make_loss()
    if BACKEND == "jax":
        from zoo.training.step_jax import JaxStep as Step
    else:
        from zoo.training.step_tensorflow import TensorFlowStep as Step
    rank = 1 if model.task == "classification" else 2
    options = dict(clip_norm=train.clip_norm, accumulates=accumulate > 1, scales=scales, xla=xla, parts=parts)
    return Step(model, optimizer, loss, model.input_ranks, rank, **options)


def make_batch(model, rows=4, length=6, seed=0, labels=(0, 1, 3, 4)) -> Batch:
    """Rows of different lengths."""
    random = np.random.default_rng(seed)
    inputs = {name: random_ids((rows, length), seed + i) for i, name in enumerate(model.input_ranks)}
    lengths = random.integers(2, length + 1, rows)
    padding = np.arange(length) >= lengths[:, None]
    inputs = {name: np.where(padding, 0, ids).astype("int32") for name, ids in inputs.items()}
    if model.task == "classification":
        return Batch(inputs, random.choice(labels[:2], rows).astype("int32"), rows)
    found = np.where(padding, IGNORE, random.choice(labels, (rows, length))).astype("int32")
    return Batch(inputs, found, int((found != IGNORE).sum()))


def values(step) -> dict[str, np.ndarray]:
    step.sync()
    found = {v.path: np.array(v) for v in (*step.model.variables, *step.optimizer.variables)}
    return {path: x for path, x in found.items() if "seed_generator" not in path}


def of_dtype(model, precision: str):
    """The same model that computes so."""
    dtype = {"float32": "float32"}.get(precision, f"mixed_{precision}")
    return type(model)(**{**model.get_config(), "dtype": dtype}).build_from_ids()


# --- a batch in parts ---


@pytest.mark.skipif(BACKEND == "jax", reason="XLA shares the cores")
@pytest.mark.parametrize("name", ["transformer", pytest.param("rnn_seq2seq", marks=pytest.mark.slow)])
def test_parts_of_a_batch_are_one_batch(name) -> None:
    """Also when they do not divide its rows, and when a part has no label at all."""
    whole, parted = (make_step(small(name, dropout=0.0), optimizer="sgd", parts=parts) for parts in (1, 3))
    batch = make_batch(whole.model, rows=5)
    batch.labels[:2] = IGNORE
    losses = [[step.train(batch), step.train(batch), *step.evaluate(batch)] for step in (whole, parted)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    expected = values(whole)
    for (path, value), other in zip(values(parted).items(), expected.values(), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-6, err_msg=path)


@pytest.mark.skipif(BACKEND == "jax", reason="XLA shares the cores")
@pytest.mark.parametrize(
    ("told", "parts"),
    [
        ({}, "2"),
        ({"xla": True}, "1"),
        ({"batch_tokens": 1023}, "1"),
        ({"TF_NUM_INTRAOP_THREADS": "2"}, "1"),
        ({"TF_NUM_INTEROP_THREADS": "1"}, "1"),
        ({"chosen": 3}, "1"),
    ],
)
@pytest.mark.slow
def test_cores_share_a_batch(told, parts) -> None:
    """In a process of its own: threads are chosen before TensorFlow begins, and never again."""
    said = {"steps": 1, "batch_tokens": 1024, "learning_rate": 0.1} | {
        key: value for key, value in told.items() if key.islower() and key != "chosen"
    }
    chosen = f"tf.config.threading.set_inter_op_parallelism_threads({told.get('chosen', 0)})"
    code = f"""
import os
os.sched_getaffinity = lambda process: range(2)
from zoo.config.training import Train
from zoo.training.step_tensorflow import share_cores, tf
{chosen}
first = share_cores(Train(**{said}))
threads = tf.config.threading.get_intra_op_parallelism_threads()
tf.zeros(1)
again, whole = share_cores(Train(**{said})), share_cores(Train(**{said}), whole=True)
print(first, again == first, threads == 1 or first == 1, whole)
"""
    env = {**os.environ, **{key: value for key, value in told.items() if key.isupper()}}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [parts, "True", "True", "1"]


@pytest.mark.skipif(BACKEND == "jax", reason="XLA shares the cores")
def test_cores_share_nothing_where_tensorflow_has_threads_already(monkeypatch) -> None:
    from zoo.training.step_tensorflow import share_cores, tf

    tf.zeros(1)
    before = tf.config.threading.get_inter_op_parallelism_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(12))
    assert share_cores(Train(steps=1, batch_tokens=4096, learning_rate=0.1)) == 1
    assert tf.config.threading.get_inter_op_parallelism_threads() == before


# --- nothing of a bad batch stays ---


@pytest.mark.parametrize(
    ("loss", "accumulate"),
    [pytest.param("finite", 1, marks=pytest.mark.slow), ("finite", 2), ("infinite", 1)],
)
def test_a_gradient_that_is_not_finite_changes_nothing(loss, accumulate) -> None:
    """Not even moving statistics; and the next step is that of a run without it."""
    steps = []
    for _ in range(2):
        model = small("transformer_classifier", normalization="batch", dropout=0.0)
        steps.append(make_step(model, Poisoned(), accumulate, optimizer="adamw", weight_decay=0.1, ema=0.9))
    plain, troubled = steps
    good = [make_batch(plain.model, seed=i) for i in range(accumulate)]
    last = good[-1]
    bad = Batch(last.inputs, np.where(np.arange(4) == 1, BAD, last.labels).astype("int32"), 4)
    for step in steps:
        assert np.isfinite(step.train(*good))
    before = values(troubled)
    if loss == "infinite":
        head = next(v for v in troubled.model.trainable_variables if v.path.endswith("head/bias"))
        kept = before[head.path]
        head.assign(np.full_like(kept, np.nan))
        before = values(troubled)
    assert np.isnan(troubled.train(*good[:-1], bad))
    after = values(troubled)
    assert len(before) > 20
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value, err_msg=path)
    if loss == "infinite":
        head.assign(kept)
    assert troubled.train(*good) == pytest.approx(plain.train(*good), rel=1e-6)
    expected = values(plain)
    for (path, value), other in zip(values(troubled).items(), expected.values(), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-7, err_msg=path)


# --- many batches as one ---


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [pytest.param("rnn_seq2seq", "adam", marks=pytest.mark.slow), ("transformer", "sgd")],
)
def test_accumulated_batches_are_one_large_batch(name, optimizer) -> None:
    """Of other lengths and numbers of tokens; moments and schedule count steps."""
    options = dict(optimizer=optimizer, warmup=3, learning_rate=1e-3, ema=0.9)
    whole, parts = (make_step(small(name, dropout=0.0), accumulate=k, **options) for k in (1, 3))
    for i in range(2):
        pieces = [
            make_batch(whole.model, rows, length, 10 * i + rows) for rows, length in ((5, 8), (2, 4), (1, 8))
        ]
        inputs = {
            key: np.concatenate(
                [np.pad(b.inputs[key], ((0, 0), (0, 8 - b.inputs[key].shape[1]))) for b in pieces]
            )
            for key in pieces[0].inputs
        }
        labels = np.concatenate(
            [np.pad(b.labels, ((0, 0), (0, 8 - b.labels.shape[1])), constant_values=IGNORE) for b in pieces]
        )
        large = Batch(inputs, labels, sum(b.tokens for b in pieces))
        assert parts.train(*pieces) == pytest.approx(whole.train(large), rel=1e-6)
    one, other = values(whole), values(parts)
    for (path, value), found in zip(one.items(), other.values(), strict=True):
        np.testing.assert_allclose(found, value, atol=1e-6, err_msg=path)
    assert float(whole.optimizer.iterations) == float(parts.optimizer.iterations) == 2
    if BACKEND == "tensorflow":
        assert parts.compilations == 1


# --- precision ---


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("rnn_classifier", "bfloat16"),
        pytest.param("rnn_seq2seq", "bfloat16", marks=pytest.mark.slow),
        pytest.param("rnn_seq2seq", "float16", marks=pytest.mark.slow),
        pytest.param("transformer", "bfloat16", marks=pytest.mark.slow),
        ("transformer", "float16"),
    ],
)
def test_half_precision_trains(name, precision) -> None:
    """Weights, logits and loss stay float32."""
    model = of_dtype(small(name, dropout=0.1), precision)
    step = make_step(model, scales=precision == "float16", learning_rate=0.02)
    batch = make_batch(model)
    losses = [step.train(batch) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    step.sync()
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    logits = model(batch.inputs)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    exact = of_dtype(model, "float32")
    exact.set_weights(model.get_weights())
    difference = np.abs(np.array(exact(batch.inputs)) - np.array(logits)).max()
    assert 0.0 < difference < 0.3, "computed in few bits, and in truth"


@pytest.mark.parametrize("accumulate", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_an_overflow_in_float16_lowers_the_scale(accumulate, monkeypatch) -> None:
    monkeypatch.setattr(loss_scale, "GROWS_AFTER", 2)
    model = of_dtype(small("rnn_classifier", dropout=0.0), "float16")
    step = make_step(model, Steep(), accumulate, scales=True)
    good = [make_batch(model, seed=i) for i in range(accumulate)]
    bad = [*good[:-1], make_batch(model, labels=(BAD, BAD))]

    def scale() -> float:
        return values(step)[step.scale.scale.path]

    step.train(*good)
    first, before = scale(), values(step)
    assert np.isfinite(step.train(*bad)), "no divergence"
    assert scale() == first / 2
    after = values(step)
    for path, value in before.items():
        if step.scale.scale.path != path != step.scale.steps.path:
            np.testing.assert_array_equal(after[path], value, err_msg=path)
    step.train(*good)
    assert scale() == first / 2
    step.train(*good)
    assert scale() == first, "doubled after GROWS_AFTER good steps"
    step.scale.scale.assign(1.0)
    assert np.isnan(step.train(*bad)), "no smaller scale will help"


# --- compilations ---


def test_each_shape_is_compiled_once() -> None:
    model = small_model("textcnn")  # soon compiled
    step = make_step(model, xla=True)
    for length in (4, 8, 4, 8, 4):
        step.train(make_batch(model, length=length))
    assert step.compilations == 2


@pytest.mark.slow
@pytest.mark.jax
def test_the_same_on_jax() -> None:
    if BACKEND == "jax":
        pytest.skip("this is that process")
    some = "finite-2 or seq2seq-adam or overflow or each_shape or transformer-bfloat16"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-m", "", "-p", "no:cacheprovider", "-k", some, __file__],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:]
