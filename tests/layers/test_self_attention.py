"""Attention by dot products, in one head and in many: against NumPy, against Keras, whole and in parts."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from keras import ops
from model_tools import array, randomize

from zoo.layers import ALiBi, MultiHeadAttention, ScaledDotProductAttention, T5RelativeBias
from zoo.layers.masks import cache_mask, causal_mask, key_mask, sliding_window_mask
from zoo.layers.portable import put

TOKENS = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(array(actual), array(expected), rtol=tolerance, atol=tolerance)


def tensors(query_heads=4, key_heads=4, queries=7, keys=5, width=3):
    shapes = (query_heads, queries), (key_heads, keys), (key_heads, keys)
    return [tf.constant(normal(2, *shape, width, seed=i)) for i, shape in enumerate(shapes)]


def attend_one_by_one(queries, keys, values, mask=None, bias=0.0, scale=True):
    """One query after the other; the heads of keys repeated for their groups."""
    queries, keys, values = (array(x).astype("float64") for x in (queries, keys, values))
    group = queries.shape[1] // keys.shape[1]
    shape = (*queries.shape[:3], keys.shape[2])
    mask = np.ones(shape, bool) if mask is None else np.broadcast_to(mask, shape)
    bias = np.broadcast_to(bias, shape)
    read, weights = np.zeros((*shape[:3], values.shape[3])), np.zeros(shape)
    for b, h, t in np.ndindex(*shape[:3]):
        seen = np.flatnonzero(mask[b, h, t])
        scores = keys[b, h // group, seen] @ queries[b, h, t] / (np.sqrt(queries.shape[3]) if scale else 1.0)
        weights[b, h, t, seen] = reference.softmax(scores + bias[b, h, t, seen])
        read[b, h, t] = weights[b, h, t] @ values[b, h // group]
    return read, weights


def random_mask(*shape):
    mask = np.random.default_rng(3).random(shape) > 0.4
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize("key_heads", [4, 2, 1], ids=["multi-head", "grouped-query", "multi-query"])
@pytest.mark.parametrize("scale", [True, False])
def test_dot_product_attention(key_heads, scale):
    inputs, layer = tensors(key_heads=key_heads), ScaledDotProductAttention(scale=scale)
    mask, bias = random_mask(2, 4, 7, 5), normal(1, 4, 7, 5, seed=5)
    for given in ({}, {"mask": mask}, {"bias": bias}, {"mask": mask, "bias": bias}):
        keywords = {f"attention_{name}": x for name, x in given.items()}
        read, weights = layer(*inputs, **keywords, return_attention_scores=True)
        expected, expected_weights = attend_one_by_one(*inputs, **given, scale=scale)
        close(read, expected)
        close(weights, expected_weights)
        close(layer(*inputs, **keywords), read, 0)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_multi_head_attention(heads):
    query, memory = normal(2, 3, 8), normal(2, 5, 8, seed=1)
    layer = MultiHeadAttention(heads)
    layer.build(query.shape, memory.shape)
    randomize(layer)
    allowed = np.broadcast_to(TOKENS[:, None], (2, 3, 5))
    close(layer(query, memory, key_mask(TOKENS)), reference.multi_head(layer, query, memory, allowed), 2e-5)
    close(layer(query, memory), reference.multi_head(layer, query, memory, np.ones((2, 3, 5))), 2e-5)


@pytest.mark.parametrize("mask", [causal_mask, lambda length: sliding_window_mask(length, 2, causal=False)])
def test_multi_head_attention_takes_a_mask_for_each_query(mask):
    x = normal(2, 5, 8)
    layer = MultiHeadAttention(2)
    layer.build(x.shape)
    randomize(layer)
    both = np.broadcast_to(array(mask(5) & key_mask(TOKENS)), (2, 1, 5, 5))[:, 0]
    both = both | ~both.any(
        -1, keepdims=True
    )  # a query that sees nothing reads the mean, which is not asked here
    expected = reference.multi_head(layer, x, x, both)
    close(layer(x, x, both[:, None]), expected, 2e-5)


def keras_twin(layer, width):
    """Keras's own layer with the weights of ours, and how it is called."""
    heads, groups, each = layer.num_heads, layer.num_key_value_heads, layer.head_dim
    if groups == heads:
        twin = keras.layers.MultiHeadAttention(heads, each)
    else:
        twin = keras.layers.GroupQueryAttention(each, heads, groups)
    twin.build((None, None, width), (None, None, width))
    shapes = dict(query=(width, heads, each), key=(width, groups, each), value=(width, groups, each))
    for name in ("query", "key", "value", "output"):
        ours, theirs = getattr(layer, f"{name}_dense"), getattr(twin, f"_{name}_dense")
        theirs.kernel.assign(ops.reshape(ours.kernel, shapes.get(name, (heads, each, width))))
        theirs.bias.assign(ops.reshape(ours.bias, theirs.bias.shape))
    return twin


def weights_of(layer):
    names = ("query", "key", "value", "output")
    denses = [getattr(layer, f"{n}_dense", None) or getattr(layer, f"_{n}_dense") for n in names]
    return [w for dense in denses for w in (dense.kernel.value, dense.bias.value)]


@pytest.mark.parametrize("groups", [None, 2, 1], ids=["MultiHeadAttention", "grouped-query", "multi-query"])
@pytest.mark.parametrize("query_chunk", [None, 3])
def test_the_same_as_keras(groups, query_chunk):
    query, memory = tf.constant(normal(2, 7, 8)), tf.constant(normal(2, 5, 8, seed=1))
    layer = MultiHeadAttention(4, num_key_value_heads=groups, query_chunk=query_chunk)
    layer.build(query.shape, memory.shape)
    twin = keras_twin(randomize(layer), 8)
    mask = random_mask(2, 7, 5)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([query, memory])
        ours = layer(query, memory, mask[:, None], training=True)
        theirs = twin(query, memory, attention_mask=mask, training=True)
        losses = [tf.reduce_sum(tf.sin(y)) for y in (ours, theirs)]
    close(ours, theirs)
    for mine, its in zip(
        *(
            tape.gradient(loss, [query, memory, *weights_of(own)])
            for loss, own in zip(losses, (layer, twin), strict=True)
        ),
        strict=True,
    ):
        close(tf.reshape(mine, [-1]), tf.reshape(its, [-1]), 1e-4)
    if query_chunk is None:
        _, weights = layer(query, memory, mask[:, None], return_attention_scores=True)
        close(weights, twin(query, memory, attention_mask=mask, return_attention_scores=True)[1])


def value_and_gradients(layer, inputs, mask, compiled=None, unknown=False):
    """What is read, and the gradients of all floats: queries, keys, values, bias."""

    def run(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = layer(*inputs[:3], attention_mask=mask, attention_bias=inputs[3], training=True)
            loss = tf.reduce_sum(tf.sin(3.0 * y))
        return (y, *tape.gradient(loss, inputs))

    if compiled is not None:
        spec = [tf.TensorSpec([*x.shape[:2], None, None if i == 3 else 3]) for i, x in enumerate(inputs)]
        run = tf.function(run, jit_compile=compiled, input_signature=spec if unknown else None)
    return [array(x) for x in run(*inputs)]


@pytest.mark.parametrize(
    "how",
    [{}, {"compiled": False, "unknown": True}, {"compiled": True}],
    ids=["eager", "unknown length", "XLA"],
)
def test_chunks_change_nothing(how):
    inputs = [*tensors(key_heads=2), tf.constant(normal(1, 4, 7, 5, seed=5))]
    for mask in (random_mask(7, 5), random_mask(2, 1, 1, 5)):
        expected = value_and_gradients(ScaledDotProductAttention(), inputs, mask)
        for actual, exact in zip(
            value_and_gradients(ScaledDotProductAttention(query_chunk=3), inputs, mask, **how),
            expected,
            strict=True,
        ):
            close(actual, exact, 2e-5)


def test_a_chunk_that_holds_all():
    inputs, layer = tensors(), ScaledDotProductAttention(query_chunk=7)
    close(layer(*inputs), ScaledDotProductAttention()(*inputs), 0)


@pytest.mark.parametrize("query_chunk", [None, 3])
def test_dropout_drops_weights(query_chunk):
    queries, keys, _ = tensors(queries=6)
    values = tf.eye(5, batch_shape=[2, 4])  # what is read is then the weights
    layer = ScaledDotProductAttention(dropout=0.5, query_chunk=query_chunk)
    still = array(layer(queries, keys, values))
    first, second = (array(layer(queries, keys, values, training=True)) for _ in range(2))
    kept = first != 0
    close(first[kept], 2.0 * still[kept])
    assert 0.35 < kept.mean() < 0.65
    assert (kept != (second != 0)).any()
    assert (kept[:, :, :3] != kept[:, :, 3:]).any()  # each chunk draws for itself


@pytest.mark.parametrize("query_chunk", [None, 3])
def test_what_is_computed_again_drops_the_same(query_chunk):
    queries, keys, values = tensors()
    layer = ScaledDotProductAttention(dropout=0.5, query_chunk=query_chunk)
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(layer(queries, keys, values, training=True))
    # The sum is linear in the values as long as the dropped weights are the same on the way back.
    assert float(tf.reduce_sum(tape.gradient(total, values) * values)) == pytest.approx(
        float(total), rel=1e-4
    )


POSITIONS = {
    "none": (dict(), None),
    "rotary": (dict(rotary=True), None),
    "alibi": (dict(), lambda: ALiBi(4)),
    "t5": (dict(), lambda: T5RelativeBias(4, num_buckets=6, max_distance=5, bidirectional=False)),
    "transformer_xl": (dict(transformer_xl=True), None),
    "grouped transformer_xl": (dict(transformer_xl=True, num_key_value_heads=2, query_chunk=2), None),
    "grouped": (dict(rotary=True, num_key_value_heads=2, query_chunk=2), lambda: ALiBi(4)),
}


@pytest.mark.parametrize("positions", POSITIONS)
def test_one_step_after_the_other_with_a_cache(positions):
    options, make_bias = POSITIONS[positions]
    x, slots = normal(2, 5, 16), 7  # two slots more than are used
    layer = MultiHeadAttention(4, **options)
    layer.build(x.shape)
    randomize(layer, spread=0.4)
    bias = make_bias() if make_bias else None
    if bias:
        bias.build()
        randomize(bias)

    def biased(queries, keys):
        return bias(queries, keys) if bias else None

    whole = array(layer(x, x, causal_mask(5), attention_bias=biased(ops.arange(5), ops.arange(5))))
    cache = [np.zeros((2, layer.num_key_value_heads, slots, 4), "float32")] * 2
    for t in range(5):
        now = x[:, t : t + 1]
        new = layer.project_memory(now, start=t)
        cache = [put(old, t, n, axis=2) for old, n in zip(cache, new, strict=True)]
        seen, added = cache_mask(slots, t), biased(ops.reshape(t, (1,)), ops.arange(slots))
        close(layer.attend(now, *cache, seen, attention_bias=added, start=t), whole[:, t : t + 1], 2e-5)


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5", "transformer_xl"])
def test_positions_change_what_is_read(positions):
    """Without them, attention to the same tokens in another order reads the same."""
    options, make_bias = POSITIONS[positions]
    x = normal(1, 6, 16)
    swapped = x[:, [0, 3, 2, 1, 4, 5]]
    for own, changes in ((options, True), ({}, False)):
        layer = MultiHeadAttention(4, **own)
        layer.build(x.shape)
        randomize(layer)
        bias = None
        if changes and make_bias:
            bias = make_bias()
            bias.build()
            bias = randomize(bias)(ops.arange(6), ops.arange(6))
        a, b = (array(layer(y, y, attention_bias=bias))[:, -1] for y in (x, swapped))
        assert (np.abs(a - b).max() > 1e-3) == changes


@pytest.mark.parametrize("query_chunk", [None, 2])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_row_that_sees_nothing(policy, query_chunk):
    x = tf.constant(normal(2, 5, 8))
    mask = key_mask(np.array([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)) & causal_mask(5)
    layer = MultiHeadAttention(2, rotary=True, query_chunk=query_chunk, dtype=policy)
    layer.build(x.shape)
    randomize(layer)
    with tf.GradientTape() as tape:
        y = layer(x, x, mask, training=True)
        loss = tf.reduce_sum(tf.cast(y, "float32"))
    for value in (y, *tape.gradient(loss, [v.value for v in layer.trainable_variables])):
        assert np.isfinite(array(value)).all()
    keys, values = layer.project_memory(x)
    mean = np.tile(array(values)[1].mean(1, keepdims=True), (1, 5, 1))
    read = layer.dot_product(keys, keys, values, mask)
    close(array(read)[1], mean, 1e-5 if policy == "float32" else 0.02)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_scores_are_float32_under_mixed_precision(policy):
    zeros = np.zeros((1, 1, 1, 4), "float32")
    two, values = np.zeros((1, 1, 2, 4), "float32"), np.array([[[[0.0], [1.0]]]], "float32")
    bias = np.array([[[[5000.0, 5001.0]]]], "float32")  # one number in bfloat16, and nearly one in float16
    layer = ScaledDotProductAttention(dtype=policy)
    close(layer(zeros, two, values, attention_bias=bias), [[[[0.7310586]]]], 4e-3)


def test_xla_gives_the_same():
    x = tf.constant(normal(2, 6, 16))
    layer = MultiHeadAttention(4, num_key_value_heads=2, rotary=True, query_chunk=4)
    layer.build(x.shape)
    randomize(layer)
    mask = causal_mask(6) & key_mask(np.array([[1] * 6, [1] * 4 + [0] * 2], bool))
    call = tf.function(lambda x: layer(x, x, mask), jit_compile=True)
    close(call(x), layer(x, x, mask), 2e-5)


def test_weights_have_their_old_names():
    """So that what was saved is loaded."""
    layer = MultiHeadAttention(2, num_key_value_heads=1, dropout=0.1, rotary=True)
    layer.build((None, None, 8), (None, None, 6))
    names = [(w.path.split("/", 1)[1], tuple(w.shape)) for w in layer.weights]
    assert names == [
        *(("query/kernel", (8, 8)), ("query/bias", (8,))),
        *(("key/kernel", (6, 4)), ("key/bias", (4,))),
        *(("value/kernel", (6, 4)), ("value/bias", (4,))),
        *(("output/kernel", (8, 8)), ("output/bias", (8,))),
    ]
    assert layer.query_dense.kernel.shape == (8, 8)


def test_in_a_functional_model():
    inputs = keras.Input((None, 8))
    outputs, weights = MultiHeadAttention(2)(inputs, inputs, return_attention_scores=True)
    assert outputs.shape == (None, None, 8)
    assert weights.shape[:2] == (None, 2)
    model = keras.Model(inputs, [outputs, weights])
    assert [y.shape for y in model(normal(3, 5, 8))] == [(3, 5, 8), (3, 2, 5, 5)]


def test_impossible_heads_are_refused():
    x = normal(1, 2, 8)
    with pytest.raises(ValueError, match="num_heads 3 does not divide the width 8"):
        MultiHeadAttention(3)(x, x)
    with pytest.raises(ValueError, match="num_key_value_heads 3 does not divide num_heads 4"):
        MultiHeadAttention(4, num_key_value_heads=3)
    with pytest.raises(ValueError, match="3 heads of keys do not divide 4 heads of queries"):
        ScaledDotProductAttention()(*tensors(key_heads=3))
    with pytest.raises(ValueError, match="query_chunk must be positive, not 0"):
        ScaledDotProductAttention(query_chunk=0)
