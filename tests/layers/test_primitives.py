"""The portable primitives and the masks."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from model_tools import array

from zoo.layers.masks import causal_mask, key_mask, padding_mask, prefix_mask
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


def test_prefix_mask_is_a_row_of_the_causal_mask():
    for position in range(4):
        np.testing.assert_array_equal(
            array(prefix_mask(4, ops.convert_to_tensor(position)))[0, 0, 0],
            array(causal_mask(4))[0, 0, position],
        )
