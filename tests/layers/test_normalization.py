"""The norms: against their equations, against Keras's layers, and blind to padding."""

from __future__ import annotations

import block_reference as reference
import keras
import numpy as np
import pytest
import tensorflow as tf
from model_tools import array, randomize

from zoo.layers import LayerNormalization, MaskedBatchNormalization, RMSNormalization
from zoo.layers.normalization import NORMALIZATIONS, normalization_layer, standardize

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
PAIRS = {
    "layer": (LayerNormalization(), lambda: keras.layers.LayerNormalization(epsilon=1e-6)),
    "rms": (RMSNormalization(), lambda: keras.layers.RMSNormalization(epsilon=1e-6)),
}


def normal(*shape, seed=0):
    return (3.0 * np.random.default_rng(seed).normal(size=shape) + 1.0).astype("float32")


def gradients(layer, x, weights_of_sum, **arguments):
    """Of a weighed sum of the outputs: with respect to x and to each weight."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x, **arguments) * weights_of_sum)
    return [array(g) for g in tape.gradient(total, [x, *[w.value for w in layer.trainable_variables]])]


@pytest.mark.parametrize("kind", PAIRS)
def test_as_the_equation_says_and_as_keras(kind):
    x, g = normal(4, 5, 8), normal(4, 5, 8, seed=1)
    ours, make = PAIRS[kind]
    theirs = make()
    ours.build(x.shape)
    theirs.build(x.shape)
    randomize(ours)
    theirs.set_weights(ours.get_weights())
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    np.testing.assert_allclose(array(ours(x)), reference.norm(ours, x, kind), atol=1e-5)
    np.testing.assert_allclose(array(ours(x)), array(theirs(x)), atol=1e-5)
    for mine, other in zip(gradients(ours, x, g), gradients(theirs, x, g), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


@pytest.mark.parametrize("center", [True, False], ids=["centred", "rms"])
def test_the_written_gradient_is_the_slope(center):
    """Against differences of the equation in float64."""
    x, g = np.random.default_rng(0).normal(size=(3, 6)), np.random.default_rng(1).normal(size=(3, 6))

    def value(x):
        c = x - x.mean(-1, keepdims=True) if center else x
        return (g * c / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-6)).sum()

    slope, step = np.zeros_like(x), 1e-6
    for place in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[place], down[place] = up[place] + step, down[place] - step
        slope[place] = (value(up) - value(down)) / (2 * step)
    tensor = tf.constant(x.astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        total = tf.reduce_sum(standardize(tensor, 1e-6, center) * g.astype("float32"))
    np.testing.assert_allclose(array(tape.gradient(total, tensor)), slope, atol=1e-4)


@pytest.mark.parametrize("kind", PAIRS)
def test_nothing_in_gives_nothing_out(kind):
    layer, x = normalization_layer(kind), np.zeros((1, 2, 4), "float32")
    layer.build(x.shape)
    np.testing.assert_array_equal(array(layer(x)), 0.0)
    assert all(np.isfinite(g).all() for g in gradients(layer, x, np.ones_like(x)))


@pytest.fixture
def batch_norm():
    layer = MaskedBatchNormalization(momentum=0.9)
    layer.build((None, None, 6))
    randomize(layer)
    layer.moving_variance.assign(np.linspace(0.5, 2.0, 6))
    return layer


def test_batch_norm_of_the_real_tokens(batch_norm):
    x = normal(2, 5, 6)
    before = [array(batch_norm.moving_mean), array(batch_norm.moving_variance)]
    real = np.concatenate([x[0], x[1, :3]]).astype("float64")  # the 8 tokens
    mean, variance = real.mean(0), real.var(0)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * reference.exact(batch_norm.gamma)
    y = array(batch_norm(x, MASK, training=True))
    np.testing.assert_allclose(y[MASK], (expected + reference.exact(batch_norm.beta))[MASK], atol=1e-5)
    np.testing.assert_allclose(array(batch_norm.moving_mean), 0.9 * before[0] + 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(array(batch_norm.moving_variance), 0.9 * before[1] + 0.1 * variance, atol=1e-5)


def test_batch_norm_does_not_see_padding(batch_norm):
    x, wider = normal(2, 5, 6), np.full((2, 9, 6), 1e6, "float32")
    x[~MASK] = -1e6
    wider[:, :5] = np.where(MASK[..., None], x, 7.0)
    start = batch_norm.get_weights()
    first, moved = array(batch_norm(x, MASK, training=True)), batch_norm.get_weights()
    batch_norm.set_weights(start)
    second = array(batch_norm(wider, np.pad(MASK, ((0, 0), (0, 4))), training=True))
    np.testing.assert_allclose(second[:, :5][MASK], first[MASK], atol=1e-5)
    for a, b in zip(batch_norm.get_weights(), moved, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_batch_norm_outside_training_is_its_averages(batch_norm):
    x = normal(2, 5, 6)
    expected = reference.norm(batch_norm, x, "batch")
    start = batch_norm.get_weights()
    np.testing.assert_allclose(array(batch_norm(x, MASK)), expected, atol=1e-5)
    batch_norm.trainable = False
    np.testing.assert_allclose(array(batch_norm(x, MASK, training=True)), expected, atol=1e-5)
    for a, b in zip(batch_norm.get_weights(), start, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "XLA"])
def test_a_batch_without_tokens_changes_nothing(batch_norm, compiled):
    x, nothing = normal(2, 5, 6), np.zeros((2, 5), bool)
    start = batch_norm.get_weights()
    call = tf.function(batch_norm, jit_compile=True, autograph=False) if compiled else batch_norm
    assert np.isfinite(array(call(x, tf.constant(nothing), training=True))).all()
    for a, b in zip(batch_norm.get_weights(), start, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(np.isfinite(g).all() for g in gradients(batch_norm, x, x, padding_mask=nothing, training=True))


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_batch_norm_as_keras(batch_norm, masked):
    x, g = normal(2, 5, 6), normal(2, 5, 6, seed=1)
    theirs = keras.layers.BatchNormalization(momentum=0.9)
    theirs.build(x.shape)
    theirs.set_weights(batch_norm.get_weights())
    mask = MASK if masked else None
    g = g * MASK[..., None] if masked else g
    mine = gradients(batch_norm, x, g, padding_mask=mask, training=True)
    other = gradients(theirs, x, g, mask=None if mask is None else tf.constant(mask), training=True)
    for a, b in zip(mine, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    for a, b in zip(batch_norm.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_names_of_recipes():
    assert {kind: type(normalization_layer(kind)) for kind in NORMALIZATIONS} == NORMALIZATIONS
    with pytest.raises(ValueError, match="one of layer, rms, batch, not 'group'"):
        normalization_layer("group")
