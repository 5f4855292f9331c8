"""A small case of every exported layer: its config, and how it is built and called.

The masks hold a row that is shorter and a row of nothing but padding.
"""

from __future__ import annotations

import keras
import numpy as np

import zoo.layers
from zoo.contract.layer_cases import LayerCase, built_with
from zoo.layers.masks import causal_mask, content_mask, key_mask, query_mask

MASK = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool)
X = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
STATE = [X[:, 0, :6], X[:, 1, :6]]
PLACES = np.arange(4)
ORDER, ASKED = np.array([[0, 1, 2, 0], [2, 1, 0, 0]]), np.array([[1, 2], [1, 2]])
HEADS = X.reshape(2, 4, 2, 4).transpose(0, 2, 1, 3)


def memory_attention(layer):
    layer.build((2, 8), X.shape)

    def call():
        x = keras.ops.cast(X, layer.compute_dtype)
        return layer(X[:, 0], layer.project_memory(x), x, memory_mask=MASK)

    return call


def attention_cell(layer):
    layer.build((2, 8), X.shape)

    def call():
        x, *states = (keras.ops.cast(a, layer.compute_dtype) for a in (X, *STATE))
        layer.set_memory(layer.attention.project_memory(x), x, MASK)
        output, _ = layer(layer.recurrent.cell.project(X[:, 0]), states)
        layer.forget_memory()
        return output

    return call


def crf(layer):
    """Its potentials hold the impossible, of which a gradient would drown all others: their likelihood."""
    layer.build(X.shape)
    return lambda: layer.log_likelihood(layer(X, MASK), np.zeros((2, 4), "int32"), MASK)


def tied_embedding(layer):
    layer.build()
    return lambda: layer.logits(layer(np.array([[4, 8, 0], [0, 0, 0]])))


SELF, BOTH = built_with(X.shape), built_with(X.shape, X.shape)
ONE_STEP, ALL_STEPS = SELF(X[:, 0], STATE), SELF(X, mask=MASK)
SIZES = dict(num_heads=2, intermediate_dim=16, dropout=0.1)
CASES = {
    "SimpleRNNCell": (dict(units=6, dropout=0.1), built_with((2, 8))(X[:, 0], STATE[:1])),
    "LSTMCell": (dict(units=6, recurrent_dropout=0.1), built_with((2, 8))(X[:, 0], STATE)),
    "GRUCell": (dict(units=6, reset_after=False), built_with((2, 8))(X[:, 0], STATE[:1])),
    "SimpleRNN": (dict(units=6, return_sequences=True), ALL_STEPS),
    "LSTM": (dict(units=6, return_sequences=True, recurrent_dropout=0.1), ALL_STEPS),
    "GRU": (dict(units=6, return_state=True), ALL_STEPS),
    "Bidirectional": (lambda: dict(layer=zoo.layers.LSTM(3, return_sequences=True)), ALL_STEPS),
    "BahdanauAttention": (dict(units=5), memory_attention),
    "LuongAttention": (dict(score="concat", units=5), memory_attention),
    "AttentionCell": (dict(units=6, attention_units=5), attention_cell),
    "AttentionDecoder": (
        dict(units=6, attention="luong_general", input_feeding=True),
        BOTH(X, X, MASK, initial_state=STATE),
    ),
    "ScaledDotProductAttention": (
        dict(dropout=0.1, query_chunk=2),
        built_with(HEADS.shape, HEADS.shape, HEADS.shape)(HEADS, HEADS, HEADS, key_mask(MASK)),
    ),
    "MultiHeadAttention": (
        dict(num_heads=4, dropout=0.1, num_key_value_heads=2, rotary=True),
        BOTH(X, X, key_mask(MASK)),
    ),
    "SinusoidalPositionalEncoding": (dict(max_wavelength=100.0), SELF(X)),
    "LearnedPositionalEncoding": (dict(max_sequence_length=9), SELF(X)),
    "RotaryEmbedding": (dict(max_wavelength=100.0), built_with(HEADS.shape)(HEADS)),
    "ALiBi": (dict(num_heads=3), built_with()(PLACES, PLACES)),
    "T5RelativeBias": (dict(num_heads=3, num_buckets=8, max_distance=16), built_with()(PLACES, PLACES)),
    "TransformerXLPositions": (
        dict(num_heads=2, width=6, max_wavelength=100.0),
        built_with(HEADS.shape)(HEADS, num_keys=5, start=2),
    ),
    "LayerNormalization": (dict(epsilon=1e-5), SELF(X)),
    "RMSNormalization": (dict(epsilon=1e-5), SELF(X)),
    "MaskedBatchNormalization": (dict(momentum=0.9), SELF(X, MASK)),
    "FeedForward": (dict(intermediate_dim=7, activation="swiglu", dropout=0.1), SELF(X)),
    "TransformerEncoderBlock": (
        dict(**SIZES, activation="gelu", normalize_first=True, normalization="rms"),
        SELF(X, attention_mask=key_mask(MASK)),
    ),
    "TransformerDecoderBlock": (
        dict(**SIZES, attention_dropout=0.2, activation="geglu", num_key_value_heads=1, rotary=True),
        BOTH(X, X, attention_mask=causal_mask(4), memory_mask=key_mask(MASK)),
    ),
    "TwoStreamBlock": (
        dict(**SIZES, normalize_first=True, num_key_value_heads=1, transformer_xl=True),
        built_with(X.shape, X[:, :2].shape)(
            X,
            attention_mask=content_mask(ORDER) & key_mask(MASK),
            queries=X[:, :2],
            places=ASKED,
            query_mask=query_mask(ASKED, ORDER) & key_mask(MASK),
        ),
    ),
    "TiedEmbedding": (dict(vocabulary_size=9, hidden_dim=8, scale=3.0, stddev=0.1), tied_embedding),
    "Dropout": (dict(rate=0.5, seed=3), SELF(X)),
    "LanguageModelHead": (dict(vocabulary_size=9), SELF(X)),
    "MaskedLMHead": (dict(vocabulary_size=9), built_with(X.shape, (9, 8))(X, np.tile(X[0], (3, 1))[:9])),
    "ClassifierHead": (dict(num_classes=3, pooling="max", dropout=0.1), SELF(X, MASK)),
    "TaggerHead": (dict(num_classes=3, dropout=0.1), SELF(X)),
    "MaskedPooling": (dict(mode="mean"), SELF(X, MASK)),
    "MaskedConv1D": (dict(filters=5, kernel_size=3, activation="relu"), SELF(X, MASK)),
    "CRF": (dict(num_tags=8), crf),
}
FLOAT32 = {
    *("MaskedPooling", "CRF", "ALiBi", "T5RelativeBias", "TiedEmbedding"),
    *("LanguageModelHead", "MaskedLMHead", "ClassifierHead", "TaggerHead"),
}
"""Sums, scores and logits, which are float32 whatever the policy."""


def case(name: str) -> LayerCase:
    config, use = CASES[name]
    config = config() if callable(config) else config
    return LayerCase(name, getattr(zoo.layers, name), config, use, keeps_float32=name in FLOAT32)
