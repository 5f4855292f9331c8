"""Recurrent networks that read a text and say what comes next (N -> N, one step ahead)."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.dropout import Dropout
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.heads import LanguageModelHead
from zoo.layers.rnn import recurrent_layer
from zoo.models.base import LanguageModel


@keras.saving.register_keras_serializable("zoo")
class RNNLanguageModel(LanguageModel):
    """Embedding, recurrent layers one upon the other, and a score for each token that may come next.

    `h_t = RNN(dropout(E[x_t]), h_{t-1})`, `p(x_{t+1} | x_1 ... x_t) = softmax(W dropout(h_t) + b)`.

    With tied embeddings `W = E P`: a projection P from units to the width of the embeddings, then their matrix.

    Args:
        vocabulary_size: V.
        cell, embedding_dim, units, num_layers, tie_embeddings, dropout, recurrent_dropout, rnn_kernel: as in
            `zoo.config.rnn.RNNLanguageModel`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, T) int}.

    Returns: logits (B, T, V), float32: at t of the token after t. For decoding: `encode`, `init_cache`, `step`;
        the cache is the states of all layers, so that a step costs the same however long the text is. `carry` goes
        on from it with a whole window.

    Masking: none is needed: padding stands at the end, and nothing before it sees it.

    Differs from the paper: Mikolov et al. read words one at a time and cut the gradient after a few of them;
    here it runs through a whole window.

    Example:
        >>> import numpy as np
        >>> model = RNNLanguageModel(vocabulary_size=10, cell="gru", embedding_dim=4, units=8, num_layers=2,
        ...     tie_embeddings=True, dropout=0.0, recurrent_dropout=0.0, rnn_kernel="auto")
        >>> model({"token_ids": np.array([[1, 5, 7]])}).shape
        TensorShape([1, 3, 10])

    Reference: Mikolov et al. 2010, Recurrent neural network based language model, section 2; dropout between
        layers: Zaremba et al. 2014, arXiv:1409.2329; tied: Press and Wolf 2017, arXiv:1608.05859
    """

    carries_state = True

    def __init__(
        self,
        *,
        vocabulary_size: int,
        cell: str,
        embedding_dim: int,
        units: int,
        num_layers: int,
        tie_embeddings: bool,
        dropout: float,
        recurrent_dropout: float,
        rnn_kernel: str,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            cell=cell,
            embedding_dim=embedding_dim,
            units=units,
            num_layers=num_layers,
            tie_embeddings=tie_embeddings,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            rnn_kernel=rnn_kernel,
            **kwargs,
        )
        dtype = self.dtype_policy
        if tie_embeddings:
            self.embedding = TiedEmbedding(vocabulary_size, embedding_dim, name="embedding", dtype=dtype)
            self.projection = keras.layers.Dense(embedding_dim, name="projection", dtype=dtype)
        else:
            self.embedding = keras.layers.Embedding(
                vocabulary_size, embedding_dim, name="embedding", dtype=dtype
            )
            self.head = LanguageModelHead(vocabulary_size, name="head", dtype=dtype)
        self.recurrent = [
            recurrent_layer(
                cell,
                units,
                rnn_kernel,
                f"{cell}_{i}",
                dtype,
                recurrent_dropout=recurrent_dropout,
                return_state=True,
            )
            for i in range(num_layers)
        ]
        self.dropout = Dropout(dropout, dtype=dtype)
        self.tied = tie_embeddings

    def build(self, input_shape):
        self.embedding.build((None, None))
        width = self.keywords["embedding_dim"]
        for layer in self.recurrent:
            layer.build((None, None, width))
            width = self.keywords["units"]
        (self.projection if self.tied else self.head).build((None, None, width))

    def before_logits(self, inputs, training=None):
        return self._read(inputs["token_ids"], [None] * len(self.recurrent), training)[0]

    def carry(self, token_ids, cache):
        return self._read(token_ids, cache)

    def _read(self, token_ids, cache, training=None):
        x, new_cache = self.embedding(token_ids), []
        for layer, states in zip(self.recurrent, cache, strict=True):
            x = self.dropout(x, training=training)
            x, *states = layer(x, initial_state=states, training=training)
            new_cache.append(states)
        return self._final(self.dropout(x, training=training)), new_cache

    def output_matrix(self):
        if self.tied:
            return self.embedding.embeddings, self.embedding.bias
        return ops.transpose(ops.convert_to_tensor(self.head.kernel)), self.head.bias

    def logits(self, x):
        return super().logits(x) if self.tied else self.head(x)

    def _final(self, x):
        return self.projection(x) if self.tied else x

    def init_cache(self, memory, length: int):
        batch = ops.shape(memory["prompt"])[0]
        return [layer.get_initial_state(batch) for layer in self.recurrent]

    def step(self, token, position, cache, memory):
        x, new_cache = self.embedding(token), []
        for layer, states in zip(self.recurrent, cache, strict=True):
            x, states = layer.cell(x, list(states))
            new_cache.append(list(states))
        return self.logits(self._final(x)), new_cache
