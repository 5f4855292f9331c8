"""The Transformer encoder-decoder."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.blocks import TransformerDecoderBlock, TransformerEncoderBlock
from zoo.layers.dropout import Dropout
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.masks import causal_mask, key_mask, padding_mask
from zoo.layers.normalization import normalization_layer, normalize
from zoo.models.base import Seq2Seq
from zoo.models.transformer_cache import DecodesInSlots, closed, opened
from zoo.models.transformer_parts import (
    added_positions,
    bias_of_sequence,
    bias_of_step,
    position_bias,
    read,
)


@keras.saving.register_keras_serializable("zoo")
class Transformer(DecodesInSlots, Seq2Seq):
    """Transformer encoder-decoder with one embedding matrix for source, target and output.

    `m = Encoder(sqrt(D) E[x] + PE)`, `p(y_t) = softmax(E Decoder(sqrt(D) E[y_<t] + PE, m)_t + b)`.

    PE are the paper's sinusoids or learned vectors; rotary, ALiBi, T5 and Transformer-XL positions act inside
    the self-attention instead.

    Args:
        vocabulary_size: V.
        num_encoder_layers, num_decoder_layers, hidden_dim, intermediate_dim, num_heads,
            num_key_value_heads, positions, max_sequence_length, normalization, normalize_first,
            activation, scale_attention, dropout, attention_dropout, causal: as in
            `zoo.config.transformer.Transformer`, where they are described.

    Call arguments:
        inputs: {"encoder_token_ids": (B, S) int, "decoder_token_ids": (B, T) int}.

    Returns: logits (B, T, V), float32. `alignments(inputs)` returns weights of attention, (B, T, S).

    Masking: derived from the ids (0 is padding), and causal in the decoder: the logits depend neither
    on the padding nor on later target tokens. Without `causal` they depend on all target tokens, also on those
    that they should foretell, and `step`, which never sees these, gives other logits.

    Differs from the paper: the choices of positions, norm and activation; pre-LN (one more norm ends each
    stack); dropout inside the feed-forward layers; a bias of the output projection.

    Example:
        >>> import numpy as np
        >>> model = Transformer(vocabulary_size=10, num_encoder_layers=1, num_decoder_layers=1,
        ...     hidden_dim=8, intermediate_dim=16, num_heads=2, num_key_value_heads=None,
        ...     positions="sinusoidal", max_sequence_length=512, normalization="layer",
        ...     normalize_first=True, activation="relu", scale_attention=True,
        ...     dropout=0.0, attention_dropout=0.0, causal=True)
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
        num_key_value_heads: int | None,
        positions: str,
        max_sequence_length: int,
        normalization: str,
        normalize_first: bool,
        activation: str,
        scale_attention: bool,
        dropout: float,
        attention_dropout: float,
        causal: bool,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            num_encoder_layers=num_encoder_layers,
            num_decoder_layers=num_decoder_layers,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
            num_heads=num_heads,
            num_key_value_heads=num_key_value_heads,
            positions=positions,
            max_sequence_length=max_sequence_length,
            normalization=normalization,
            normalize_first=normalize_first,
            activation=activation,
            scale_attention=scale_attention,
            dropout=dropout,
            attention_dropout=attention_dropout,
            causal=causal,
            **kwargs,
        )
        dtype, self.causal = self.dtype_policy, causal
        block = dict(
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation=activation,
            scale_attention=scale_attention,
            normalize_first=normalize_first,
            normalization=normalization,
            num_key_value_heads=num_key_value_heads,
            rotary=positions == "rotary",
            transformer_xl=positions == "transformer_xl",
            dtype=dtype,
        )
        self.embedding = TiedEmbedding(
            vocabulary_size, hidden_dim, scale=hidden_dim**0.5, name="embedding", dtype=dtype
        )
        self.positions = added_positions(positions, max_sequence_length, dtype)
        self.encoder_bias = position_bias(positions, num_heads, "encoder", dtype)
        self.decoder_bias = position_bias(positions, num_heads, "decoder", dtype)
        self.dropout = Dropout(dropout, dtype=dtype)
        self.encoder = [
            TransformerEncoderBlock(**block, name=f"encoder_{i}") for i in range(num_encoder_layers)
        ]
        self.decoder = [
            TransformerDecoderBlock(**block, name=f"decoder_{i}") for i in range(num_decoder_layers)
        ]
        self.final_norms = []
        if normalize_first:
            self.final_norms = [
                normalization_layer(normalization, name=f"{side}_norm", dtype=dtype)
                for side in ("encoder", "decoder")
            ]

    def build(self, input_shape):
        shape = (None, None, self.embedding.hidden_dim)
        self.embedding.build()
        for layer in (self.positions, self.encoder_bias, self.decoder_bias):
            if layer is not None:
                layer.build(shape)
        for layer in (*self.encoder, *self.final_norms):
            layer.build(shape)
        for layer in self.decoder:
            layer.build(shape, shape)

    def before_logits(self, inputs, training=None):
        return self._decoded(inputs, training)[0]

    alignments_are = "last decoder block, mean of the heads"

    def alignments(self, inputs):
        """How much each target token looked at each source token: (B, T, S), the mean of the heads of the last
        decoder block; rows of padding mean nothing."""
        return ops.mean(self._decoded(inputs, False, return_attention_scores=True)[1], axis=1)

    def _decoded(self, inputs, training, return_attention_scores=False):
        """What the output layer reads (B, T, D), and if asked the last block's weights over the source (B, H, T, S)."""
        states, memory_mask = self._encoder_states(inputs["encoder_token_ids"], training)
        token_ids = inputs["decoder_token_ids"]
        length, mask = ops.shape(token_ids)[1], padding_mask(token_ids)
        bias = bias_of_sequence(self.decoder_bias, length)
        seen = causal_mask(length) if self.causal else key_mask(mask)
        x, weights = self._embed(token_ids, 0, training), None
        for block in self.decoder:
            x = block(
                x,
                states,
                attention_mask=seen,
                memory_mask=memory_mask,
                attention_bias=bias,
                padding_mask=mask,
                training=training,
                return_attention_scores=return_attention_scores,
            )
            if return_attention_scores:
                x, _, weights = x
        return self._final(1, x, mask, training), weights

    def output_matrix(self):
        return self.embedding.embeddings, self.embedding.bias

    def encode(self, token_ids):
        states, mask = self._encoder_states(token_ids, training=False)
        projected = [block.cross_attention.project_memory(states) for block in self.decoder]
        return {"mask": mask, "projected": projected}

    def self_attentions(self):
        return [block.self_attention for block in self.decoder]

    def _empty(self, memory, length, beams):
        if hasattr(self.positions, "check"):
            self.positions.check(length)
        return super()._empty(memory, length, beams)

    def step(self, token, position, cache, memory):
        layers, seen, path = opened(cache, position)
        beams = 1 if path is None else path.shape[1]
        x = self._embed(ops.expand_dims(token, 1), position, training=False)
        x = ops.reshape(x, (-1, beams, x.shape[2]))  # (B, N, D)
        bias, new = bias_of_step(self.decoder_bias, position, ops.shape(layers[0][0])[2]), []
        for block, block_cache, projected in zip(self.decoder, layers, memory["projected"], strict=True):
            x, block_cache = block.step(x, position, block_cache, projected, memory["mask"], bias, seen)
            new.append(block_cache)
        logits = self.logits(self._final(1, x))
        return ops.reshape(logits, (-1, logits.shape[2])), closed(new, path)

    def _encoder_states(self, token_ids, training):
        mask = padding_mask(token_ids)
        x = self._embed(token_ids, 0, training)
        x = read(self.encoder, x, mask, self.encoder_bias, training)
        return self._final(0, x, mask, training), key_mask(mask)

    def _embed(self, token_ids, start, training):
        x = self.embedding(token_ids)
        if self.positions is not None:
            x = self.positions(x, start=start)
        return self.dropout(x, training=training)

    def _final(self, side, x, mask=None, training=False):
        return normalize(self.final_norms[side], x, mask, training) if self.final_norms else x
