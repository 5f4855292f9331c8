"""The mask of `Dropout`, whose bits are products of a number for each row and one for each column: is it random?"""

from __future__ import annotations

import numpy as np
import pytest

from zoo.layers import Dropout

ROWS, COLUMNS = 512, 256


def masks(rate, count, seed=0, shape=(ROWS, COLUMNS)):
    """What `count` steps keep: bool (count, *shape)."""
    layer = Dropout(rate, seed=seed)
    ones = np.ones(shape, "float32")
    return np.stack([np.asarray(layer(ones, training=True)) > 0 for _ in range(count)])


def correlation(a, b, rate):
    """Of two arrays of kept places, in standard deviations of what chance gives."""
    q, p = 1.0 - rate, rate
    return np.mean((a - q) * (b - q)) / (q * p) * np.sqrt(a.size)


def test_what_is_kept_is_scaled_and_nothing_happens_outside_training():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    layer = Dropout(0.25, seed=1)
    np.testing.assert_array_equal(layer(x), x)
    y = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(y[y != 0], x[y != 0] / 0.75, rtol=1e-6)
    assert 0 < (y == 0).sum() < y.size


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_mean_and_variance_of_rows_columns_and_all(rate):
    kept = masks(rate, 8).astype("float64")
    deviation = np.sqrt(rate * (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 5 * deviation / np.sqrt(kept.size)
    for axis, size in ((1, ROWS), (2, COLUMNS)):
        shares = kept.mean(axis=axis)
        assert np.var(shares) == pytest.approx(rate * (1 - rate) / size, rel=0.15)
        assert np.abs(shares - (1 - rate)).max() < 6 * deviation / np.sqrt(size)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_neighbours_steps_and_seeds_know_nothing_of_each_other(rate):
    kept, other = masks(rate, 8).astype("float64"), masks(rate, 8, seed=1).astype("float64")
    pairs = {
        "columns": (kept[:, :, 1:], kept[:, :, :-1]),
        "rows": (kept[:, 1:], kept[:, :-1]),
        "far columns": (kept[:, :, 128:], kept[:, :, :-128]),
        "far rows": (kept[:, 256:], kept[:, :-256]),
        "steps": (kept[1:], kept[:-1]),
        "seeds": (kept, other),
        "rows and columns": (kept[:, :256], np.swapaxes(kept[:, :256], 1, 2)),
    }
    found = {name: correlation(a, b, rate) for name, (a, b) in pairs.items()}
    assert max(map(abs, found.values())) < 5, found


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_four_corners_know_nothing_of_each_other(rate):
    """A sum in place of the product would fail here: three corners would tell the fourth."""
    centred = masks(rate, 8).astype("float64") - (1 - rate)
    corners = centred[:, :-1, :-1] * centred[:, 1:, 1:] * centred[:, :-1, 1:] * centred[:, 1:, :-1]
    spread = (rate * (1 - rate)) ** 2 / np.sqrt(corners.size)
    assert abs(corners.mean()) < 5 * spread


def test_any_shape_and_the_same_seed_gives_the_same():
    for shape in ((7,), (2, 3), (2, 3, 4, 5)):
        np.testing.assert_array_equal(masks(0.5, 2, 3, shape), masks(0.5, 2, 3, shape))
        assert masks(0.5, 30, 3, shape).mean() == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_that_is_none(rate):
    with pytest.raises(ValueError, match="rate must be"):
        Dropout(rate)
