"""The portable primitives and the masks."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from model_tools import array

from zoo.layers.masks import (
    cache_mask,
    causal_mask,
    key_mask,
    padding_mask,
    prefix_lm_mask,
    sliding_window_mask,
)
from zoo.layers.portable import float32, mask_scores, put


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_put_writes_one_place(axis):
    buffer = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    value = np.full([1 if a == axis else n for a, n in enumerate(buffer.shape)], 7.0, "float32")
    expected = buffer.copy()
    np.moveaxis(expected, axis, 0)[2] = 7.0
    written = put(ops.convert_to_tensor(buffer), ops.convert_to_tensor(2), value, axis)
    np.testing.assert_array_equal(array(written), expected)


def test_put_outside_writes_nothing():
    buffer = np.ones((2, 3), "int32")
    np.testing.assert_array_equal(
        array(put(ops.convert_to_tensor(buffer), 3, np.zeros((2, 1), "int32"), 1)), buffer
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_masked_scores(dtype):
    scores = float32(ops.cast(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32"), dtype))
    mask = np.array([[True, True, False], [False, False, False]])
    weights = array(ops.softmax(mask_scores(scores, mask)))
    np.testing.assert_allclose(weights[0], [0.26894142, 0.73105858, 0.0], rtol=1e-6)
    np.testing.assert_allclose(weights[1], [1 / 3] * 3, rtol=1e-6)  # nothing to see: equal weights, no NaN


def test_no_mask_changes_nothing():
    scores = np.array([[1.0, 2.0]], "float32")
    assert mask_scores(scores, None) is scores


def test_padding_mask():
    mask = padding_mask(np.array([[4, 1, 2, 3, 0, 0]]))  # unk, bos and eos are tokens
    assert array(mask).tolist() == [[True, True, True, True, False, False]]
    assert key_mask(mask).shape == (1, 1, 1, 6)


def test_causal_mask():
    mask = array(causal_mask(4))
    assert mask.shape == (1, 1, 4, 4)
    np.testing.assert_array_equal(mask[0, 0], np.tril(np.ones((4, 4), bool)))


def test_cache_mask_is_a_row_of_the_causal_mask():
    for position in range(4):
        np.testing.assert_array_equal(
            array(cache_mask(4, ops.convert_to_tensor(position)))[0, 0, 0],
            array(causal_mask(4))[0, 0, position],
        )


@pytest.mark.parametrize("width", [1, 3, 9])
def test_cache_mask_with_a_width_is_a_row_of_the_sliding_window(width):
    for position in range(6):
        row = array(cache_mask(6, ops.convert_to_tensor(position), width))[0, 0, 0]
        np.testing.assert_array_equal(row, array(sliding_window_mask(6, width))[0, 0, position])


def seen(length, rule):
    """A mask by asking for each pair of a query and a key."""
    return np.array([[rule(query, key) for key in range(length)] for query in range(length)])


def test_prefix_lm_mask():
    mask = array(prefix_lm_mask(5, 3))
    assert mask.shape == (1, 1, 5, 5)
    np.testing.assert_array_equal(mask[0, 0], seen(5, lambda query, key: key < 3 or key <= query))


def test_prefix_lm_mask_of_each_row():
    mask = array(prefix_lm_mask(5, np.array([0, 2, 5])))
    assert mask.shape == (3, 1, 5, 5)
    for row, prefix in zip(mask[:, 0], (0, 2, 5), strict=True):
        np.testing.assert_array_equal(row, seen(5, lambda query, key, p=prefix: key < p or key <= query))


@pytest.mark.parametrize("width", [1, 2, 4, 9])
def test_sliding_window_mask(width):
    causal, both = (array(sliding_window_mask(6, width, causal=c)) for c in (True, False))
    assert causal.shape == both.shape == (1, 1, 6, 6)
    np.testing.assert_array_equal(causal[0, 0], seen(6, lambda query, key: 0 <= query - key < width))
    np.testing.assert_array_equal(both[0, 0], seen(6, lambda query, key: abs(query - key) < width))


def test_masks_are_combined_with_and():
    tokens = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    mask = array(sliding_window_mask(4, 2) & key_mask(tokens))
    assert mask.shape == (2, 1, 4, 4)
    for row, real in zip(mask[:, 0], tokens, strict=True):
        np.testing.assert_array_equal(
            row, seen(4, lambda query, key, r=real: 0 <= query - key < 2 and r[key])
        )
