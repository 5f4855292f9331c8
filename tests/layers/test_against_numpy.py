"""Every layer gives what its equation says, computed once more in NumPy (reference.py)."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import reference
from model_tools import array, randomize

from zoo.layers import (
    AttentionDecoder,
    AttentionLSTMCell,
    BahdanauAttention,
    FeedForward,
    MaskedPooling,
    MultiHeadAttention,
    SinusoidalPositionalEncoding,
    TiedEmbedding,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)
from zoo.layers.masks import causal_mask, key_mask

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(array(actual), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_multi_head_attention(heads):
    query, memory = normal(2, 3, 8), normal(2, 5, 8, seed=1)
    layer = MultiHeadAttention(heads)
    layer.build(query.shape, memory.shape)
    randomize(layer)
    allowed = np.broadcast_to(MASK[:, None], (2, 3, 5))
    close(layer(query, memory, key_mask(MASK)), reference.multi_head(layer, query, memory, allowed))
    close(layer(query, memory), reference.multi_head(layer, query, memory, np.ones((2, 3, 5))))


def test_multi_head_attention_takes_a_mask_for_each_query():
    x = normal(2, 5, 8)
    layer = MultiHeadAttention(2)
    layer.build(x.shape)
    randomize(layer)
    allowed = np.tril(np.ones((5, 5), bool))
    expected = reference.multi_head(layer, x, x, np.broadcast_to(allowed, (2, 5, 5)))
    close(layer(x, x, causal_mask(5)), expected)


def test_bahdanau_attention():
    query, memory = normal(2, 3), normal(2, 5, 6, seed=1)
    layer = BahdanauAttention(4)
    layer.build(query.shape, memory.shape)
    randomize(layer)
    context, weights = layer(query, layer.project_memory(memory), memory, memory_mask=MASK)
    expected_context, expected_weights = reference.additive_attention(layer, query, memory, MASK)
    close(context, expected_context)
    close(weights, expected_weights)
    assert (array(weights)[1, 3:] == 0.0).all()


def test_attention_lstm_cell():
    gates, h, c, memory = normal(2, 12), normal(2, 3, seed=1), normal(2, 3, seed=2), normal(2, 5, 6, seed=3)
    cell = AttentionLSTMCell(3, attention_units=4)
    cell.build(memory.shape)
    randomize(cell)
    cell.set_memory((cell.attention.project_memory(memory), memory, MASK))
    output, (new_h, new_c) = cell(gates, [h, c])
    for actual, expected in zip(
        (output, new_h, new_c), reference.attention_lstm_step(cell, gates, h, c, memory, MASK), strict=True
    ):
        close(actual, expected)


@pytest.fixture
def decoder():
    inputs, memory = normal(2, 4, 5), normal(2, 5, 6, seed=1)
    state = [normal(2, 3, seed=2), normal(2, 3, seed=3)]
    layer = AttentionDecoder(3, attention_units=4)
    layer.build(inputs.shape, memory.shape)
    return randomize(layer), inputs, memory, state


def test_attention_decoder(decoder):
    layer, inputs, memory, (h, c) = decoder
    expected = []
    for t in range(inputs.shape[1]):
        gates = reference.dense(layer.input_dense, inputs[:, t])
        output, h, c = reference.attention_lstm_step(layer.cell, gates, h, c, memory, MASK)
        expected.append(output)
    close(layer(inputs, memory, MASK, initial_state=decoder[3]), np.stack(expected, 1))


def test_attention_decoder_step_by_step(decoder):
    layer, inputs, memory, states = decoder
    whole = array(layer(inputs, memory, MASK, initial_state=states))
    keys = layer.project_memory(memory)
    for t in range(inputs.shape[1]):
        output, states = layer.step(inputs[:, t], states, keys, memory, MASK)
        close(output, whole[:, t], 1e-6)


def test_attention_decoder_forgets_the_memory_of_a_call(decoder):
    layer, inputs, memory, states = decoder
    layer(inputs, memory, MASK, initial_state=states)
    assert layer.cell._memory is None  # a tensor of a traced function would outlive it


def test_a_new_attention_decoder_keeps_its_memory():
    layer = AttentionDecoder(3)
    layer.build((None, None, 5), (None, None, 6))
    bias = array(layer.input_dense.bias)
    np.testing.assert_array_equal(bias, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])  # i, f, g, o


def test_sinusoidal_positions_are_the_published_ones():
    table = array(SinusoidalPositionalEncoding()(np.zeros((1, 4, 512), "float32")))[0]
    np.testing.assert_array_equal(table[0], np.tile([0.0, 1.0], 256))
    close(table[1, :4], [0.84147098, 0.54030231, 0.82185619, 0.56969501], 1e-6)
    close(table[3, :4], [0.14112001, -0.9899925, 0.24508542, -0.96950149], 1e-6)
    close(table[1, -2:], [1.0366329e-4, 1.0], 1e-6)  # sin(10000^(-510/512))


def test_sinusoidal_positions_are_added_from_any_start():
    layer, x = SinusoidalPositionalEncoding(), normal(2, 6, 8)
    whole = array(layer(x))
    assert np.abs(whole - x).max() > 0.5
    for t in range(6):
        close(layer(x[:, t : t + 1], start=t), whole[:, t : t + 1], 1e-6)


def test_sinusoidal_positions_far_away():
    row = array(SinusoidalPositionalEncoding()(np.zeros((1, 1, 8), "float32"), start=5000))[0, 0]
    angles = 5000.0 / 10000.0 ** (np.arange(0, 8, 2) / 8)
    close(row, np.stack([np.sin(angles), np.cos(angles)], -1).reshape(-1), 5e-4)  # float32 angles


def test_tied_embedding():
    layer = TiedEmbedding(10, 4, scale=2.0)
    layer.build()
    randomize(layer)
    matrix, bias = array(layer.embeddings), array(layer.bias)
    ids, x = np.array([[1, 9, 0]]), normal(2, 3, 4)
    close(layer(ids), 2.0 * matrix[ids])
    close(layer.logits(x), x @ matrix.T + bias)


def test_scaled_embeddings_start_with_unit_variance():
    keras.utils.set_random_seed(0)
    vectors = array(TiedEmbedding(2000, 64, scale=8.0)(np.arange(2000)))
    assert 0.95 < vectors.std() < 1.05


def test_feed_forward():
    x = normal(2, 3, 6)
    layer = FeedForward(10)
    layer.build(x.shape)
    randomize(layer)
    close(layer(x), reference.feed_forward(layer, x))


@pytest.mark.parametrize("normalize_first", [False, True], ids=["post-LN", "pre-LN"])
def test_encoder_block(normalize_first):
    x = normal(2, 5, 8)
    block = TransformerEncoderBlock(2, 16, normalize_first=normalize_first)
    block.build(x.shape)
    randomize(block)
    expected = reference.encoder_block(block, x, np.broadcast_to(MASK[:, None], (2, 5, 5)))
    close(block(x, attention_mask=key_mask(MASK)), expected)


@pytest.mark.parametrize("normalize_first", [False, True], ids=["post-LN", "pre-LN"])
def test_decoder_block_whole_and_step_by_step(normalize_first):
    x, memory = normal(2, 4, 8), normal(2, 5, 8, seed=1)
    block = TransformerDecoderBlock(2, 16, normalize_first=normalize_first)
    block.build(x.shape, memory.shape)
    randomize(block)
    causal = np.broadcast_to(np.tril(np.ones((4, 4), bool)), (2, 4, 4))
    expected = reference.decoder_block(block, x, memory, causal, np.broadcast_to(MASK[:, None], (2, 4, 5)))
    mask = key_mask(MASK)
    close(block(x, memory, attention_mask=causal_mask(4), memory_mask=mask), expected)

    cache = tuple(np.zeros((2, 2, 6, 4), "float32") for _ in range(2))  # two places more than are used
    projected = block.cross_attention.project_memory(memory)
    for t in range(4):
        output, cache = block.step(x[:, t : t + 1], t, cache, projected, mask)
        close(output, expected[:, t : t + 1])


def test_pooling_over_real_tokens_only():
    x = normal(2, 5, 3) - 5.0  # all negative: a padded zero would win the maximum
    rows = [x[0], x[1, :3]]
    close(MaskedPooling("max")(x, MASK), [row.max(0) for row in rows])
    close(MaskedPooling("mean")(x, MASK), [row.mean(0) for row in rows])


@pytest.mark.parametrize("mode", ["max", "mean"])
def test_pooling_over_nothing_is_zero(mode):
    pooled = MaskedPooling(mode)(normal(1, 5, 3), np.zeros((1, 5), bool))
    np.testing.assert_array_equal(array(pooled), 0.0)  # a huge number here becomes infinite in the next layer
