"""Drawing a token by a number that is given.

No random numbers are made here: the same numbers draw the same text in eager TensorFlow, XLA, JAX, SavedModel,
TFLite and ONNX.
"""

from __future__ import annotations

from keras import ops

from zoo.decoding.rules import allowed
from zoo.decoding.tokens import NEVER

COLDEST = 1e-6
"""Temperatures below it are 0: logits divided by it are still finite."""


def choose(logits, uniform, temperature: float, top_k: int | None, top_p: float | None):
    """The token at which the cumulated probability first exceeds `uniform`: (B,) int32.

    The probabilities are softmax(logits / temperature), cut down to the `top_k` most probable tokens, then to
    the fewest most probable ones that together have at least `top_p`, and scaled to 1 again. They are cumulated
    in the order of the ids, or, where something was cut, of the probabilities; of equal ones the lower id
    comes first. What a rule forbids is never chosen.

    Args:
        logits: (B, V) float32, after the rules.
        uniform: (B,) float32 in [0, 1).
        temperature: 0 takes the most probable token, whatever `uniform` is.
        top_k, top_p: None cuts nothing.
    """
    size = logits.shape[-1]
    if temperature < COLDEST or top_k == 1:
        return ops.cast(ops.squeeze(ops.top_k(logits, 1)[1], -1), "int32")
    scaled = (logits - ops.max(logits, axis=-1, keepdims=True)) / temperature
    logits = ops.where(allowed(logits), scaled, NEVER)
    index = None
    if top_k is not None or top_p is not None:
        size = min(top_k or size, size)
        logits, index = ops.top_k(logits, size)
    p = ops.softmax(logits, axis=-1)
    if top_p is not None:  # a token stays if those before it have not got so far
        p = ops.where(ops.cumsum(p, axis=-1) - p < top_p, p, 0.0)
    cumulated = ops.cumsum(p, axis=-1)
    target = ops.expand_dims(uniform, 1) * ops.sum(p, axis=-1, keepdims=True)
    places = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
    possible = p > 0.0
    found = ops.min(ops.where(ops.logical_and(possible, cumulated > target), places, size), axis=-1)
    # Rounding may leave nothing above the target: then it is the last that is possible.
    found = ops.minimum(found, ops.max(ops.where(possible, places, 0), axis=-1))
    if index is None:
        return found
    found = ops.take_along_axis(ops.cast(index, "int32"), ops.expand_dims(found, 1), axis=1)
    return ops.squeeze(found, 1)
