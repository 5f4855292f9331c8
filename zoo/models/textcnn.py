"""Convolutions that read a text and answer with one label (N -> 1)."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.convolution import MaskedConv1D
from zoo.layers.dropout import Dropout
from zoo.layers.masks import padding_mask
from zoo.layers.pooling import MaskedPooling
from zoo.models.base import Classifier


@keras.saving.register_keras_serializable("zoo")
class TextCNN(Classifier):
    """Filters over a few words each, the largest answer of each filter, softmax.

    `c_t = relu(W [x_t; ...; x_{t+h-1}] + b)`, `z_i = max_t c_t` for each filter i, `y = V dropout(z) + b`; after
    each step of training the columns of V are cut to the norm `max_norm`.

    Args:
        vocabulary_size, num_classes: sizes of input and output.
        embedding_dim, kernel_sizes, num_filters, dropout, embedding_dropout, max_norm: as in
            `zoo.config.convolution.TextCNN`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, S) int}.

    Returns: logits (B, num_classes), float32.

    Masking: derived from the ids (0 is padding): a filter sees zeros at padding, and the maximum is taken
    over the tokens alone, so the logits do not depend on the padding.

    Differs from the paper: the "rand" setting, words start with random vectors; the middle of a filter stands
    on a token. Kim's optimizer was Adadelta; the recipe says which is used.

    Example:
        >>> import numpy as np
        >>> model = TextCNN(vocabulary_size=10, num_classes=2, embedding_dim=4, kernel_sizes=[3, 4, 5],
        ...     num_filters=6, dropout=0.5, embedding_dropout=0.0, max_norm=3.0)
        >>> model({"token_ids": np.array([[4, 5, 0]])}).shape
        TensorShape([1, 2])

    Reference: Kim 2014, arXiv:1408.5882, sections 2 and 3.1
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        num_classes: int,
        embedding_dim: int,
        kernel_sizes: list[int],
        num_filters: int,
        dropout: float,
        embedding_dropout: float,
        max_norm: float | None,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            num_classes=num_classes,
            embedding_dim=embedding_dim,
            kernel_sizes=list(kernel_sizes),
            num_filters=num_filters,
            dropout=dropout,
            embedding_dropout=embedding_dropout,
            max_norm=max_norm,
            **kwargs,
        )
        dtype = self.dtype_policy
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            embedding_dim,
            embeddings_initializer=keras.initializers.RandomUniform(-0.25, 0.25),  # as Kim's
            name="embedding",
            dtype=dtype,
        )
        self.embedding_dropout = Dropout(embedding_dropout, dtype=dtype)
        self.convolutions = [
            MaskedConv1D(num_filters, size, activation="relu", name=f"convolution_{i}", dtype=dtype)
            for i, size in enumerate(kernel_sizes)
        ]
        self.pooling = MaskedPooling("max", name="pooling", dtype=dtype)
        self.dropout = Dropout(dropout, dtype="float32")
        self.head = keras.layers.Dense(
            num_classes,
            kernel_constraint=keras.constraints.MaxNorm(max_norm, axis=0) if max_norm else None,
            name="head",
            dtype="float32",
        )

    def build(self, input_shape):
        self.embedding.build((None, None))
        for convolution in self.convolutions:
            convolution.build((None, None, self.embedding.output_dim))
        self.head.build((None, sum(convolution.filters for convolution in self.convolutions)))

    def call(self, inputs, training=None):
        mask = padding_mask(inputs["token_ids"])
        x = self.embedding_dropout(self.embedding(inputs["token_ids"]), training=training)
        pooled = [self.pooling(convolution(x, mask), mask) for convolution in self.convolutions]
        return self.head(self.dropout(ops.concatenate(pooled, axis=-1), training=training))
