"""Recurrent networks that read a text and answer with one label (N -> 1)."""

from __future__ import annotations

import keras

from zoo.layers.bidirectional import Bidirectional
from zoo.layers.dropout import Dropout
from zoo.layers.masks import padding_mask
from zoo.layers.pooling import MaskedPooling
from zoo.layers.rnn import recurrent_layer
from zoo.models.base import Classifier


@keras.saving.register_keras_serializable("zoo")
class RNNClassifier(Classifier):
    """Embedding, (bi)recurrent layers, pooling over time, softmax over the labels.

    `h = biRNN(dropout(E[x]))`, `y = W dropout(pool_t h_t) + b`.

    Args:
        vocabulary_size, num_classes: sizes of input and output.
        cell, embedding_dim, units, num_layers, bidirectional, pooling, dropout, recurrent_dropout, rnn_kernel:
            as in `zoo.config.rnn.RNNClassifier`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, S) int}.

    Returns: logits (B, num_classes), float32.

    Masking: derived from the ids (0 is padding): the logits do not depend on the padding.

    Differs from the paper: max and mean look at all states and not at the last one, which a short network
    learns faster.

    Example:
        >>> import numpy as np
        >>> model = RNNClassifier(vocabulary_size=10, num_classes=2, cell="lstm", embedding_dim=4, units=4,
        ...     num_layers=1, bidirectional=True, pooling="max", dropout=0.0, recurrent_dropout=0.0,
        ...     rnn_kernel="auto")
        >>> model({"token_ids": np.array([[4, 5, 0]])}).shape
        TensorShape([1, 2])

    Reference: Graves and Schmidhuber 2005, Framewise Phoneme Classification, section 2 (bidirectional LSTM)
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        num_classes: int,
        cell: str,
        embedding_dim: int,
        units: int,
        num_layers: int,
        bidirectional: bool,
        pooling: str,
        dropout: float,
        recurrent_dropout: float,
        rnn_kernel: str,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            num_classes=num_classes,
            cell=cell,
            embedding_dim=embedding_dim,
            units=units,
            num_layers=num_layers,
            bidirectional=bidirectional,
            pooling=pooling,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            rnn_kernel=rnn_kernel,
            **kwargs,
        )
        dtype = self.dtype_policy
        self.embedding = keras.layers.Embedding(vocabulary_size, embedding_dim, name="embedding", dtype=dtype)
        self.recurrent = []
        for i in range(num_layers):
            # "last" is what recurrent layers return by themselves: each direction the state in which it ends.
            sequences = pooling != "last" or i < num_layers - 1
            options = {"recurrent_dropout": recurrent_dropout, "return_sequences": sequences}
            layer = recurrent_layer(cell, units, rnn_kernel, f"{cell}_{i}", dtype, **options)
            if bidirectional:
                layer = Bidirectional(layer, name=f"bidirectional_{i}", dtype=dtype)
            self.recurrent.append(layer)
        self.pooling = None if pooling == "last" else MaskedPooling(pooling, name="pooling")
        self.dropout = Dropout(dropout, dtype=dtype)
        self.head = keras.layers.Dense(num_classes, name="head", dtype="float32")
        self.width = units * (2 if bidirectional else 1)

    def build(self, input_shape):
        self.embedding.build((None, None))
        width = self.embedding.output_dim
        for layer in self.recurrent:
            layer.build((None, None, width))
            width = self.width
        self.head.build((None, width))

    def call(self, inputs, training=None):
        mask = padding_mask(inputs["token_ids"])
        x = self.embedding(inputs["token_ids"])
        for layer in self.recurrent:
            x = layer(self.dropout(x, training=training), mask=mask, training=training)
        pooled = x if self.pooling is None else self.pooling(x, mask)
        return self.head(self.dropout(pooled, training=training))
