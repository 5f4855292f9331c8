"""The few primitives that behave the same in eager TensorFlow, XLA, JAX, SavedModel and TFLite.

Layers, models and decoders use these, or what is named here, instead of the forms that fail on one of the
targets: `ops.argmax` (no TFLite builtin; `ops.top_k`), `ops.slice_update` (not in ONNX; `put`), `x[:, None]`
on dynamic shapes (no TFLite builtin; `ops.expand_dims`), `ops.scan` (XLA cannot train it; `layers.RNN`), and
`-1e9` as a mask (minus infinity in float16; `mask_scores`). tests/test_floors.py looks for them.
"""

from __future__ import annotations

import numpy as np
from keras import backend, ops


def put(buffer, position, value, axis: int):
    """`buffer` with `value` (size 1 on `axis`) written at `position` of `axis`."""
    shape = [1] * len(buffer.shape)
    shape[axis] = -1
    here = ops.reshape(ops.equal(ops.arange(ops.shape(buffer)[axis]), position), shape)
    return ops.where(here, value, buffer)


def mask_scores(scores, mask):
    """Scores (float32) where `mask` is True, and elsewhere a number that softmax turns into zero.

    The number is finite, so a row without any True gives equal weights instead of NaN.
    """
    if mask is None:
        return scores
    return ops.where(mask, scores, ops.cast(-0.7 * float(np.finfo("float32").max), scores.dtype))


def float32(x):
    """`x` in at least float32: scores, softmax and loss are computed so under mixed precision."""
    return ops.cast(x, "float32") if backend.standardize_dtype(x.dtype) != "float32" else x


BLOCK = 64
"""Places of which `top_k` looks at the largest first."""


def top_k(scores, k: int):
    """The `k` largest of the last axis, largest first, and their places; of equal ones the first comes first.

    The same as `ops.top_k`, which on a CPU looks at every number by itself: here all but a few blocks fall away by
    their maxima, which is fast. scores: (R, V), V known.
    """
    size = scores.shape[-1]
    blocks = size // BLOCK
    if blocks <= 2 * k:
        return ops.top_k(scores, k)
    whole = ops.reshape(scores[:, : blocks * BLOCK], (-1, blocks, BLOCK))
    # The k largest of all stand in the k blocks of the largest maxima; in order, so that the first stays the first.
    best = ops.sort(ops.top_k(ops.max(whole, axis=2), k)[1], axis=1)
    places = ops.expand_dims(best * BLOCK, 2) + ops.reshape(ops.arange(BLOCK, dtype=best.dtype), (1, 1, -1))
    places = ops.reshape(places, (-1, k * BLOCK))
    rest = ops.expand_dims(ops.arange(blocks * BLOCK, size, dtype=best.dtype), 0)
    places = ops.concatenate([places, rest + ops.zeros_like(places[:, :1])], axis=1)
    values, found = ops.top_k(ops.take_along_axis(scores, places, axis=1), k)
    return values, ops.take_along_axis(places, ops.cast(found, places.dtype), axis=1)
