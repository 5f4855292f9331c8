"""Positions: the tables and rules of the papers, and that a step of a decoder sees what the whole saw."""

from __future__ import annotations

import math

import numpy as np
import pytest
from keras import ops
from model_tools import array, randomize

from zoo.layers import (
    ALiBi,
    LearnedPositionalEncoding,
    RotaryEmbedding,
    SinusoidalPositionalEncoding,
    T5RelativeBias,
    TransformerXLPositions,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(array(actual), expected, rtol=tolerance, atol=tolerance)


def test_sinusoidal_positions_are_the_published_ones():
    table = array(SinusoidalPositionalEncoding()(np.zeros((1, 4, 512), "float32")))[0]
    np.testing.assert_array_equal(table[0], np.tile([0.0, 1.0], 256))
    close(table[1, :4], [0.84147098, 0.54030231, 0.82185619, 0.56969501], 1e-6)
    close(table[3, :4], [0.14112001, -0.9899925, 0.24508542, -0.96950149], 1e-6)
    close(table[1, -2:], [1.0366329e-4, 1.0], 1e-6)  # sin(10000^(-510/512))


def test_sinusoidal_positions_far_away():
    row = array(SinusoidalPositionalEncoding()(np.zeros((1, 1, 8), "float32"), start=5000))[0, 0]
    angles = 5000.0 / 10000.0 ** (np.arange(0, 8, 2) / 8)
    close(row, np.stack([np.sin(angles), np.cos(angles)], -1).reshape(-1), 5e-4)  # float32 angles


@pytest.mark.parametrize(
    ("layer", "axis"),
    [
        (SinusoidalPositionalEncoding(), 1),
        (LearnedPositionalEncoding(max_sequence_length=7), 1),
        (RotaryEmbedding(), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_positions_from_any_start(layer, axis):
    x = normal(2, 6, 6, 8)[:, 0] if axis == 1 else normal(2, 3, 6, 8)
    layer.build(x.shape)
    whole = array(layer(randomize(layer) and x))
    assert np.abs(whole - x).max() > 0.5
    for t in range(6):
        one = np.take(x, [t], axis)
        close(layer(one, start=t), np.take(whole, [t], axis), 1e-6)
        close(layer(one, start=ops.convert_to_tensor(t)), np.take(whole, [t], axis), 1e-6)


def test_learned_positions_are_the_rows_of_a_table():
    layer, x = LearnedPositionalEncoding(max_sequence_length=7), normal(2, 3, 4)
    layer.build(x.shape)
    randomize(layer)
    close(layer(x, start=2), x + array(layer.table)[2:5], 1e-6)


def test_more_positions_than_were_learned():
    layer = LearnedPositionalEncoding(max_sequence_length=4)
    assert layer(normal(1, 4, 2)).shape == (1, 4, 2)
    with pytest.raises(ValueError, match="5 positions, but max_sequence_length is 4"):
        layer(normal(1, 5, 2))
    with pytest.raises(ValueError, match="5 positions, but max_sequence_length is 4"):
        layer(normal(1, 3, 2), start=2)
    with pytest.raises(ValueError, match="9 positions"):
        layer.check(9)


def test_rotary_is_a_turn_of_complex_numbers():
    x = normal(2, 3, 5, 8)
    turned = array(RotaryEmbedding(max_wavelength=100.0)(x, start=4))
    complex_x = x[..., :4].astype("float64") + 1j * x[..., 4:]  # number i is paired with number i + K/2
    angles = np.arange(4, 9)[:, None] * 100.0 ** (-np.arange(0, 8, 2) / 8)
    expected = complex_x * np.exp(1j * angles)
    close(turned[..., :4], expected.real)
    close(turned[..., 4:], expected.imag)


def test_rotary_products_depend_on_the_distance_alone():
    layer, query, key = RotaryEmbedding(), normal(1, 1, 1, 16), normal(1, 1, 1, 16, seed=1)

    def product(t, s):
        return float((array(layer(query, start=t)) * array(layer(key, start=s))).sum())

    near, far = product(3, 1), product(203, 201)
    assert near == pytest.approx(far, abs=1e-4)
    assert product(0, 2) == pytest.approx(product(40, 42), abs=1e-4)
    assert abs(near - product(4, 1)) > 0.01 < abs(near - product(0, 2))


@pytest.mark.parametrize(
    ("heads", "slopes"),
    [
        (1, [2**-8]),
        (2, [2**-4, 2**-8]),
        (8, [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]),  # in the paper's text
        (3, [2**-4, 2**-8, 2**-2]),  # and the first of four, as the paper's code does
        (12, [2.0**-h for h in range(1, 9)] + [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]),
    ],
)
def test_alibi_slopes(heads, slopes):
    bias = array(ALiBi(heads)(np.array([5]), np.array([4])))
    assert bias.shape == (1, heads, 1, 1)
    close(-bias.reshape(-1), slopes, 1e-7)


def test_alibi_is_minus_slope_times_distance():
    bias = array(ALiBi(4)(np.arange(5), np.arange(7)))
    for head, slope in enumerate([2**-2, 2**-4, 2**-6, 2**-8]):
        expected = [[-slope * abs(i - j) for j in range(7)] for i in range(5)]
        np.testing.assert_array_equal(bias[0, head], expected)


def papers_bucket(offset, buckets, max_distance, bidirectional):
    """T5's rule with its logarithms; a hair is added, for log(8) / log(2) may come out below 3."""
    result = 0
    if bidirectional:
        buckets //= 2
        result = buckets if offset > 0 else 0
        distance = abs(offset)
    else:
        distance = max(-offset, 0)
    exact = buckets // 2
    if distance < exact:
        return result + distance
    wide = math.log(distance / exact) / math.log(max_distance / exact) * (buckets - exact)
    return result + min(exact + int(wide + 1e-9), buckets - 1)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 20), (7, 9)])
def test_t5_buckets(buckets, max_distance, bidirectional):
    layer = T5RelativeBias(2, buckets, max_distance, bidirectional)
    for offset in range(-2 * max_distance, 2 * max_distance + 1):
        assert layer.bucket(offset) == papers_bucket(offset, buckets, max_distance, bidirectional), offset


def test_t5_buckets_as_published():
    """Of the released models: 32 buckets, 128 positions; both directions, and the decoder's."""
    both, past = T5RelativeBias(1), T5RelativeBias(1, bidirectional=False)
    assert [both.bucket(d) for d in (0, -7, -8, -15, -16, -31, -32, -64, -127, -128, -999)] == [
        *(0, 7, 8, 9, 10, 11, 12, 14, 15, 15, 15)
    ]
    assert [both.bucket(d) for d in (1, 8, 128)] == [17, 24, 31]
    assert [past.bucket(d) for d in (3, 0, -15, -16, -127, -128)] == [0, 0, 15, 16, 31, 31]


@pytest.mark.parametrize("bidirectional", [True, False])
def test_t5_bias_is_a_number_for_each_bucket(bidirectional):
    layer = T5RelativeBias(3, num_buckets=8, max_distance=6, bidirectional=bidirectional)
    layer.build()
    randomize(layer)
    bias, table = array(layer(np.arange(12), np.arange(10))), array(layer.table)
    assert bias.shape == (1, 3, 12, 10)
    for i in range(12):
        for j in range(10):
            np.testing.assert_array_equal(bias[0, :, i, j], table[layer.bucket(j - i)])


@pytest.mark.parametrize("make", [lambda: ALiBi(3), lambda: T5RelativeBias(3, 8, 6, False)])
def test_biases_of_one_step_are_a_row_of_the_whole(make):
    layer = make()
    layer.build()
    randomize(layer)
    whole = array(layer(np.arange(9), np.arange(9)))
    for position in (0, 4, 8):
        row = layer(ops.reshape(ops.convert_to_tensor(position), (1,)), ops.arange(9))
        np.testing.assert_array_equal(array(row)[:, :, 0], whole[:, :, position])


def papers_distance_scores(layer, queries, positions, num_keys):
    """(q_i + v) W_R r_{i-j} / sqrt(K), one pair after the other."""
    batch, heads, length, head_dim = queries.shape
    rates = 10000.0 ** (-np.arange(0, layer.width, 2) / layer.width)
    kernel = array(layer.kernel).reshape(layer.width, heads, head_dim).astype("float64")
    scores = np.zeros((batch, heads, length, num_keys))
    for b, h, t, j in np.ndindex(scores.shape):
        distance = float(positions[b][t] - j)
        r = np.concatenate([np.sin(distance * rates), np.cos(distance * rates)])
        asked = queries[b, h, t] + array(layer.position_bias)[h, 0]
        scores[b, h, t, j] = asked @ (r @ kernel[:, h]) / math.sqrt(head_dim)
    return scores


def transformer_xl():
    layer, queries = TransformerXLPositions(num_heads=3, width=10), normal(2, 3, 4, 6)
    layer.build(queries.shape)
    return randomize(layer), queries


@pytest.mark.parametrize(
    ("how", "positions"),
    [
        ({}, [range(4)] * 2),
        ({"start": 3}, [range(3, 7)] * 2),
        ({"positions": np.array([[4, 0, 2, 2], [1, 5, 0, 3]])}, [[4, 0, 2, 2], [1, 5, 0, 3]]),
    ],
    ids=["from the first key", "from a start", "anywhere"],
)
def test_transformer_xl_scores_of_distances(how, positions):
    layer, queries = transformer_xl()
    asked, bias = layer(queries, num_keys=5, **how)
    close(asked, queries + array(layer.content_bias), 1e-6)
    close(bias, papers_distance_scores(layer, queries, positions, 5))


def test_transformer_xl_far_away():
    """Distances alone count, and a thousand places on they still do."""
    layer, queries = transformer_xl()
    near = array(layer(queries, num_keys=6, start=2)[1])
    far = array(layer(queries, num_keys=1006, start=1002)[1])[..., 1000:]
    close(far, near, 2e-3)  # float32 angles


def test_rotary_at_any_positions():
    layer, x = RotaryEmbedding(), normal(2, 3, 4, 8)
    layer.build(x.shape)
    places = np.array([[4, 0, 2, 2], [1, 5, 0, 3]])
    turned = array(layer(x, positions=places))
    for b, t in np.ndindex(places.shape):
        one = array(layer(x[b : b + 1, :, t : t + 1], start=int(places[b, t])))
        close(turned[b, :, t], one[0, :, 0], 1e-6)


def test_impossible_positions_are_refused():
    with pytest.raises(ValueError, match="even width, got 7"):
        SinusoidalPositionalEncoding()(normal(2, 4, 7))
    with pytest.raises(ValueError, match="even head width, got 3"):
        RotaryEmbedding()(normal(2, 2, 4, 3))
    with pytest.raises(ValueError, match="the width 7 must be even"):
        TransformerXLPositions(num_heads=2, width=7)
    with pytest.raises(ValueError, match="num_buckets 3 gives 0 exact distances"):
        T5RelativeBias(2, num_buckets=3)
    with pytest.raises(ValueError, match="less than max_distance 4"):
        T5RelativeBias(2, num_buckets=32, max_distance=4)
