"""The cache of a Transformer's decoder: keys and values of what was written.

Alone, a row has a list of keys and values (B, G, L, K), one pair a block. Of N hypotheses a row, nothing is ever copied
when one goes on from another: keys and values stay where they were written, in the slots of the hypothesis that it was
then, and `path` (B, N, L) says for each hypothesis of now whose slot holds each of its positions.
"""

from __future__ import annotations

from keras import ops

from zoo.layers.masks import cache_mask
from zoo.layers.portable import put
from zoo.models.base import Decodes


class DecodesInSlots(Decodes):
    """The part of the decoding protocol that is about the cache."""

    def self_attentions(self) -> list:
        """Those of the blocks that write, in order."""
        raise NotImplementedError

    def init_cache(self, memory, length: int):
        return self._empty(memory, length, 1)

    def fan_out(self, memory, length: int, beams: int):
        if self.self_attentions()[0].transformer_xl:  # its positions are those of one hypothesis
            return super().fan_out(memory, length, beams)
        return memory, self._empty(memory, length, beams)

    def reorder(self, cache, rows):
        return reordered(cache, rows) if isinstance(cache, dict) else super().reorder(cache, rows)

    def _empty(self, memory, length, beams):
        ids = memory["prompt"] if "prompt" in memory else memory["mask"]
        return empty(self.self_attentions(), ops.shape(ids)[0], length, self.compute_dtype, beams)


def empty(attentions, batch, length, dtype, beams: int = 1):
    """A cache for these self-attention layers."""
    layers = []
    for attention in attentions:
        shape = (batch, attention.num_key_value_heads * beams, length, attention.head_dim)
        layers.append(tuple(ops.zeros(shape, dtype) for _ in range(2)))
    if beams == 1:
        return layers
    return {"layers": layers, "path": ops.full((batch, beams, length), -1, "int32")}


def opened(cache, position, width: int | None = None):
    """At one position: the cache of each block, what may be seen of it, and the path with this position."""
    if not isinstance(cache, dict):
        return cache, cache_mask(ops.shape(cache[0][0])[2], position, width), None
    path = cache["path"]
    beams, length = path.shape[1], ops.shape(path)[2]
    own = ops.reshape(ops.arange(beams, dtype="int32"), (1, beams, 1))
    path = put(path, position, own, axis=2)
    # (B, N, 1, L) against (1, 1, N, 1): whose slots hold the positions of whom.
    whose = ops.reshape(ops.arange(beams, dtype="int32"), (1, 1, beams, 1))
    seen = ops.equal(ops.expand_dims(path, 2), whose)
    if width is not None:
        seen = ops.logical_and(seen, ops.arange(length) > position - width)
    return cache["layers"], ops.reshape(seen, (ops.shape(path)[0], 1, beams, beams * length)), path


def closed(layers, path):
    """The cache after a position."""
    return layers if path is None else {"layers": layers, "path": path}


def reordered(cache, rows):
    """Hypotheses go on from others of their row: (R,) numbers of rows of all."""
    path = cache["path"]
    flat = ops.reshape(path, (-1, ops.shape(path)[2]))
    return {**cache, "path": ops.reshape(ops.take(flat, rows, axis=0), ops.shape(path))}
