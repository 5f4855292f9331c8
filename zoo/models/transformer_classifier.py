"""The Transformer encoder that reads a text and answers with one label."""

from __future__ import annotations

import keras

from zoo.layers.heads import ClassifierHead
from zoo.layers.masks import padding_mask
from zoo.models.base import Classifier
from zoo.models.text_encoder import TextEncoder


@keras.saving.register_keras_serializable("zoo")
class TransformerClassifier(Classifier):
    """Transformer encoder, pooling over the tokens, softmax over the labels.

    `h = Encoder(sqrt(D) E[x] + PE)`, `y = dropout(pool_t h_t) W + b`.

    Args:
        vocabulary_size, num_classes: sizes of input and output.
        num_layers, hidden_dim, intermediate_dim, num_heads, num_key_value_heads, positions,
            max_sequence_length, normalization, normalize_first, activation, scale_attention, dropout,
            attention_dropout, pooling: as in `zoo.config.transformer.TransformerClassifier`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, S) int}.

    Returns: logits (B, num_classes), float32.

    Masking: derived from the ids (0 is padding): the logits do not depend on the padding.

    Differs from the paper: BERT reads the state of one special token, which only pre-training makes
    useful; the mean of all states learns at once. As there, the encoder is that of Vaswani et al.

    Example:
        >>> import numpy as np
        >>> model = TransformerClassifier(vocabulary_size=10, num_classes=2, num_layers=1, hidden_dim=8,
        ...     intermediate_dim=16, num_heads=2, num_key_value_heads=None, positions="sinusoidal",
        ...     max_sequence_length=512, normalization="layer", normalize_first=True, activation="relu",
        ...     scale_attention=True, dropout=0.0, attention_dropout=0.0, pooling="mean")
        >>> model({"token_ids": np.array([[4, 5, 3, 0]])}).shape
        TensorShape([1, 2])

    Reference: Vaswani et al. 2017, arXiv:1706.03762; as a classifier: Devlin et al. 2019, arXiv:1810.04805
    """

    def __init__(self, *, num_classes: int, pooling: str, name=None, dtype=None, trainable=True, **encoder):
        super().__init__(
            num_classes=num_classes, pooling=pooling, **encoder, name=name, dtype=dtype, trainable=trainable
        )
        self.encoder = TextEncoder(**encoder, name="encoder", dtype=self.dtype_policy)
        self.head = ClassifierHead(
            num_classes, pooling, encoder["dropout"], name="head", dtype=self.dtype_policy
        )

    def build(self, input_shape):
        self.encoder.build()
        self.head.build((None, None, self.encoder.hidden_dim))

    def call(self, inputs, training=None):
        token_ids = inputs["token_ids"]
        x = self.encoder(token_ids, training=training)
        return self.head(x, padding_mask(token_ids), training=training)
