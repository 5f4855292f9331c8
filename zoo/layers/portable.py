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
