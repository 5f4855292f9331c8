"""The Transformer encoder-decoder."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.blocks import TransformerDecoderBlock, TransformerEncoderBlock
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.masks import causal_mask, key_mask, padding_mask
from zoo.layers.positions import SinusoidalPositionalEncoding
from zoo.models.base import Seq2Seq


@keras.saving.register_keras_serializable("zoo")
class Transformer(Seq2Seq):
    """Transformer encoder-decoder with one embedding matrix for source, target and output.

    `m = Encoder(sqrt(D) E[x] + PE)`, `p(y_t) = softmax(E Decoder(sqrt(D) E[y_<t] + PE, m)_t + b)`.

    Args:
        vocabulary_size: V.
        num_encoder_layers, num_decoder_layers, hidden_dim, intermediate_dim, num_heads, dropout,
            attention_dropout, activation, normalize_first: as in `zoo.config.transformer.Transformer`,
            where they are described.

    Call arguments:
        inputs: {"encoder_token_ids": (B, S) int, "decoder_token_ids": (B, T) int}.

    Returns: logits (B, T, V), float32.

    Masking: derived from the ids (0 is padding), and causal in the decoder: the logits depend neither
    on the padding nor on later target tokens.

    Differs from the paper: the choice of pre-LN (one more norm ends each stack), dropout inside the
    feed-forward layers, a bias of the output projection.

    Example:
        >>> import numpy as np
        >>> model = Transformer(vocabulary_size=10, num_encoder_layers=1, num_decoder_layers=1,
        ...     hidden_dim=8, intermediate_dim=16, num_heads=2, dropout=0.0, attention_dropout=0.0,
        ...     activation="relu", normalize_first=True)
        >>> ids = np.array([[4, 5, 3, 0]])
        >>> model({"encoder_token_ids": ids, "decoder_token_ids": ids[:, :3]}).shape
        TensorShape([1, 3, 10])

    Reference: Vaswani et al. 2017, arXiv:1706.03762
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        num_encoder_layers: int,
        num_decoder_layers: int,
        hidden_dim: int,
        intermediate_dim: int,
        num_heads: int,
        dropout: float,
        attention_dropout: float,
        activation: str,
        normalize_first: bool,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            num_encoder_layers=num_encoder_layers,
            num_decoder_layers=num_decoder_layers,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
            num_heads=num_heads,
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation=activation,
            normalize_first=normalize_first,
            **kwargs,
        )
        dtype = self.dtype_policy
        block = dict(
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation=activation,
            normalize_first=normalize_first,
            dtype=dtype,
        )
        self.embedding = TiedEmbedding(
            vocabulary_size, hidden_dim, scale=hidden_dim**0.5, name="embedding", dtype=dtype
        )
        self.positions = SinusoidalPositionalEncoding(name="positions", dtype=dtype)
        self.dropout = keras.layers.Dropout(dropout, dtype=dtype)
        self.encoder = [
            TransformerEncoderBlock(**block, name=f"encoder_{i}") for i in range(num_encoder_layers)
        ]
        self.decoder = [
            TransformerDecoderBlock(**block, name=f"decoder_{i}") for i in range(num_decoder_layers)
        ]
        self.final_norms = []
        if normalize_first:
            self.final_norms = [
                keras.layers.LayerNormalization(epsilon=1e-6, name=f"{side}_norm", dtype=dtype)
                for side in ("encoder", "decoder")
            ]

    def build(self, input_shape):
        shape = (None, None, self.embedding.hidden_dim)
        self.embedding.build()
        for layer in (self.positions, *self.encoder, *self.final_norms):
            layer.build(shape)
        for layer in self.decoder:
            layer.build(shape, shape)

    def call(self, inputs, training=None):
        states, mask = self._encoder_states(inputs["encoder_token_ids"], training)
        token_ids = inputs["decoder_token_ids"]
        causal = causal_mask(ops.shape(token_ids)[1])
        x = self._embed(token_ids, 0, training)
        for block in self.decoder:
            x = block(x, states, attention_mask=causal, memory_mask=mask, training=training)
        return self._logits(x)

    def encode(self, token_ids):
        states, mask = self._encoder_states(token_ids, training=False)
        projected = [block.cross_attention.project_memory(states) for block in self.decoder]
        return {"mask": mask, "projected": projected}

    def init_cache(self, memory, length: int):
        zeros = []
        for keys, _ in memory["projected"]:
            batch, heads, width = ops.shape(keys)[0], keys.shape[1], keys.shape[3]
            zeros.append(tuple(ops.zeros((batch, heads, length, width), keys.dtype) for _ in range(2)))
        return zeros

    def step(self, token, position, cache, memory):
        x = self._embed(ops.expand_dims(token, 1), position, training=False)
        new_cache = []
        for block, block_cache, projected in zip(self.decoder, cache, memory["projected"], strict=True):
            x, block_cache = block.step(x, position, block_cache, projected, memory["mask"])
            new_cache.append(block_cache)
        return ops.squeeze(self._logits(x), 1), new_cache

    def _encoder_states(self, token_ids, training):
        mask = key_mask(padding_mask(token_ids))
        x = self._embed(token_ids, 0, training)
        for block in self.encoder:
            x = block(x, attention_mask=mask, training=training)
        return self._final(0, x), mask

    def _embed(self, token_ids, start, training):
        return self.dropout(self.positions(self.embedding(token_ids), start=start), training=training)

    def _logits(self, x):
        return self.embedding.logits(self._final(1, x))

    def _final(self, side, x):
        return self.final_norms[side](x) if self.final_norms else x
