"""BERT: a Transformer encoder that is trained to say what stood at hidden places."""

from __future__ import annotations

import keras

from zoo.layers.heads import MaskedLMHead
from zoo.layers.masks import padding_mask
from zoo.models.base import MaskedLanguageModel
from zoo.models.text_encoder import TextEncoder
from zoo.models.transformer_parts import at_places, embed_hidden


@keras.saving.register_keras_serializable("zoo")
class Bert(MaskedLanguageModel):
    """Transformer encoder over a text with hidden tokens, and what stood at the hidden places.

    `h = Encoder(sqrt(D) E[x] + PE)`, `logits_k = LN(gelu(h_{p_k} W + b)) E^T + c`, p_k the k-th place.

    Args:
        vocabulary_size: size of input and output.
        num_layers, hidden_dim, intermediate_dim, num_heads, num_key_value_heads, positions,
            max_sequence_length, normalization, normalize_first, activation, scale_attention, dropout,
            attention_dropout: as in `zoo.config.transformer.Bert`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, S) int, "places": (B, K) int, "order": (B, S) int}; a hidden token is -1, which
            has a vector of its own. The order is not read: every place sees every other.

    Returns: logits (B, K, vocabulary_size), float32.

    Masking: derived from the ids (0 is padding): no logits of a real place depend on the padding.

    Differs from the paper: one kind of text, so no second sentence, no segments and no [CLS]; the choices of
    positions, norm and activation, pre-LN by default.

    Example:
        >>> import numpy as np
        >>> model = Bert(vocabulary_size=10, num_layers=1, hidden_dim=8, intermediate_dim=16, num_heads=2,
        ...     num_key_value_heads=None, positions="learned", max_sequence_length=512,
        ...     normalization="layer", normalize_first=False, activation="gelu", scale_attention=True,
        ...     dropout=0.0, attention_dropout=0.0)
        >>> inputs = {"token_ids": np.array([[4, -1, 5, 3, 0]]), "places": np.array([[1]])}
        >>> model({**inputs, "order": np.array([[0, 1, 0, 0, 0]])}).shape
        TensorShape([1, 1, 10])

    Reference: Devlin et al. 2019, arXiv:1810.04805, section 3.1
    """

    def __init__(self, *, name=None, dtype=None, trainable=True, **encoder):
        super().__init__(**encoder, name=name, dtype=dtype, trainable=trainable)
        self.encoder = TextEncoder(**encoder, name="encoder", dtype=self.dtype_policy)
        self.head = MaskedLMHead(encoder["vocabulary_size"], name="head", dtype=self.dtype_policy)

    def build(self, input_shape):
        width = self.encoder.hidden_dim
        self.encoder.build()
        self.head.build((None, None, width))
        initializer = keras.initializers.RandomNormal(stddev=width**-0.5)
        self.hidden = self.add_weight(name="hidden", shape=(width,), initializer=initializer)

    def before_logits(self, inputs, training=None):
        token_ids = inputs["token_ids"]
        x = embed_hidden(self.encoder, token_ids, self.hidden)
        x = self.encoder.contextualize(x, padding_mask(token_ids), training)
        return self.head.transform(at_places(x, inputs["places"]))

    def output_matrix(self):
        return self.encoder.embedding.embeddings, self.head.bias
