"""Embeddings whose matrix is also the output projection."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.heads import output_scores


@keras.saving.register_keras_serializable("zoo")
class TiedEmbedding(keras.layers.Layer):
    """One matrix E that turns ids into vectors, and vectors into scores of all ids.

    `embed(id) = E[id] * scale`, `logits(x) = x E^T + b`.

    Args:
        vocabulary_size: V.
        hidden_dim: D.
        scale: factor of the embeddings; the Transformer takes sqrt(D).
        stddev: spread of the initial values; D^-0.5 by default, so that scaled embeddings have unit
            variance and first logits too.

    Call arguments:
        token_ids: (B, T) int.

    Returns: (B, T, D). `logits(x)`: (..., D) -> (..., V), float32 whatever the precision policy.

    Masking: none; `masks.padding_mask(token_ids)` says which ids are tokens.

    Differs from the paper: Press and Wolf have no bias; it costs V numbers and learns the
    frequencies of the words at once.

    Example:
        >>> import numpy as np
        >>> layer = TiedEmbedding(10, 4)
        >>> layer.logits(layer(np.array([[1, 2, 3]]))).shape
        TensorShape([1, 3, 10])

    Reference: Press and Wolf 2017, arXiv:1608.05859
    """

    def __init__(self, vocabulary_size: int, hidden_dim: int, scale: float = 1.0, stddev=None, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.hidden_dim = vocabulary_size, hidden_dim
        self.scale, self.stddev = scale, stddev

    def build(self, input_shape=None):
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.vocabulary_size, self.hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=self.stddev or self.hidden_dim**-0.5),
        )
        # Not cast down under mixed precision: it is added to logits that are float32.
        self.bias = self.add_weight(
            name="bias", shape=(self.vocabulary_size,), initializer="zeros", autocast=False
        )

    def call(self, token_ids):
        vectors = ops.take(self.embeddings, token_ids, axis=0) * self.scale
        return ops.cast(vectors, self.compute_dtype)

    def logits(self, x):
        return output_scores(x, ops.transpose(ops.convert_to_tensor(self.embeddings)), self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.hidden_dim)

    def get_config(self):
        names = ("vocabulary_size", "hidden_dim", "scale", "stddev")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
