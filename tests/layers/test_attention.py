"""Attention over a memory, and the decoders that use it, against NumPy (attention_reference.py)."""

from __future__ import annotations

import attention_reference as reference
import numpy as np
import pytest
import tensorflow as tf

from zoo.contract.cases import array, randomize
from zoo.layers.attention import BahdanauAttention, LuongAttention, memory_attention
from zoo.layers.attention_decoder import AttentionCell, AttentionDecoder

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
KINDS = ("bahdanau", "luong_dot", "luong_general", "luong_concat")
CELLS = ("lstm", "gru", "simple_rnn")
DECODERS = [
    (kind, feeding) for kind in KINDS for feeding in (False, True) if kind != "bahdanau" or not feeding
]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_decoder = pytest.mark.parametrize(("kind", "input_feeding"), DECODERS)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(array(actual), expected, rtol=tolerance, atol=tolerance)


def attention_for(kind, query, memory):
    layer = memory_attention(kind, units=4)
    layer.build(query.shape, memory.shape)
    return randomize(layer)


@every_kind
def test_attention(kind):
    query, memory = normal(2, 6), normal(2, 5, 6, seed=1)
    layer = attention_for(kind, query, memory)
    context, weights = layer(query, layer.project_memory(memory), memory, memory_mask=MASK)
    expected_context, expected_weights = reference.attention(layer, query, memory, MASK)
    close(context, expected_context)
    close(weights, expected_weights)
    assert (array(weights)[1, 3:] == 0.0).all()


@every_kind
def test_attention_of_all_steps_at_once(kind):
    queries, memory = normal(2, 3, 6), normal(2, 5, 6, seed=1)
    layer = attention_for(kind, queries, memory)
    keys = layer.project_memory(memory)
    context, weights = layer(queries, keys, memory, memory_mask=MASK)
    for t in range(3):
        one_context, one_weights = layer(queries[:, t], keys, memory, memory_mask=MASK)
        close(context[:, t], array(one_context), 1e-6)
        close(weights[:, t], array(one_weights), 1e-6)


@every_kind
def test_attention_over_nothing_is_no_nan(kind):
    query, memory = normal(2, 6), normal(2, 5, 6, seed=1)
    layer = attention_for(kind, query, memory)
    _, weights = layer(query, layer.project_memory(memory), memory, memory_mask=np.zeros((2, 5), bool))
    close(weights, np.full((2, 5), 0.2), 1e-6)


def test_query_and_memory_of_two_widths():
    query, memory = normal(2, 3), normal(2, 5, 6, seed=1)
    for kind in ("bahdanau", "luong_general", "luong_concat"):
        layer = attention_for(kind, query, memory)
        context, _ = layer(query, layer.project_memory(memory), memory)
        close(context, reference.attention(layer, query, memory, np.ones((2, 5)))[0])
    with pytest.raises(ValueError, match="one width, got 3 and 6: use 'general'"):
        attention_for("luong_dot", query, memory)


def test_unknown_names():
    with pytest.raises(ValueError, match="one of dot, general, concat, not 'location'"):
        LuongAttention("location")
    for name in ("luong", "luong_location", "dot"):
        with pytest.raises(ValueError, match=f"bahdanau, luong_dot, .*, not '{name}'"):
            memory_attention(name, 4)
    with pytest.raises(ValueError, match="input feeding is Luong's"):
        AttentionCell(3, input_feeding=True)


def decoder_for(kind, input_feeding=False, cell="lstm", **keywords):
    """(decoder with random weights, its inputs, memory, first states)"""
    inputs, memory = normal(2, 4, 5), normal(2, 5, 6, seed=1)
    states = [normal(2, 6, seed=2 + i) for i in range(2 if cell == "lstm" else 1)]
    layer = AttentionDecoder(6, kind, cell, attention_units=4, input_feeding=input_feeding, **keywords)
    layer.build(inputs.shape, memory.shape)
    return randomize(layer), inputs, memory, states


@every_decoder
@pytest.mark.parametrize("cell", CELLS)
def test_decoder_whole_and_step_by_step(kind, input_feeding, cell):
    layer, inputs, memory, first = decoder_for(kind, input_feeding, cell)
    expected, expected_alignments, expected_states = reference.decoder(layer, inputs, memory, MASK, first)
    close(layer(inputs, memory, MASK, initial_state=first), expected)

    outputs, alignments = layer(inputs, memory, MASK, initial_state=first, return_alignments=True)
    close(outputs, expected)
    close(alignments, expected_alignments)
    close(array(alignments).sum(-1), np.ones((2, 4)), 1e-6)
    assert (array(alignments)[1, :, 3:] == 0.0).all()

    keys, states = layer.project_memory(memory), layer.initial_states(first)
    for t in range(inputs.shape[1]):
        output, states = layer.step(inputs[:, t], states, keys, memory, MASK)
        close(output, expected[:, t])
    for actual, wanted in zip(states, expected_states, strict=True):
        close(actual, wanted)


def test_a_decoder_starts_with_zeros_unless_told():
    for kind, input_feeding in (("luong_dot", False), ("luong_dot", True), ("bahdanau", False)):
        layer, inputs, memory, first = decoder_for(kind, input_feeding)
        zeros = [np.zeros_like(state) for state in first]
        close(layer(inputs, memory), array(layer(inputs, memory, initial_state=zeros)), 1e-6)


def test_a_decoder_forgets_the_memory_of_a_call():
    layer, inputs, memory, first = decoder_for("bahdanau")
    layer(inputs, memory, MASK, initial_state=first)
    assert layer.cell._seen is None  # a tensor of a traced function would outlive it
    layer.step(inputs[:, 0], first, layer.project_memory(memory), memory, MASK)
    assert layer.cell._seen is None


def test_a_decoder_is_as_wide_as_it_says():
    for kind, width in (("bahdanau", 9), ("luong_general", 3)):
        layer = AttentionDecoder(3, kind)
        assert layer.compute_output_shape((None, None, 4), (None, None, 6)) == (None, None, width)
        assert layer(normal(2, 4, 5), normal(2, 5, 6)).shape == (2, 4, width)


@pytest.mark.parametrize(
    ("kind", "input_feeding"), [("bahdanau", False), ("luong_dot", False), ("luong_general", True)]
)
def test_recurrent_dropout_is_drawn_anew_for_each_batch_and_only_in_training(kind, input_feeding):
    layer, inputs, memory, first = decoder_for(kind, input_feeding, "gru", recurrent_dropout=0.5)
    call = tf.function(lambda training: layer(inputs, memory, MASK, initial_state=first, training=training))
    still = array(call(False))
    close(still, reference.decoder(layer, inputs, memory, MASK, first)[0])
    one, two = array(call(True)), array(call(True))
    assert np.isfinite(one).all()
    assert np.abs(one - still).max() > 1e-3
    assert np.abs(one - two).max() > 1e-3
    close(call(False), still, 1e-6)


def gradients(layer, inputs, memory, first, xla):
    """Of a function that is told no length, as in training with batches of many shapes."""

    def shape(x):
        return tf.TensorSpec([None] * (x.ndim - 1) + [x.shape[-1]])

    signature = [
        shape(inputs),
        shape(memory),
        tf.TensorSpec((None, None), tf.bool),
        [shape(s) for s in first],
    ]

    @tf.function(jit_compile=xla, input_signature=signature)
    def step(inputs, memory, mask, first):
        with tf.GradientTape() as tape:
            tape.watch([inputs, memory])
            outputs = layer(inputs, memory, mask, initial_state=first, training=True)
            loss = tf.reduce_sum(outputs * tf.cos(tf.cumsum(tf.ones_like(outputs), -1)))
        return tape.gradient(loss, [inputs, memory, *(w.value for w in layer.trainable_variables)])

    found = step(inputs, memory, tf.constant(MASK), first)
    assert None not in found
    return [array(g) for g in found]


@pytest.mark.parametrize(
    ("kind", "input_feeding", "cell"),
    [
        ("bahdanau", False, "simple_rnn"),
        pytest.param("luong_general", True, "gru", marks=pytest.mark.slow),
        pytest.param("luong_dot", True, "simple_rnn", marks=pytest.mark.slow),
        pytest.param("luong_concat", False, "lstm", marks=pytest.mark.slow),
    ],
)
def test_gradients_reach_everything_and_are_the_same_under_xla(kind, input_feeding, cell):
    layer, inputs, memory, first = decoder_for(kind, input_feeding, cell)
    plain = gradients(layer, inputs, memory, first, xla=False)
    assert all(np.abs(g).max() > 1e-6 for g in plain)
    for a, b in zip(gradients(layer, inputs, memory, first, xla=True), plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@every_decoder
def test_gradients_reach_every_weight(kind, input_feeding):
    layer, inputs, memory, first = decoder_for(kind, input_feeding)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs, memory, MASK, initial_state=first) ** 2)
    found = tape.gradient(loss, [w.value for w in layer.trainable_variables])
    assert all(g is not None and np.abs(array(g)).max() > 1e-6 for g in found)


def test_the_keys_depend_on_the_memory_alone():
    memory = normal(2, 5, 6)
    layer = BahdanauAttention(4)
    layer.build((None, 3), memory.shape)
    close(layer.project_memory(memory), memory @ array(layer.memory_dense.kernel), 1e-5)
