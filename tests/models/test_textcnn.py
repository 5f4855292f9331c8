"""TextCNN: its equation in NumPy, and the norm of its label weights."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from zoo.contract.cases import array, randomize
from zoo.models.textcnn import TextCNN

KEYWORDS = dict(
    vocabulary_size=13,
    num_classes=3,
    embedding_dim=6,
    kernel_sizes=[2, 3, 5],
    num_filters=7,
    dropout=0.0,
    embedding_dropout=0.0,
    max_norm=0.5,
)
IDS = np.array([[4, 5, 6, 7, 8, 9, 10], [4, 5, 6, 0, 0, 0, 0], [11, 0, 0, 0, 0, 0, 0]])


def make(**changes):
    return randomize(TextCNN(**{**KEYWORDS, **changes}).build_from_ids())


def test_against_numpy():
    model = make()
    embeddings, expected = array(model.embedding.embeddings).astype("float64"), []
    for ids in IDS:
        x, pooled = embeddings[ids[ids != 0]], []
        for layer in model.convolutions:
            kernel, bias = array(layer.kernel), array(layer.bias)
            size = len(kernel)
            left = (size - 1) // 2
            padded = np.pad(x, ((left, size - 1 - left), (0, 0)))
            answers = [np.einsum("kd,kdf->f", padded[t : t + size], kernel) + bias for t in range(len(x))]
            pooled.append(np.maximum(answers, 0.0).max(0))
        expected.append(np.concatenate(pooled) @ array(model.head.kernel) + array(model.head.bias))
    np.testing.assert_allclose(array(model({"token_ids": IDS})), expected, atol=1e-5)


def norms(model):
    return np.linalg.norm(array(model.head.kernel), axis=0)


@pytest.mark.parametrize("max_norm", [0.5, None])
def test_one_step_cuts_the_norm_of_each_label(max_norm):
    model = make(max_norm=max_norm)
    before = array(model.head.kernel)
    assert norms(model).min() > 1.0
    optimizer = keras.optimizers.SGD(0.0)  # nothing moves but by the constraint
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.zeros_like(w) for w in model.trainable_variables], model.trainable_variables)
    if max_norm is None:
        np.testing.assert_array_equal(array(model.head.kernel), before)
    else:
        np.testing.assert_allclose(norms(model), max_norm, rtol=1e-4)
        direction = before / np.linalg.norm(before, axis=0)
        np.testing.assert_allclose(array(model.head.kernel), direction * max_norm, atol=1e-5)


ON_JAX = """
import jax, keras, numpy as np
from zoo.models.textcnn import TextCNN
model = TextCNN(**KEYWORDS).build_from_ids()
model.head.kernel.assign(np.random.default_rng(0).normal(size=model.head.kernel.shape))
optimizer = keras.optimizers.Adam(0.01)
optimizer.build(model.trainable_variables)
weights = [w.value for w in model.trainable_variables]

@jax.jit
def step(weights, slots):
    return optimizer.stateless_apply(slots, [w * 0.1 for w in weights], weights)

weights, slots = step(weights, [w.value for w in optimizer.variables])
(kernel,) = [w for w, v in zip(weights, model.trainable_variables) if v is model.head.kernel]
np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 0.5, rtol=1e-4)
""".replace("**KEYWORDS", f"**{KEYWORDS!r}")


@pytest.mark.jax
def test_a_stateless_step_on_jax_cuts_it_too():
    process = subprocess.run(
        [sys.executable, "-c", ON_JAX],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-3000:]


def test_dropout_is_for_training():
    model = make(dropout=0.5, embedding_dropout=0.5)
    still = array(model({"token_ids": IDS}))
    np.testing.assert_array_equal(array(model({"token_ids": IDS}, training=False)), still)
    assert np.abs(array(model({"token_ids": IDS}, training=True)) - still).max() > 1e-2
