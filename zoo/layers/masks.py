"""Masks: boolean, True = is a token / may be attended to.

They are computed from the ids and passed by hand. Keras's own mask, which travels hidden on a
tensor, is lost without a word at `+`, `keras.ops.*`, `Conv1D` and `Reshape`.

What attention takes is broadcastable to (B, H, T, S), so that masks are combined with `&`:
`causal_mask(length) & key_mask(padding_mask(token_ids))`.
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
    queries, keys = _positions(length)
    return keys <= queries


def prefix_lm_mask(length, prefix_length):
    """All see the prefix (of one length, or a length for each row), then causal: (1 or B, 1, T, T)."""
    queries, keys = _positions(length)
    prefix_length = ops.reshape(ops.cast(prefix_length, "int32"), (-1, 1, 1, 1))
    return (keys <= queries) | (keys < prefix_length)


def sliding_window_mask(length, width: int, causal: bool = True):
    """Each position sees `width` positions, itself the last of them: (1, 1, T, T).

    Two-sided (`causal=False`) it sees `width - 1` positions on either side of itself.
    """
    queries, keys = _positions(length)
    near = queries - keys < width
    return near & (keys <= queries if causal else keys - queries < width)


def cache_mask(length, position, width: int | None = None):
    """For the cache of one step: the slots up to `position` are filled: (1, 1, 1, L).

    It is the row of the causal mask at `position`; with a width, of the sliding window's.
    """
    slots = ops.arange(length)
    seen = slots <= position
    if width is not None:
        seen = seen & (slots > position - width)
    return ops.reshape(seen, (1, 1, 1, -1))


def content_mask(order):
    """Each token sees itself and what is not after it in an order (B, S): (B, 1, S, S).

    `order` says when each token is asked for, 0 of what is known from the beginning. Rising from left to right it
    gives the causal mask, all 0 a text in which all see each other.
    """
    return ops.expand_dims(ops.expand_dims(order, 1) <= ops.expand_dims(order, 2), 1)


def query_mask(asked, order):
    """Who asks for a token sees what is before it in the order, so never the token: (B, 1, K, S).

    `asked` (B, K) are the numbers in `order` (B, S) of the tokens that are asked for.
    """
    return ops.expand_dims(ops.expand_dims(order, 1) < ops.expand_dims(asked, 2), 1)


def _positions(length):
    """Where the queries and the keys stand: (1, 1, T, 1), (1, 1, 1, T)."""
    positions = ops.arange(length)
    return ops.reshape(positions, (1, 1, length, 1)), ops.reshape(positions, (1, 1, 1, length))
