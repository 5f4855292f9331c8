"""Attention of a recurrent decoder over a memory: which of the encoder's states speak for the next word.

Both layers are used alike: `project_memory` once a sentence, then a call for each query, or for all at once.
"""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.portable import float32, mask_scores

SCORES = ("dot", "general", "concat")


@keras.saving.register_keras_serializable("zoo")
class BahdanauAttention(keras.layers.Layer):
    """Additive attention of a decoder state over a memory.

    `e_j = v^T tanh(W_a s + U_a h_j)`, `alpha = softmax(e)`, `c = sum_j alpha_j h_j`.

    `U_a h_j` does not depend on the query: `project_memory` computes it once for a whole sentence.

    Args:
        units: width A of the scoring network.

    Call arguments:
        query: decoder state s, (B, U), or the states of all steps, (B, T, U).
        keys: `project_memory(memory)`, (B, S, A).
        memory: encoder states h, (B, S, M).
        memory_mask: (B, S) bool, True = is a token.

    Returns: context c (B, M) and weights alpha (B, S); for all steps (B, T, M) and (B, T, S).

    Masking: masked places get weight 0. A row without any token gets equal weights, never NaN.

    Differs from the paper: a bias beside W_a.

    Example:
        >>> import numpy as np
        >>> layer, memory = BahdanauAttention(4), np.ones((2, 5, 6), "float32")
        >>> layer.build((2, 3), (2, 5, 6))
        >>> context, weights = layer(np.ones((2, 3), "float32"), layer.project_memory(memory), memory)
        >>> context.shape, weights.shape
        (TensorShape([2, 6]), TensorShape([2, 5]))

    Reference: Bahdanau et al. 2015, arXiv:1409.0473, section 3.1 and appendix A.1.2
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, query_shape, memory_shape, *unused):
        self.query_dense = keras.layers.Dense(self.units, name="query", dtype=self.dtype_policy)
        self.memory_dense = keras.layers.Dense(
            self.units, use_bias=False, name="memory", dtype=self.dtype_policy
        )
        self.query_dense.build(query_shape)
        self.memory_dense.build(memory_shape)
        self.v = self.add_weight(name="v", shape=(self.units,), initializer="glorot_uniform")

    def project_memory(self, memory):
        """The keys U_a h: (B, S, M) -> (B, S, A)."""
        return self.memory_dense(memory)

    def call(self, query, keys, memory, memory_mask=None):
        return _read(_additive_scores(self.query_dense(query), keys, self.v), memory, memory_mask)

    def compute_output_shape(self, query_shape, keys_shape, memory_shape):
        return (*query_shape[:-1], memory_shape[-1]), (*query_shape[:-1], memory_shape[1])

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("zoo")
class LuongAttention(keras.layers.Layer):
    """Attention of a decoder state over a memory by one of Luong's three scores.

    `dot: e_j = h^T m_j`, `general: e_j = h^T W_a m_j`, `concat: e_j = v_a^T tanh(W_a [h; m_j])`, then
    `alpha = softmax(e)`, `c = sum_j alpha_j m_j`.

    What does not depend on the query, `project_memory` computes once for a whole sentence: nothing for
    dot, `W_a m_j` for general, the right half of `W_a [h; m_j]` for concat.

    Args:
        score: "dot", "general" or "concat".
        units: width A of the scoring network of concat, that of the query by default.

    Call arguments:
        query: decoder state h, (B, U), or the states of all steps, (B, T, U).
        keys: `project_memory(memory)`, (B, S, U), for concat (B, S, A).
        memory: encoder states m, (B, S, M); for dot, M = U.
        memory_mask: (B, S) bool, True = is a token.

    Returns: context c (B, M) and weights alpha (B, S); for all steps (B, T, M) and (B, T, S).

    Masking: masked places get weight 0. A row without any token gets equal weights, never NaN.

    Errors: a ValueError for another score, and for dot when query and memory differ in width.

    Differs from the paper: only the global form; no local windows, and no location-based score.

    Example:
        >>> import numpy as np
        >>> layer, memory = LuongAttention("general"), np.ones((2, 5, 6), "float32")
        >>> layer.build((2, 3), (2, 5, 6))
        >>> context, weights = layer(np.ones((2, 3), "float32"), layer.project_memory(memory), memory)
        >>> context.shape, weights.shape
        (TensorShape([2, 6]), TensorShape([2, 5]))

    Reference: Luong et al. 2015, arXiv:1508.04025, section 3.1
    """

    def __init__(self, score: str = "general", units: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if score not in SCORES:
            raise ValueError(f"score must be one of {', '.join(SCORES)}, not {score!r}")
        self.score, self.units = score, units

    def build(self, query_shape, memory_shape, *unused):
        query_width, memory_width = query_shape[-1], memory_shape[-1]
        if self.score == "dot":
            if query_width != memory_width:
                raise ValueError(
                    f"score 'dot' needs a query and a memory of one width, got {query_width} and "
                    f"{memory_width}: use 'general'"
                )
            return
        width = query_width if self.score == "general" else self.units or query_width
        dense = {"use_bias": False, "dtype": self.dtype_policy}
        self.memory_dense = keras.layers.Dense(width, name="memory", **dense)
        self.memory_dense.build(memory_shape)
        if self.score == "concat":
            self.query_dense = keras.layers.Dense(width, name="query", **dense)
            self.query_dense.build(query_shape)
            self.v = self.add_weight(name="v", shape=(width,), initializer="glorot_uniform")

    def project_memory(self, memory):
        """What the query is compared with: (B, S, M) -> (B, S, U), for concat (B, S, A)."""
        return memory if self.score == "dot" else self.memory_dense(memory)

    def call(self, query, keys, memory, memory_mask=None):
        if self.score == "concat":
            scores = _additive_scores(self.query_dense(query), keys, self.v)
        else:
            equation = "bu,bsu->bs" if len(query.shape) == 2 else "btu,bsu->bts"
            scores = float32(ops.einsum(equation, query, keys))
        return _read(scores, memory, memory_mask)

    def compute_output_shape(self, query_shape, keys_shape, memory_shape):
        return (*query_shape[:-1], memory_shape[-1]), (*query_shape[:-1], memory_shape[1])

    def get_config(self):
        return {**super().get_config(), "score": self.score, "units": self.units}


def memory_attention(kind: str, units: int, **kwargs):
    """The layer for "bahdanau" or "luong_<score>"; `units` is the width of the scoring network if it has one."""
    if kind == "bahdanau":
        return BahdanauAttention(units, **kwargs)
    author, _, score = kind.partition("_")
    if author != "luong" or score not in SCORES:
        known = ", ".join(["bahdanau", *(f"luong_{score}" for score in SCORES)])
        raise ValueError(f"attention must be one of {known}, not {kind!r}")
    return LuongAttention(score, units, **kwargs)


def _additive_scores(query, keys, v):
    """`v^T tanh(query + key_j)`: query ([T,] A) with keys (S, A) of each sentence -> ([T,] S), float32."""
    every_step = len(query.shape) == 3
    keys = ops.expand_dims(keys, 1) if every_step else keys
    hidden = ops.tanh(ops.expand_dims(query, -2) + keys)  # (B, [T,] S, A)
    # Not matmul: XLA cannot train a 3-D product inside a loop of unknown shape.
    return float32(
        ops.einsum("btsa,a->bts" if every_step else "bsa,a->bs", hidden, ops.cast(v, hidden.dtype))
    )


def _read(scores, memory, memory_mask):
    """The mean of the memory, weighted by the softmax of the scores, and the weights."""
    every_step = len(scores.shape) == 3
    if every_step and memory_mask is not None:
        memory_mask = ops.expand_dims(memory_mask, 1)
    weights = ops.cast(ops.softmax(mask_scores(scores, memory_mask)), memory.dtype)
    return ops.einsum("bts,bsm->btm" if every_step else "bs,bsm->bm", weights, memory), weights
