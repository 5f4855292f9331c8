"""Recurrent encoder-decoder with attention (N -> M)."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.attention import AttentionDecoder
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.masks import padding_mask
from zoo.models.base import Seq2Seq
from zoo.models.rnn import recurrent_layer


@keras.saving.register_keras_serializable("zoo")
class RNNSeq2Seq(Seq2Seq):
    """Bidirectional recurrent encoder; a recurrent decoder that attends to the encoder's states.

    `h = biLSTM(E[x])`, `s_0 = tanh(W [h_S; h_1])`, `[s_t; c_t] = AttentionDecoder(E[y_{t-1}], h)`,
    `r_t = tanh(W_r [s_t; c_t; E[y_{t-1}]])`, `p(y_t) = softmax(E r_t + b)`.

    Args:
        vocabulary_size: V.
        cell, attention, embedding_dim, units, num_encoder_layers, dropout, rnn_kernel: as in
            `zoo.config.rnn.RNNSeq2Seq`, where they are described.

    Call arguments:
        inputs: {"encoder_token_ids": (B, S) int, "decoder_token_ids": (B, T) int}.

    Returns: logits (B, T, V), float32.

    Masking: derived from the ids (0 is padding): the logits do not depend on the padding.

    Differs from the paper: LSTMs instead of GRUs; one embedding matrix for source, target and output
    (the readout is as wide as the embeddings) instead of three and a maxout readout.

    Example:
        >>> import numpy as np
        >>> model = RNNSeq2Seq(vocabulary_size=10, cell="lstm", attention="bahdanau", embedding_dim=4,
        ...     units=6, num_encoder_layers=1, dropout=0.0, rnn_kernel="auto")
        >>> ids = np.array([[4, 5, 3, 0]])
        >>> model({"encoder_token_ids": ids, "decoder_token_ids": ids[:, :3]}).shape
        TensorShape([1, 3, 10])

    Reference: Bahdanau et al. 2015, arXiv:1409.0473
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        cell: str,
        attention: str,
        embedding_dim: int,
        units: int,
        num_encoder_layers: int,
        dropout: float,
        rnn_kernel: str,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            cell=cell,
            attention=attention,
            embedding_dim=embedding_dim,
            units=units,
            num_encoder_layers=num_encoder_layers,
            dropout=dropout,
            rnn_kernel=rnn_kernel,
            **kwargs,
        )
        dtype = self.dtype_policy
        self.embedding = TiedEmbedding(vocabulary_size, embedding_dim, name="embedding", dtype=dtype)
        self.encoder = [
            keras.layers.Bidirectional(
                recurrent_layer(cell, units // 2, rnn_kernel, f"{cell}_{i}", dtype, return_state=True),
                name=f"encoder_{i}",
                dtype=dtype,
            )
            for i in range(num_encoder_layers)
        ]
        self.bridge = keras.layers.Dense(2 * units, activation="tanh", name="bridge", dtype=dtype)
        self.decoder = AttentionDecoder(units, name="decoder", dtype=dtype)
        self.readout = keras.layers.Dense(embedding_dim, activation="tanh", name="readout", dtype=dtype)
        self.dropout = keras.layers.Dropout(dropout, dtype=dtype)
        self.units = units

    def build(self, input_shape):
        embedding_dim, units = self.embedding.hidden_dim, self.units
        self.embedding.build()
        width = embedding_dim
        for layer in self.encoder:
            layer.build((None, None, width))
            width = units
        self.bridge.build((None, units))
        self.decoder.build((None, None, embedding_dim), (None, None, units))
        self.readout.build((None, None, 2 * units + embedding_dim))

    def call(self, inputs, training=None):
        memory = self.encode(inputs["encoder_token_ids"], training=training)
        embedded = self.dropout(self.embedding(inputs["decoder_token_ids"]), training=training)
        states = self.decoder(
            embedded, memory["states"], memory["mask"], initial_state=[memory["h"], memory["c"]]
        )
        return self._logits(states, embedded, training)

    def encode(self, token_ids, training=None):
        mask = padding_mask(token_ids)
        x = self.dropout(self.embedding(token_ids), training=training)
        for layer in self.encoder:
            x, forward_h, _, backward_h, _ = layer(x, mask=mask, training=training)
            x = self.dropout(x, training=training)
        h, c = ops.split(self.bridge(ops.concatenate([forward_h, backward_h], axis=-1)), 2, axis=-1)
        return {"states": x, "keys": self.decoder.project_memory(x), "mask": mask, "h": h, "c": c}

    def init_cache(self, memory, length: int):
        return {"h": memory["h"], "c": memory["c"]}

    def step(self, token, position, cache, memory):
        embedded = self.embedding(token)  # (B, E)
        states, (h, c) = self.decoder.step(
            embedded, (cache["h"], cache["c"]), memory["keys"], memory["states"], memory["mask"]
        )
        return self._logits(states, embedded, training=False), {"h": h, "c": c}

    def _logits(self, states, embedded, training):
        readout = self.readout(ops.concatenate([states, embedded], axis=-1))
        return self.embedding.logits(self.dropout(readout, training=training))
