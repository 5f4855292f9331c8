"""Two-stream attention: how XLNet asks for a token without showing it."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.blocks import TransformerEncoderBlock


@keras.saving.register_keras_serializable("zoo")
class TwoStreamBlock(TransformerEncoderBlock):
    """A Transformer encoder block that reads a text and answers questions about it, with the same weights.

    `h = Block(Q=h, KV=h; content mask)`, `g = Block(Q=g, KV=h; query mask)`, where a Block is attention and
    feed-forward, each inside a residual connection.

    The content stream h holds a token and where it stands; the query stream g where a token stands that is asked
    for, and what it may see of the others, never the token itself. Only h is attended to, so keys and values are
    made once for both. Without queries it is a `TransformerEncoderBlock`, and its weights have the same names.

    Args:
        num_heads, intermediate_dim, dropout, attention_dropout, activation, normalize_first, normalization,
            num_key_value_heads, rotary, transformer_xl, scale_attention: as in `TransformerEncoderBlock`.

    Call arguments:
        inputs: h, (B, S, D).
        attention_mask: the content mask, bool, broadcastable to (B, H, S, S): `masks.content_mask`.
        attention_bias: broadcastable to (B, H, S, S), added to the scores of the content stream.
        padding_mask: (B, S) bool, True = is a token; batch normalisation alone needs it.
        queries: g, (B, K, D), or None.
        places: (B, K) int, where in the text the queries stand.
        query_mask: bool (B, 1, K, S): `masks.query_mask`.
        query_bias: broadcastable to (B, H, K, S), added to the scores of the query stream.
        return_attention_scores: return the attention weights too, where there are no queries.

    Returns: a pair of h (B, S, D) and g (B, K, D); without queries h alone.

    Masking: by the two masks. A query that sees nobody reads nothing: not the mean, as elsewhere, in which its own
    token would be.

    Errors: a ValueError when num_heads does not divide D.

    Differs from the paper: g stands only where something is asked for; positions are a choice.

    Example:
        >>> import numpy as np
        >>> from zoo.layers.masks import content_mask, query_mask
        >>> h, order, places = np.ones((1, 4, 8), "float32"), np.array([[0, 2, 1, 0]]), np.array([[1, 2]])
        >>> asked = np.array([[2, 1]])
        >>> h, g = TwoStreamBlock(2, 16)(h, attention_mask=content_mask(order), queries=h[:, :2],
        ...     places=places, query_mask=query_mask(asked, order))
        >>> g.shape
        TensorShape([1, 2, 8])

    Reference: Yang et al. 2019, arXiv:1906.08237, section 2.3
    """

    def build(self, inputs_shape, queries_shape=None):
        super().build(inputs_shape)

    def call(
        self,
        inputs,
        attention_mask=None,
        attention_bias=None,
        padding_mask=None,
        queries=None,
        places=None,
        query_mask=None,
        query_bias=None,
        training=None,
        return_attention_scores=False,
    ):
        if queries is None:
            return super().call(
                inputs, attention_mask, attention_bias, padding_mask, training, return_attention_scores
            )
        read = []  # keys and values of the content

        def attend_as_content(y):
            read.extend(self.attention.project_memory(y))
            return self.attention.attend(y, *read, attention_mask, training, attention_bias)

        def attend_as_query(y):
            answer = self.attention.attend(y, *read, query_mask, training, query_bias, positions=places)
            sees_any = ops.transpose(ops.any(query_mask, axis=-1), (0, 2, 1))  # (B, K, 1)
            return ops.where(sees_any, answer, ops.zeros_like(answer))

        h = self._residual(inputs, self.attention_norm, attend_as_content, padding_mask, training)
        g = self._residual(queries, self.attention_norm, attend_as_query, None, training)
        return self._feed(h, padding_mask, training), self._feed(g, None, training)

    def compute_output_shape(self, inputs_shape, queries_shape=None):
        return inputs_shape if queries_shape is None else (inputs_shape, queries_shape)
