"""Convolution: against NumPy, against Keras's own layer, and blind to padding."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_tools import array, randomize

from zoo.layers import MaskedConv1D

MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0] * 6], bool)
X = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
every_form = pytest.mark.parametrize(
    "form",
    [
        dict(kernel_size=3),
        dict(kernel_size=4, activation="relu"),
        dict(kernel_size=1, use_bias=False),
        dict(kernel_size=3, padding="causal", activation="tanh"),
        dict(kernel_size=2, padding="causal", dilation_rate=2),
        dict(kernel_size=3, dilation_rate=2),
        dict(kernel_size=9),
    ],
    ids=str,
)


def make(form, **keywords):
    layer = MaskedConv1D(5, **form, **keywords)
    layer.build((None, None, 4))
    return randomize(layer)


def by_hand(layer, x, mask, form):
    """`y_t = f(sum_k x_{t+k-p} W_k + b)`, one place after the other."""
    kernel = array(layer.kernel).astype("float64")
    size, rate = form["kernel_size"], form.get("dilation_rate", 1)
    back = rate * (size - 1)
    back = back if form.get("padding") == "causal" else back // 2
    y = np.zeros((*x.shape[:2], kernel.shape[-1]))
    for b, t, k in np.ndindex(*x.shape[:2], size):
        seen = t + k * rate - back
        if 0 <= seen < x.shape[1] and mask[b, seen]:
            y[b, t] += x[b, seen] @ kernel[k]
    y = y + (array(layer.bias) if form.get("use_bias", True) else 0.0)
    return {"relu": lambda v: np.maximum(v, 0.0), "tanh": np.tanh, None: lambda v: v}[form.get("activation")](
        y
    )


@every_form
def test_against_numpy(form):
    layer = make(form)
    np.testing.assert_allclose(array(layer(X, MASK)), by_hand(layer, X, MASK, form), atol=1e-5)
    everything = np.ones_like(MASK)
    np.testing.assert_allclose(array(layer(X)), by_hand(layer, X, everything, form), atol=1e-5)


@every_form
def test_without_padding_it_is_keras_own(form):
    layer, own = make(form), keras.layers.Conv1D(5, **{"padding": "same", **form})
    own.build((None, None, 4))
    own.set_weights(layer.get_weights())
    results = []
    for convolve in (lambda x: layer(x, np.ones_like(MASK)), own):
        with tf.GradientTape() as tape:
            x = tf.constant(X)
            tape.watch(x)
            y = convolve(x)
            loss = tf.reduce_sum(tf.sin(y))
        weights = layer.weights if convolve is not own else own.weights
        results.append([y, *tape.gradient(loss, [x, *(w.value for w in weights)])])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(array(ours), array(theirs), atol=1e-5)


@every_form
def test_what_stands_at_padding_changes_nothing(form):
    layer, real = make(form), MASK
    other = np.where(MASK[..., None], X, np.float32(np.nan))  # NaN: a product with 0 would not be enough
    np.testing.assert_array_equal(array(layer(other, MASK)), array(layer(X, MASK)))
    longer = layer(np.pad(X, ((0, 0), (0, 5), (0, 0)), constant_values=9.0), np.pad(MASK, ((0, 0), (0, 5))))
    np.testing.assert_allclose(array(longer)[:, :6][real], array(layer(X, MASK))[real], atol=1e-6)
    alone = layer(X[1:2, :3])
    np.testing.assert_allclose(array(alone), array(layer(X, MASK))[1:2, :3], atol=1e-6)


def test_causal_sees_the_past_alone():
    layer = make(dict(kernel_size=3, padding="causal"))
    before = array(layer(X[:1]))[0]
    for t in range(6):
        changed = X[:1].copy()
        changed[0, t] += 1.0
        difference = np.abs(array(layer(changed))[0] - before).max(-1)
        np.testing.assert_array_equal(difference > 1e-4, [t <= place < t + 3 for place in range(6)])


def test_open_shapes_and_xla():
    layer = make(dict(kernel_size=4))
    signature = [tf.TensorSpec([None, None, 4], tf.float32), tf.TensorSpec([None, None], tf.bool)]
    for options in (dict(input_signature=signature), dict(jit_compile=True)):
        actual = tf.function(layer, autograph=False, **options)(tf.constant(X), tf.constant(MASK))
        np.testing.assert_allclose(array(actual), array(layer(X, MASK)), atol=1e-5)


def test_config_round_trip():
    layer = make(dict(kernel_size=4, padding="causal", activation="relu", dilation_rate=2))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(array(again(X, MASK)), array(layer(X, MASK)))


def test_a_padding_that_drops_places():
    with pytest.raises(ValueError, match="padding must be 'same' or 'causal', not 'valid'"):
        MaskedConv1D(5, 3, padding="valid")


def test_strides_would_need_another_mask():
    with pytest.raises(ValueError, match="strides must be 1, not 2"):
        MaskedConv1D(5, 3, strides=2)
