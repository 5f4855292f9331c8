"""XLNet: a Transformer that is asked for the tokens of a text in any order."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.heads import MaskedLMHead
from zoo.layers.masks import content_mask, key_mask, padding_mask, query_mask
from zoo.layers.two_stream import TwoStreamBlock
from zoo.models.base import MaskedLanguageModel
from zoo.models.text_encoder import TextEncoder
from zoo.models.transformer_parts import at_places, bias_of_sequence


@keras.saving.register_keras_serializable("zoo")
class XLNet(MaskedLanguageModel):
    """A text that is asked for in an order: each token from where it stands and from those before it in the order.

    `h^0 = sqrt(D) E[x]`, `g^0_k = w`; in each block `h_i` reads h_j of `order_j <= order_i`, `g_k` reads h_j of
    `order_j < order_{p_k}`; `logits_k = LN(gelu(g_k W + b)) E^T + c`, p_k the k-th place.

    Args:
        vocabulary_size: size of input and output.
        num_layers, hidden_dim, intermediate_dim, num_heads, num_key_value_heads, positions,
            max_sequence_length, normalization, normalize_first, activation, scale_attention, dropout,
            attention_dropout: as in `zoo.config.transformer.XLNet`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, S) int, "places": (B, K) int, "order": (B, S) int}; the order is 0 of what is
            known. An id that nobody knows is -1.

    Returns: logits (B, K, vocabulary_size), float32.

    Masking: derived from the ids (0 is padding) and the order: no logits depend on the padding, on the token they
    are asked for, on those of the same or a later number, nor on what stands at an id of -1 if all numbers are 1.

    Differs from the paper: no recurrence over segments and no memory of them, so a text is read by itself; no
    encodings of segments; what is asked for together are the spans of the recipe's `masking.unit`; queries stand
    only at the places that are asked for; the choices of positions, norm and activation, pre-LN by default.

    Example:
        >>> import numpy as np
        >>> model = XLNet(vocabulary_size=10, num_layers=1, hidden_dim=8, intermediate_dim=16, num_heads=2,
        ...     num_key_value_heads=None, positions="transformer_xl", max_sequence_length=512,
        ...     normalization="layer", normalize_first=False, activation="gelu", scale_attention=True,
        ...     dropout=0.0, attention_dropout=0.0)
        >>> inputs = {"token_ids": np.array([[4, 6, 5, 3, 0]]), "places": np.array([[1, 2]])}
        >>> model({**inputs, "order": np.array([[0, 2, 1, 0, 0]])}).shape
        TensorShape([1, 2, 10])

    Reference: Yang et al. 2019, arXiv:1906.08237, sections 2.2 to 2.4
    """

    objective = "permutation"

    def __init__(self, *, name=None, dtype=None, trainable=True, **encoder):
        super().__init__(**encoder, name=name, dtype=dtype, trainable=trainable)
        self.encoder = TextEncoder(
            **encoder, block_class=TwoStreamBlock, name="encoder", dtype=self.dtype_policy
        )
        self.head = MaskedLMHead(encoder["vocabulary_size"], name="head", dtype=self.dtype_policy)

    def build(self, input_shape):
        width = self.encoder.hidden_dim
        self.encoder.build()
        self.head.build((None, None, width))
        initializer = keras.initializers.RandomNormal(stddev=width**-0.5)
        self.asking = self.add_weight(name="asking", shape=(width,), initializer=initializer)

    def before_logits(self, inputs, training=None):
        _, g = self.streams(inputs, training)
        return self.head.transform(self.encoder.finished(g, training=training))

    def output_matrix(self):
        return self.encoder.embedding.embeddings, self.head.bias

    def streams(self, inputs, training=None):
        """What the blocks make of the contents (B, S, D) and of the queries (B, K, D)."""
        token_ids, places, order = inputs["token_ids"], inputs["places"], inputs["order"]
        encoder, tokens = self.encoder, padding_mask(token_ids)
        h = encoder.embed(ops.maximum(token_ids, 0))  # no kernel looks up an id below zero
        w = ops.zeros_like(h) + ops.cast(self.asking, h.dtype) * encoder.scale
        g = at_places(encoder.placed(w, training), places)
        h = encoder.placed(h, training)
        bias = bias_of_sequence(encoder.position_bias, ops.shape(token_ids)[1])
        streams = dict(
            attention_mask=content_mask(order) & key_mask(tokens),
            attention_bias=bias,
            padding_mask=tokens,
            places=places,
            query_mask=query_mask(_numbers(order, places), order) & key_mask(tokens),
            query_bias=None if bias is None else _rows(bias, places),
        )
        for block in encoder.blocks:
            h, g = block(h, queries=g, training=training, **streams)
        return h, g


def _numbers(order, places):
    """The order (B, S) at the places: (B, K)."""
    numbers = at_places(ops.cast(ops.expand_dims(order, -1), "float32"), places)
    return ops.cast(ops.squeeze(numbers, -1), order.dtype)


def _rows(bias, places):
    """Of a bias (1, H, S, S) the rows at the places: (B, H, K, S)."""
    heads, length = bias.shape[1], ops.shape(bias)[3]
    by_query = ops.reshape(ops.transpose(bias, (0, 2, 1, 3)), (1, length, heads * length))
    shape = (ops.shape(places)[0], ops.shape(places)[1], heads, length)
    return ops.transpose(ops.reshape(at_places(by_query, places), shape), (0, 2, 1, 3))
