"""From all tokens to one vector."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from model_tools import array

from zoo.layers import MaskedPooling

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0] * 5], bool)
X = (
    np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32") - 5.0
)  # a padded 0 would win the maximum
BY_HAND = {"max": lambda x: x.max(0), "mean": lambda x: x.mean(0), "last": lambda x: x[-1]}
every_mode = pytest.mark.parametrize("mode", BY_HAND)


@every_mode
def test_over_real_tokens_only(mode):
    expected = [BY_HAND[mode](X[0]), BY_HAND[mode](X[1, :3]), np.zeros(4)]  # no token: zeros
    np.testing.assert_allclose(array(MaskedPooling(mode)(X, MASK)), expected, rtol=1e-6)


@every_mode
def test_open_shapes_and_xla(mode):
    layer = MaskedPooling(mode)
    signature = [tf.TensorSpec([None, None, 4], tf.float32), tf.TensorSpec([None, None], tf.bool)]
    for options in (dict(input_signature=signature), dict(jit_compile=True)):
        actual = tf.function(layer, autograph=False, **options)(tf.constant(X), tf.constant(MASK))
        np.testing.assert_allclose(array(actual), array(layer(X, MASK)), rtol=1e-6)


def test_the_last_token_is_where_the_mask_ends_even_with_a_gap():
    mask = np.array([[True, False, True, False, False]])
    np.testing.assert_array_equal(array(MaskedPooling("last")(X[:1], mask)), X[:1, 2])


@every_mode
def test_gradient_stays_on_the_tokens(mode):
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(MaskedPooling(mode)(x, MASK))
    gradient = array(tape.gradient(total, x))
    assert (gradient[~MASK] == 0.0).all()
    np.testing.assert_allclose(gradient.sum(1), [[1.0] * 4, [1.0] * 4, [0.0] * 4], rtol=1e-6)


def test_another_mode():
    with pytest.raises(ValueError, match="mode must be 'max', 'mean' or 'last', not 'first'"):
        MaskedPooling("first")
