"""The loss that goes through a large vocabulary some rows at a time, against the one that holds all scores."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoo.training.losses import IGNORE, MaskedCrossEntropy, cross_entropy
from zoo.training.vocabulary_loss import ROWS, vocabulary_cross_entropy

RANDOM = np.random.default_rng(0)
VOCABULARY, WIDTH = 50, 6


def given(rows, length, padded=0.3, spread=1.0):
    labels = RANDOM.integers(0, VOCABULARY, (rows, length))
    labels[RANDOM.random((rows, length)) < padded] = IGNORE
    x = RANDOM.normal(0.0, spread, (rows, length, WIDTH))
    matrix, bias = RANDOM.normal(size=(VOCABULARY, WIDTH)), RANDOM.normal(size=VOCABULARY)
    return labels.astype("int32"), *(tf.constant(a, "float32") for a in (x, matrix, bias))


def whole(labels, x, matrix, bias, smoothing):
    return cross_entropy(labels, tf.matmul(x, matrix, transpose_b=True) + bias, smoothing)


def with_gradients(function, labels, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total, count = function(labels, *inputs)
    gradients = tape.gradient(total, inputs)
    return [total, count, *(tf.convert_to_tensor(g) for g in gradients)]


SHAPES = {
    "one chunk": (4, 8),
    "a chunk exactly": (1, ROWS),
    "a chunk that is not full": (2, ROWS - 10),
    "nothing to say": (3, 5),
}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_loss_of_the_whole(shape, smoothing):
    made = given(*SHAPES[shape], padded=1.1 if shape == "nothing to say" else 0.3)
    expected = with_gradients(lambda *a: whole(*a, smoothing), *made)
    got = with_gradients(lambda *a: vocabulary_cross_entropy(*a, smoothing), *made)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_scores_far_apart_stay_finite():
    labels, x, matrix, bias = given(4, 8, spread=60.0)
    expected, got = whole(labels, x, matrix, bias, 0.0), vocabulary_cross_entropy(labels, x, matrix, bias)
    assert float(expected[0]) / float(expected[1]) > 50
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_for_any_number_of_rows(jit_compile):
    function = tf.function(
        lambda labels, *a: with_gradients(vocabulary_cross_entropy, labels, *a),
        jit_compile=jit_compile,
        autograph=False,
        input_signature=None
        if jit_compile
        else [
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, None, WIDTH]),
            *map(tf.TensorSpec, ((VOCABULARY, WIDTH), (VOCABULARY,))),
        ],
    )
    for shape in ((2, 3), (3, ROWS)):
        made = given(*shape)
        expected = with_gradients(lambda *a: whole(*a, 0.0), *made)
        for a, b in zip(function(*map(tf.constant, made)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_without_a_gradient_it_keeps_none_and_smoothing_is_left_out_of_validation():
    class Model:
        vocabulary_size = 2000

        def before_logits(self, inputs, training):
            return inputs

        def output_matrix(self):
            return matrix, bias

    labels, x, matrix, bias = given(5, 7)
    loss = MaskedCrossEntropy(0.2)
    for training, smoothing in ((True, 0.2), (False, 0.0)):
        np.testing.assert_allclose(
            loss.of(Model(), x, labels, training), whole(labels, x, matrix, bias, smoothing), rtol=2e-5
        )
