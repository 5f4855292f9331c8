"""The file of weights of a saved model: Keras's own format, in as few bytes as its figure allows.

Four things make it small, each of which HDF5 undoes by itself, so that Keras reads the file as it reads any other:
numbers of two bytes, matrices rounded to even steps, the compression that finds less to keep for it, and the format
of HDF5 1.10, whose groups and indices are smaller than the default's (by a fifth of the file of a small Transformer).
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

FORMS = {
    "float16, in steps of 1/16 of each matrix's deviation": 16,
    "float16, in steps of 1/32 of each matrix's deviation": 32,
    "float16": None,
}
"""From the smallest (8 to 11 bits a weight, 10 to 12, 14 to 17) to the most exact; failing these, float32 is kept."""

FORMAT = ("v110", "v110")
PACKED = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
LARGE = 1024
"""Bytes from which an array is compressed: less does not pay for the description of the compression."""


def shrink(source: Path, target: Path, fraction: int | None) -> bool:
    """Copies a file of weights in two bytes a number; returns whether all of them fit into that.

    Args:
        source, target: files of weights.
        fraction: steps in a standard deviation that matrices are rounded to, at least; none: they are not.
    """
    fits = True

    def copy(name: str, item) -> None:
        nonlocal fits
        if isinstance(item, h5py.Group):
            made = new.require_group(name)
        else:
            values = item[()]
            if values.dtype == np.float32:
                values = _halve(_round(values, fraction) if fraction and values.ndim > 1 else values)
                fits = fits and bool(np.isfinite(values).all())
            packed = {"chunks": values.shape, **PACKED} if values.nbytes >= LARGE else {}
            made = new.create_dataset(name, data=values, **packed)
        made.attrs.update(item.attrs)

    with h5py.File(source) as old, h5py.File(target, "w", libver=FORMAT) as new:
        new.attrs.update(old.attrs)
        old.visititems(copy)
    return fits


def _round(values: np.ndarray, fraction: int) -> np.ndarray:
    """To multiples of a power of two, which two bytes hold exactly up to the 2048th.

    Even steps, unlike floats of fewer digits, spend nothing on the many small weights: a matrix's product errs by
    the absolute error of its elements.
    """
    with np.errstate(all="ignore"):
        step = 2.0 ** np.floor(np.log2(values.std(dtype=np.float64) / fraction))
    return np.round(values / step) * step if np.isfinite(step) and step > 0 else values


def _halve(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float16)
