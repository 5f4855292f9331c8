"""Masks: boolean, True = is a token / may be attended to.

They are computed from the ids and passed by hand. Keras's own mask, which travels hidden on a
tensor, is lost without a word at `+`, `keras.ops.*`, `Conv1D` and `Reshape`.
"""

from __future__ import annotations

from keras import ops

PAD_ID = 0


def padding_mask(token_ids):
    """Which ids are tokens: (B, S) int -> (B, S) bool."""
    return ops.not_equal(token_ids, PAD_ID)


def key_mask(mask):
    """A padding mask as attention takes it: (B, S) -> (B, 1, 1, S)."""
    return ops.expand_dims(ops.expand_dims(mask, 1), 1)


def causal_mask(length):
    """Each position sees itself and what stands before it: (1, 1, T, T)."""
    positions = ops.arange(length)
    return ops.reshape(ops.expand_dims(positions, 0) <= ops.expand_dims(positions, 1), (1, 1, length, length))


def prefix_mask(length: int, position):
    """For the cache of one step: the slots up to `position` are filled: (1, 1, 1, L)."""
    return ops.reshape(ops.arange(length) <= position, (1, 1, 1, length))
