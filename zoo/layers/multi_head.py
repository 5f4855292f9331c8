"""Scaled dot-product attention in several heads."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.portable import float32, mask_scores


@keras.saving.register_keras_serializable("zoo")
class MultiHeadAttention(keras.layers.Layer):
    """Attention in H subspaces at once, their results joined by one more projection.

    `Attention(Q, K, V) = softmax(Q K^T / sqrt(K)) V`,
    `MultiHead(Q, M) = Concat(head_1, ..., head_H) W^O`, `head_i = Attention(Q W_i^Q, M W_i^K, M W_i^V)`.

    The parts are public, because a decoder needs them one by one: `project_memory` makes keys and
    values (once for a whole sentence, or one slot of a cache), `attend` does the rest.

    Args:
        num_heads: H; divides the width D of the query.
        dropout: dropout on the attention weights.

    Call arguments:
        query: (B, T, D).
        memory: (B, S, D), the query itself for self-attention.
        attention_mask: bool, broadcastable to (B, H, T, S), True = may be attended to.

    Returns: (B, T, D).

    Masking: only by `attention_mask`. A query whose keys are all masked gets their mean, never NaN.

    Errors: a ValueError when num_heads does not divide D.

    Differs from the paper: the four projections have biases, as in every later implementation;
    scores and softmax are float32 under mixed precision.

    Example:
        >>> import numpy as np
        >>> x = np.ones((2, 5, 8), "float32")
        >>> MultiHeadAttention(num_heads=2)(x, x).shape
        TensorShape([2, 5, 8])

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.2
    """

    def __init__(self, num_heads: int, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads, self.dropout = num_heads, dropout

    def build(self, query_shape, memory_shape=None):
        width = query_shape[-1]
        if width % self.num_heads:
            raise ValueError(f"num_heads {self.num_heads} does not divide the width {width}")
        self.head_dim = width // self.num_heads
        memory_shape = memory_shape or query_shape
        for name in ("query", "key", "value", "output"):
            dense = keras.layers.Dense(width, name=name, dtype=self.dtype_policy)
            dense.build(memory_shape if name in ("key", "value") else query_shape)
            setattr(self, f"{name}_dense", dense)
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def call(self, query, memory, attention_mask=None, training=None):
        keys, values = self.project_memory(memory)
        return self.attend(query, keys, values, attention_mask, training)

    def project_memory(self, memory):
        """Keys and values of a memory: (B, S, D) -> two of (B, H, S, K)."""
        batch, length = ops.shape(memory)[0], ops.shape(memory)[1]
        shape = (batch, length, self.num_heads, self.head_dim)
        return tuple(
            ops.transpose(ops.reshape(dense(memory), shape), (0, 2, 1, 3))
            for dense in (self.key_dense, self.value_dense)
        )

    def attend(self, query, keys, values, attention_mask=None, training=None):
        """What the query (B, T, D) reads from projected keys and values (B, H, S, K): (B, T, D)."""
        batch, length = ops.shape(query)[0], ops.shape(query)[1]
        q = self.query_dense(query) * self.head_dim**-0.5
        q = ops.transpose(ops.reshape(q, (batch, length, self.num_heads, self.head_dim)), (0, 2, 1, 3))
        scores = float32(ops.matmul(q, ops.transpose(keys, (0, 1, 3, 2))))  # (B, H, T, S)
        weights = ops.cast(ops.softmax(mask_scores(scores, attention_mask)), values.dtype)
        weights = self.dropout_layer(weights, training=training)
        heads = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))  # (B, T, H, K)
        return self.output_dense(ops.reshape(heads, (batch, length, self.num_heads * self.head_dim)))

    def compute_output_shape(self, query_shape, memory_shape=None):
        return query_shape

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}
