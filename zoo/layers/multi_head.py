"""Scaled dot-product attention in several heads."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.dot_product import ScaledDotProductAttention
from zoo.layers.relative_positions import RotaryEmbedding
from zoo.layers.transformer_xl import TransformerXLPositions


@keras.saving.register_keras_serializable("zoo")
class MultiHeadAttention(keras.layers.Layer):
    """Attention in H subspaces at once, their results joined by one more projection.

    `Attention(Q, K, V) = softmax(Q K^T / sqrt(K) + bias) V`,
    `MultiHead(Q, M) = Concat(head_1, ..., head_H) W^O`, `head_i = Attention(Q W_i^Q, M W_i^K, M W_i^V)`.

    The parts are public, because a decoder needs them one by one: `project_memory` makes keys and
    values (once for a whole sentence, or one slot of a cache), `attend` does the rest.

    Args:
        num_heads: H; divides the width D of the query.
        dropout: dropout on the attention weights.
        num_key_value_heads: G, heads of keys and values; divides H. Fewer than H is grouped-query attention, 1 is
            multi-query attention; None: H.
        rotary: turn queries and keys by their positions (`RotaryEmbedding`); for self-attention.
        query_chunk: queries at a time, for long sequences (`ScaledDotProductAttention`); None: all.
        transformer_xl: a term of distances in the scores (`TransformerXLPositions`); for self-attention.
        scale: divide the scores by sqrt(K).

    Call arguments:
        query: (B, T, D).
        memory: (B, S, M), the query itself for self-attention.
        attention_mask: bool, broadcastable to (B, H, T, S), True = may be attended to.
        attention_bias: broadcastable to (B, H, T, S), added to the scores (`ALiBi`, `T5RelativeBias`).
        start: position of the first token, for rotary.
        return_attention_scores: return the weights too.

    Returns: (B, T, D), or a pair of it and the weights (B, H, T, S), which are those before dropout.

    Masking: only by `attention_mask`. A query whose keys are all masked gets their mean, never NaN.

    Errors: a ValueError when num_heads does not divide D, or num_key_value_heads does not divide num_heads.

    Differs from the paper: the four projections have biases, as in every later implementation;
    scores and softmax are float32 under mixed precision.

    Example:
        >>> import numpy as np
        >>> x = np.ones((2, 5, 8), "float32")
        >>> MultiHeadAttention(num_heads=2)(x, x).shape
        TensorShape([2, 5, 8])

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.2; fewer heads of keys and values: Shazeer 2019,
        arXiv:1911.02150, Ainslie et al. 2023, arXiv:2305.13245
    """

    def __init__(
        self,
        num_heads: int,
        dropout: float = 0.0,
        num_key_value_heads: int | None = None,
        rotary: bool = False,
        query_chunk: int | None = None,
        transformer_xl: bool = False,
        scale: bool = True,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the bias stays in the precision it comes in
        self.num_heads, self.dropout = num_heads, dropout
        self.num_key_value_heads = num_key_value_heads or num_heads
        self.rotary, self.transformer_xl = rotary, transformer_xl
        self.query_chunk, self.scale = query_chunk, scale
        if num_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads {num_key_value_heads} does not divide num_heads {num_heads}"
            )

    def build(self, query_shape, memory_shape=None):
        width = query_shape[-1]
        if width % self.num_heads:
            raise ValueError(f"num_heads {self.num_heads} does not divide the width {width}")
        self.head_dim = width // self.num_heads
        memory_shape = memory_shape or query_shape
        narrow = self.num_key_value_heads * self.head_dim
        for name, units, shape in (
            ("query", width, query_shape),
            ("key", narrow, memory_shape),
            ("value", narrow, memory_shape),
            ("output", width, query_shape),
        ):
            dense = keras.layers.Dense(units, name=name, dtype=self.dtype_policy)
            dense.build(shape)
            setattr(self, f"{name}_dense", dense)
        heads = [(None, heads, None, self.head_dim) for heads in (self.num_heads, self.num_key_value_heads)]
        self.dot_product = ScaledDotProductAttention(
            self.dropout, self.scale, self.query_chunk, name="dot_product", dtype=self.dtype_policy
        )
        self.dot_product.build(heads[0], heads[1], heads[1])
        if self.rotary:
            self.rotary_embedding = RotaryEmbedding(name="rotary_embedding", dtype=self.dtype_policy)
            self.rotary_embedding.build(heads[0])
        if self.transformer_xl:
            self.relative = TransformerXLPositions(
                self.num_heads, width, self.scale, name="relative", dtype=self.dtype_policy
            )
            self.relative.build(heads[0])

    def call(
        self,
        query,
        memory,
        attention_mask=None,
        attention_bias=None,
        start=0,
        training=None,
        return_attention_scores=False,
    ):
        keys, values = self.project_memory(memory, start)
        return self.attend(
            query,
            keys,
            values,
            attention_mask,
            training,
            attention_bias,
            start if self.rotary else 0,  # distances count from the first key, turns from the first token
            return_attention_scores,
        )

    def project_memory(self, memory, start=0, positions=None):
        """Keys and values of a memory: (B, S, M) -> two of (B, G, S, K)."""
        keys = self._heads(self.key_dense, memory, self.num_key_value_heads)
        if self.rotary:
            keys = self.rotary_embedding(keys, start=start, positions=positions)
        return keys, self._heads(self.value_dense, memory, self.num_key_value_heads)

    def attend(
        self,
        query,
        keys,
        values,
        attention_mask=None,
        training=None,
        attention_bias=None,
        start=0,
        return_attention_scores=False,
        positions=None,
    ):
        """What the query (B, T, D) reads from projected keys and values (B, G, S, K): (B, T, D).

        `positions` (B, T) says where the queries stand if not from `start` on.
        """
        batch, length = ops.shape(query)[0], ops.shape(query)[1]
        queries = self._heads(self.query_dense, query, self.num_heads)
        if self.rotary:
            queries = self.rotary_embedding(queries, start=start, positions=positions)
        if self.transformer_xl:
            queries, bias = self.relative(
                queries, num_keys=ops.shape(keys)[2], start=start, positions=positions
            )
            attention_bias = bias if attention_bias is None else attention_bias + bias
        read = self.dot_product(
            queries,
            keys,
            values,
            attention_mask=attention_mask,
            attention_bias=attention_bias,
            training=training,
            return_attention_scores=return_attention_scores,
        )
        read, scores = read if return_attention_scores else (read, None)
        joined = ops.reshape(
            ops.transpose(read, (0, 2, 1, 3)), (batch, length, self.num_heads * self.head_dim)
        )
        output = self.output_dense(joined)
        return (output, scores) if return_attention_scores else output

    def _heads(self, dense, x, heads):
        """Projected and cut into heads: (B, T, D) -> (B, heads, T, K)."""
        if heads == 1:  # no transposition, which tf2onnx gets wrong where an axis has size 1
            return ops.expand_dims(dense(x), 1)
        shape = (ops.shape(x)[0], ops.shape(x)[1], heads, self.head_dim)
        return ops.transpose(ops.reshape(dense(x), shape), (0, 2, 1, 3))

    def get_config(self):
        names = (
            "num_heads",
            "dropout",
            "num_key_value_heads",
            "rotary",
            "query_chunk",
            "transformer_xl",
            "scale",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
