"""The Transformer encoder that gives each word a tag."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.heads import TaggerHead
from zoo.models.base import Tagger
from zoo.models.text_encoder import TextEncoder


@keras.saving.register_keras_serializable("zoo")
class TransformerTagger(Tagger):
    """Transformer encoder over the pieces of words, softmax over the tags at each.

    `h = Encoder(sqrt(D) E[x] + PE)`, `y_t = dropout(h_t) W + b`.

    Args:
        vocabulary_size, num_classes: sizes of input and output.
        num_layers, hidden_dim, intermediate_dim, num_heads, num_key_value_heads, positions,
            max_sequence_length, normalization, normalize_first, activation, scale_attention, dropout,
            attention_dropout: as in `zoo.config.transformer.TransformerTagger`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, S) int, "character_ids": (B, S, W) int}. The characters are not read: by them
            others know which piece is the first of its word, and that one alone has a label and an answer.

    Returns: logits (B, S, num_classes), float32.

    Masking: derived from the ids (0 is padding): no real place depends on the padding.

    Differs from the paper: no [CLS] and no [SEP], for a tag of a word asks for neither.

    Example:
        >>> import numpy as np
        >>> model = TransformerTagger(vocabulary_size=10, num_classes=2, num_layers=1, hidden_dim=8,
        ...     intermediate_dim=16, num_heads=2, num_key_value_heads=None, positions="sinusoidal",
        ...     max_sequence_length=512, normalization="layer", normalize_first=True, activation="relu",
        ...     scale_attention=True, dropout=0.0, attention_dropout=0.0)
        >>> inputs = {"token_ids": np.array([[4, 5, 6, 0]]), "character_ids": np.ones((1, 4, 6), "int32")}
        >>> model(inputs).shape
        TensorShape([1, 4, 2])

    Reference: Devlin et al. 2019, arXiv:1810.04805, section 5.4
    """

    def __init__(self, *, num_classes: int, name=None, dtype=None, trainable=True, **encoder):
        super().__init__(num_classes=num_classes, **encoder, name=name, dtype=dtype, trainable=trainable)
        self.encoder = TextEncoder(**encoder, name="encoder", dtype=self.dtype_policy)
        self.head = TaggerHead(num_classes, encoder["dropout"], name="head", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.encoder.build()
        self.head.build((None, None, self.encoder.hidden_dim))

    def call(self, inputs, training=None):
        return self.head(self.encoder(inputs["token_ids"], training=training), training=training)

    def best_tags(self, outputs):
        return ops.squeeze(ops.top_k(outputs, 1)[1], -1)
