"""What holds for every exported layer: it comes back from its config, and survives low precision."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from model_tools import array, randomize

import zoo.layers
from zoo.layers import MaskedPooling, MultiHeadAttention, SinusoidalPositionalEncoding
from zoo.layers.masks import causal_mask, key_mask

MASK = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool)  # the second row is all padding
X = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
STATE = [X[:, 0, :6], X[:, 1, :6]]


def bahdanau(layer):
    layer.build((2, 8), X.shape)
    yield
    x = keras.ops.cast(X, layer.compute_dtype)
    yield layer(X[:, 0], layer.project_memory(x), x, memory_mask=MASK)[0]


def lstm_cell(layer):
    layer.build(X.shape)
    yield
    x = keras.ops.cast(X, layer.compute_dtype)
    layer.set_memory((layer.attention.project_memory(x), x, MASK))
    gates = np.tile(X[:, 0], 3)
    yield layer(gates, STATE)[0]


def built_with(*shapes):
    """How to build a layer, and then to call it with the arguments of the table."""

    def use(*arguments, **keywords):
        def run(layer):
            layer.build(*shapes)
            yield
            yield layer(*arguments, **keywords)

        return run

    return use


SELF, BOTH = built_with(X.shape), built_with(X.shape, X.shape)
LAYERS = {
    "AttentionDecoder": (dict(units=6, attention_units=5), BOTH(X, X, MASK, initial_state=STATE)),
    "AttentionLSTMCell": (dict(units=6, attention_units=5), lstm_cell),
    "BahdanauAttention": (dict(units=5), bahdanau),
    "FeedForward": (dict(intermediate_dim=7, activation="gelu", dropout=0.1), SELF(X)),
    "MaskedPooling": (dict(mode="mean"), SELF(X, MASK)),
    "MultiHeadAttention": (dict(num_heads=4, dropout=0.1), BOTH(X, X, key_mask(MASK))),
    "SinusoidalPositionalEncoding": (dict(max_wavelength=100.0), SELF(X)),
    "TiedEmbedding": (
        dict(vocabulary_size=9, hidden_dim=8, scale=3.0, stddev=0.1),
        built_with(None)(np.array([[4, 8, 0], [0, 0, 0]])),
    ),
    "TransformerDecoderBlock": (
        dict(num_heads=2, intermediate_dim=16, dropout=0.1, attention_dropout=0.2, activation="gelu"),
        BOTH(X, X, attention_mask=causal_mask(4), memory_mask=key_mask(MASK)),
    ),
    "TransformerEncoderBlock": (
        dict(num_heads=2, intermediate_dim=16, dropout=0.1, activation="gelu", normalize_first=True),
        SELF(X, attention_mask=key_mask(MASK)),
    ),
}
every_layer = pytest.mark.parametrize("name", sorted(LAYERS))


def make(name, **keywords):
    return getattr(zoo.layers, name)(**LAYERS[name][0], **keywords)


def output(name, layer, weights=None):
    """Builds the layer, gives it weights, calls it."""
    run = LAYERS[name][1](layer)
    next(run)
    if weights is None:
        randomize(layer, spread=0.3)
    else:
        layer.set_weights(weights)
    return next(run)


def test_the_table_is_complete():
    assert set(LAYERS) == set(zoo.layers.__all__)


@every_layer
def test_config_round_trip(name):
    layer = make(name, dtype="mixed_bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.dtype_policy.name == "mixed_bfloat16"
    for argument, value in LAYERS[name][0].items():
        assert getattr(again, argument) == value
    expected = array(output(name, layer))
    np.testing.assert_array_equal(array(output(name, again, layer.get_weights())), expected)


@every_layer
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision(name, policy):
    exact = make(name)
    expected = array(output(name, exact))
    layer = make(name, dtype=policy)
    actual = output(name, layer, exact.get_weights())
    assert np.isfinite(array(actual)).all()
    if name != "MaskedPooling":  # sums and maxima, in float32 always
        assert policy.removeprefix("mixed_") in str(actual.dtype)
    np.testing.assert_allclose(array(actual), expected, atol=0.08)
    assert {str(w.dtype) for w in layer.weights} <= {"float32"}


def test_heads_that_do_not_divide_the_width():
    with pytest.raises(ValueError, match="num_heads 3 does not divide the width 8"):
        MultiHeadAttention(3)(X, X)


def test_odd_width_of_positions():
    with pytest.raises(ValueError, match="even width, got 7"):
        SinusoidalPositionalEncoding()(X[..., :7])


def test_unknown_pooling():
    with pytest.raises(ValueError, match="'max' or 'mean', not 'last'"):
        MaskedPooling("last")


def test_dropout_is_for_training():
    layer = MultiHeadAttention(2, dropout=0.5)
    still = array(layer(X, X))
    np.testing.assert_array_equal(array(layer(X, X, training=False)), still)
    assert np.abs(array(layer(X, X, training=True)) - still).max() > 1e-3
