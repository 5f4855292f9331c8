"""Permutations and two streams: masks and blocks against what an order says, place by place."""

from __future__ import annotations

from itertools import permutations

import block_reference as reference
import numpy as np
import pytest
from model_tools import array, randomize

from zoo.layers import TransformerEncoderBlock, TwoStreamBlock
from zoo.layers.masks import causal_mask, content_mask, key_mask, query_mask

FORMS = {
    "post-LN": dict(),
    "pre-LN": dict(normalize_first=True, normalization="rms", activation="swiglu"),
    "rotary": dict(normalize_first=True, rotary=True, num_key_value_heads=2),
    "transformer_xl": dict(transformer_xl=True, num_key_value_heads=1),
}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(array(actual), expected, rtol=tolerance, atol=tolerance)


def masks_of(z, known):
    """Masks of contents and of queries (S, S) from a factorisation order z of places, its first `known` given."""
    length = len(z)
    contents, queries = np.zeros((length, length), bool), np.zeros((length, length), bool)
    for t, place in enumerate(z):
        contents[place, [*z[: max(t, known)], place]] = True  # x_{z <= t}; the given ones see each other
        if t >= known:
            queries[place, list(z[:t])] = True  # x_{z < t}
    return contents, queries


@pytest.mark.parametrize("known", [0, 1, 3])
def test_masks_of_every_factorisation_order(known):
    orders = list(permutations(range(4)))
    numbers = np.zeros((len(orders), 4), "int32")
    for row, z in enumerate(orders):
        for t, place in enumerate(z):
            numbers[row, place] = max(0, t + 1 - known)
    contents, queries = array(content_mask(numbers)), array(query_mask(numbers, numbers))
    assert contents.shape == queries.shape == (24, 1, 4, 4)
    assert contents.dtype == queries.dtype == bool
    for row, z in enumerate(orders):
        of_content, of_query = masks_of(z, known)
        np.testing.assert_array_equal(contents[row, 0], of_content)
        asked = numbers[row] > 0
        np.testing.assert_array_equal(queries[row, 0][asked], of_query[asked])
    assert not queries[:, 0, np.arange(4), np.arange(4)].any()


def test_masks_of_particular_orders():
    left_to_right = np.arange(1, 6)[None]
    np.testing.assert_array_equal(array(content_mask(left_to_right)), array(causal_mask(5)))
    assert array(content_mask(np.zeros((1, 3), int))).all()
    together = np.array([[0, 1, 1, 0]])  # what is hidden together is not seen by those who ask for it
    at_places = array(query_mask(np.array([[1, 1]]), together))
    np.testing.assert_array_equal(at_places, [[[[True, False, False, True]] * 2]])


def streams(block, h, g, content_allowed, query_allowed):
    """Both streams in NumPy, one after the other."""

    def both(x, name, sublayer):
        return reference.residual(block, name, x, sublayer)

    def contents(y):
        return reference.norm(block.attention_norm, y, block.normalization) if block.normalize_first else y

    memory = contents(h)
    new_h = both(
        h, "attention", lambda y: reference.attention(block.attention, y, memory, content_allowed)[0]
    )
    new_g = both(g, "attention", lambda y: reference.attention(block.attention, y, memory, query_allowed)[0])
    return [
        both(x, "feed_forward", lambda y: reference.feed_forward(block.feed_forward, y))
        for x in (new_h, new_g)
    ]


@pytest.mark.parametrize("form", FORMS)
def test_two_streams(form):
    """A query for each place, in another order than that of the places; the reference has them in order."""
    h, g, order = normal(2, 5, 16), normal(2, 5, 16, seed=1), np.array([[0, 3, 1, 2, 4], [2, 1, 0, 3, 0]])
    block = TwoStreamBlock(4, 24, **FORMS[form])
    block.build(h.shape)
    randomize(block, spread=0.3)
    contents, queries = array(content_mask(order))[:, 0], array(query_mask(order, order))[:, 0]
    queries[:, :, 0] |= order == 0  # the reference knows no query that sees nobody
    queries[:, :, 2] |= order == 0
    expected_h, expected_g = streams(block, h, g, contents, queries)
    places = np.array([[4, 0, 1, 3], [1, 3, 0, 2]])
    rows = np.arange(2)[:, None]
    actual_h, actual_g = block(
        h,
        attention_mask=contents[:, None],
        queries=g[rows, places],
        places=places,
        query_mask=queries[rows, places][:, None],
    )
    close(actual_h, expected_h)
    close(actual_g, expected_g[rows, places])


@pytest.mark.parametrize("form", FORMS)
def test_the_contents_alone_are_an_encoder_block(form):
    h, order, tokens = normal(2, 5, 16), np.tile(np.arange(1, 6), (2, 1)), np.arange(5) < np.array([[5], [3]])
    block, plain = (made(4, 24, **FORMS[form]) for made in (TwoStreamBlock, TransformerEncoderBlock))
    for own in (block, plain):
        own.build(h.shape)
    names = [[w.path.split("/", 1)[1] for w in own.weights] for own in (block, plain)]
    assert names[0] == names[1]
    plain.set_weights(randomize(block, spread=0.3).get_weights())
    expected = array(plain(h, attention_mask=causal_mask(5) & key_mask(tokens)))
    mask = content_mask(order) & key_mask(tokens)
    close(block(h, attention_mask=mask), expected, 0)
    asked = query_mask(order[:, 1:2], order)
    beside, _ = block(h, attention_mask=mask, queries=h[:, :1], places=order[:, :1], query_mask=asked)
    close(beside, expected, 1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_query_that_sees_nobody_reads_nothing(policy):
    """The mean of all values, which other masked rows read, would tell it its own token."""
    h, g, order = normal(1, 3, 16), normal(1, 1, 16, seed=1), np.array([[1, 2, 3]])
    block = TwoStreamBlock(4, 24, transformer_xl=True, dtype=policy)
    block.build(h.shape)
    randomize(block, spread=0.3)
    asked = dict(queries=g, places=np.array([[0]]), query_mask=query_mask(np.array([[1]]), order))
    one, other = (array(block(x, attention_mask=content_mask(order), **asked)[1]) for x in (h, 9.0 * h + 1.0))
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, other)
