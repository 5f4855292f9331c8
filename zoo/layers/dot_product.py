"""Scaled dot-product attention: what all of self-attention and cross-attention comes down to."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.dropout import drop
from zoo.layers.portable import float32, mask_scores


@keras.saving.register_keras_serializable("zoo")
class ScaledDotProductAttention(keras.layers.Layer):
    """Each query reads the mean of the values, weighted by how well it fits their keys.

    `Attention(Q, K, V) = softmax(Q K^T / sqrt(K) + bias) V`, in each head by itself.

    Keys and values may have fewer heads than the queries (grouped-query attention; one: multi-query): each then
    serves a group of neighbouring query heads, and is nowhere repeated in memory.

    With `query_chunk` the queries are taken so many at a time, and the backward pass computes their weights
    again instead of keeping them: memory grows with T * query_chunk, no longer with T * S.

    Args:
        dropout: dropout on the attention weights.
        scale: divide by sqrt(K).
        query_chunk: queries at a time; None: all.

    Call arguments:
        queries: (B, H, T, K).
        keys: (B, G, S, K); G divides H.
        values: (B, G, S, K).
        attention_mask: bool, broadcastable to (B, H, T, S), True = may be attended to.
        attention_bias: broadcastable to (B, H, T, S), added to the scores.
        return_attention_scores: return the weights too. They are then all made at once, without chunks.

    Returns: (B, H, T, K), or a pair of it and the weights (B, H, T, S), which have no dropout outside training.

    Masking: only by `attention_mask`. A query whose keys are all masked gets their mean, never NaN.

    Errors: a ValueError when G does not divide H, or query_chunk is not positive.

    Differs from the paper: scores and softmax are float32 under mixed precision; bias, groups and chunks are later
    than it.

    Example:
        >>> import numpy as np
        >>> queries, keys = np.ones((1, 4, 3, 2), "float32"), np.ones((1, 2, 5, 2), "float32")
        >>> ScaledDotProductAttention(query_chunk=2)(queries, keys, keys).shape
        TensorShape([1, 4, 3, 2])

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1; groups: Ainslie et al. 2023, arXiv:2305.13245;
        chunks: Rabe and Staats 2021, arXiv:2112.05682
    """

    def __init__(self, dropout: float = 0.0, scale: bool = True, query_chunk: int | None = None, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the bias stays in the precision it comes in
        if query_chunk is not None and query_chunk < 1:
            raise ValueError(f"query_chunk must be positive, not {query_chunk}")
        self.dropout, self.scale, self.query_chunk = dropout, scale, query_chunk
        if dropout:
            self.seed_generator = keras.random.SeedGenerator()

    def build(self, queries_shape, keys_shape=None, values_shape=None):
        heads, key_heads = queries_shape[1], (keys_shape or queries_shape)[1]
        if heads % key_heads:
            raise ValueError(f"{key_heads} heads of keys do not divide {heads} heads of queries")

    def call(
        self,
        queries,
        keys,
        values,
        attention_mask=None,
        attention_bias=None,
        training=None,
        return_attention_scores=False,
    ):
        queries, keys, values = (ops.cast(x, self.compute_dtype) for x in (queries, keys, values))
        if self.scale:
            queries = queries * queries.shape[-1] ** -0.5
        # Drawn here, not where it is used: what is computed again must drop the same weights again.
        seed = self.seed_generator.next() if training and self.dropout else None
        chunk, length = self.query_chunk, queries.shape[2]
        if chunk is None or return_attention_scores or (length is not None and length <= chunk):
            read, weights = self._attend(queries, keys, values, attention_mask, attention_bias, seed)
            return (read, weights) if return_attention_scores else read
        return self._in_chunks(queries, keys, values, attention_mask, attention_bias, seed)

    def _attend(self, queries, keys, values, mask, bias, seed):
        """What is read (B, H, T, K), and the weights before dropout (B, H, T, S)."""
        shape, groups = ops.shape(queries), keys.shape[1]
        # The queries of a group, one head after the other, are as many more queries of one head.
        grouped = groups != queries.shape[1]
        if grouped:
            rows = (shape[0], groups, shape[1] // groups * shape[2])
            queries = ops.reshape(queries, (*rows, shape[3]))
        scores = float32(ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))))
        if grouped:
            scores = ops.reshape(scores, (*shape[:3], ops.shape(keys)[2]))
        if bias is not None:
            scores = scores + float32(bias)
        weights = ops.cast(ops.softmax(mask_scores(scores, mask)), values.dtype)
        kept = weights
        if seed is not None:
            kept = drop(weights, self.dropout, seed)
        if grouped:
            kept = ops.reshape(kept, (*rows, ops.shape(keys)[2]))
        read = ops.matmul(kept, values)
        if grouped:
            read = ops.reshape(read, (*shape[:3], values.shape[3]))
        return read, weights

    def _in_chunks(self, queries, keys, values, mask, bias, seed):
        """The same in a loop over chunks of queries, in which nothing of the size T * S is kept.

        A loop, and not so many copies of the graph: TensorFlow would run copies side by side, and XLA would find
        that the backward pass computes what is known already, and keep it.
        """
        chunk, shape = self.query_chunk, ops.shape(queries)
        length = shape[2]
        count = (length + chunk - 1) // chunk

        def stacked(x):  # (B, H, T, W) -> (count, B, H, chunk, W), the last chunk filled up
            rows, heads, _, width = ops.shape(x)
            filler = ops.zeros((rows, heads, count * chunk - length, width), x.dtype)
            x = ops.reshape(ops.concatenate([x, filler], axis=2), (rows, heads, count, chunk, width))
            return ops.transpose(x, (2, 0, 1, 3, 4))

        moving = {"queries": stacked(queries), "index": ops.arange(count)}  # differs from chunk to chunk
        common = {}
        for name, x in (("mask", mask), ("bias", bias)):
            if x is not None:
                x = ops.convert_to_tensor(x)
                x = ops.reshape(x, (1,) * (4 - len(x.shape)) + tuple(ops.shape(x)))
                if x.shape[2] == 1:  # one row for all queries; an axis of unknown length holds a row for each
                    common[name] = x
                else:
                    moving[name] = stacked(x)

        def attend(moving):
            here = {**common, **moving}
            own_seed = None if seed is None else seed + ops.cast(here["index"], seed.dtype) * _first(seed)

            def part(queries, keys, values, bias=None):  # gradients reach what is an argument, all floats
                return self._attend(queries, keys, values, here.get("mask"), bias, own_seed)[0]

            return keras.remat(part)(
                here["queries"], keys, values, *([here["bias"]] if "bias" in here else ())
            )

        parts = ops.transpose(ops.map(attend, moving), (1, 2, 0, 3, 4))  # (B, H, count, chunk, K)
        return ops.reshape(parts, (*shape[:2], count * chunk, parts.shape[-1]))[:, :, :length]

    def get_config(self):
        names = ("dropout", "scale", "query_chunk")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _first(seed):
    """(1, 0): a draw counts up the second number of a seed, the chunks of one draw the first."""
    return ops.convert_to_tensor([1, 0], dtype=seed.dtype)
