"""Recurrent networks that read a text and answer with one label (N -> 1)."""

from __future__ import annotations

import keras

from zoo.layers.masks import padding_mask
from zoo.layers.pooling import MaskedPooling
from zoo.models.base import Classifier

CELLS = {"lstm": keras.layers.LSTM}


def recurrent_layer(cell: str, units: int, rnn_kernel: str, name: str, dtype, **kwargs):
    """Keras's own layer: it has the cuDNN path, which `rnn_kernel` steers.

    cuDNN kernels are fast but keep XLA off for the whole model; the loop is what XLA compiles.
    """
    use_cudnn = {"auto": "auto", "cudnn": True, "xla": False}[rnn_kernel]
    return CELLS[cell](units, return_sequences=True, use_cudnn=use_cudnn, name=name, dtype=dtype, **kwargs)


@keras.saving.register_keras_serializable("zoo")
class RNNClassifier(Classifier):
    """Embedding, (bi)recurrent layers, pooling over time, softmax over the labels.

    `h = biRNN(E[x])`, `y = W dropout(pool_t h_t) + b`.

    Args:
        vocabulary_size, num_classes: sizes of input and output.
        cell, embedding_dim, units, num_layers, bidirectional, pooling, dropout, rnn_kernel: as in
            `zoo.config.rnn.RNNClassifier`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, S) int}.

    Returns: logits (B, num_classes), float32.

    Masking: derived from the ids (0 is padding): the logits do not depend on the padding.

    Differs from the paper: maximum over all states instead of the last one, which a short network
    learns faster.

    Example:
        >>> import numpy as np
        >>> model = RNNClassifier(vocabulary_size=10, num_classes=2, cell="lstm", embedding_dim=4, units=4,
        ...     num_layers=1, bidirectional=True, pooling="max", dropout=0.0, rnn_kernel="auto")
        >>> model({"token_ids": np.array([[4, 5, 0]])}).shape
        TensorShape([1, 2])

    Reference: Graves and Schmidhuber 2005 (bidirectional LSTM)
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
            rnn_kernel=rnn_kernel,
            **kwargs,
        )
        dtype = self.dtype_policy
        self.embedding = keras.layers.Embedding(vocabulary_size, embedding_dim, name="embedding", dtype=dtype)
        self.recurrent = []
        for i in range(num_layers):
            layer = recurrent_layer(cell, units, rnn_kernel, f"{cell}_{i}", dtype)
            if bidirectional:
                layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{i}", dtype=dtype)
            self.recurrent.append(layer)
        self.pooling = MaskedPooling(pooling, name="pooling")
        self.dropout = keras.layers.Dropout(dropout, dtype=dtype)
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
        x = self.dropout(self.embedding(inputs["token_ids"]), training=training)
        for layer in self.recurrent:
            x = self.dropout(layer(x, mask=mask, training=training), training=training)
        return self.head(self.pooling(x, mask))
