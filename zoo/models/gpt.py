"""The Transformer that reads a text and says what comes next (GPT)."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.blocks import TransformerEncoderBlock
from zoo.layers.dropout import Dropout
from zoo.layers.embedding import TiedEmbedding
from zoo.layers.masks import causal_mask, padding_mask, sliding_window_mask
from zoo.layers.normalization import normalization_layer, normalize
from zoo.models.base import LanguageModel
from zoo.models.transformer_cache import DecodesInSlots, closed, opened
from zoo.models.transformer_parts import added_positions, bias_of_step, position_bias, read


@keras.saving.register_keras_serializable("zoo")
class GPT(DecodesInSlots, LanguageModel):
    """Encoder blocks under a causal mask, with one embedding matrix for what is read and what is said.

    `p(x_{t+1} | x_1 ... x_t) = softmax(E Blocks(sqrt(D) E[x_1 ... x_t] + PE)_t + b)`.

    With an attention window of W each token sees W tokens, itself the last of them, so that a text of any length
    is read as the texts of training were, where positions are relative (rotary, ALiBi, T5,
    Transformer-XL).

    Args:
        vocabulary_size: V.
        num_layers, hidden_dim, intermediate_dim, num_heads, num_key_value_heads, positions, max_sequence_length,
            normalization, normalize_first, activation, scale_attention, dropout, attention_dropout,
            attention_window: as in `zoo.config.transformer.GPT`, where they are described.

    Call arguments:
        inputs: {"token_ids": (B, T) int}.

    Returns: logits (B, T, V), float32: at t of the token after t. For decoding: `encode`, `init_cache`, `step`;
        the cache is the keys and values of all blocks.

    Masking: causal, so that padding, which stands at the end, is seen by nothing before it.

    Errors: with learned positions, a ValueError for a text longer than they are.

    Differs from the paper: embeddings are scaled by sqrt(D) and begin with unit variance; pre-LN as in GPT-2; the
    choices of positions, norm and activation; a bias of the output projection.

    Example:
        >>> import numpy as np
        >>> model = GPT(vocabulary_size=10, num_layers=1, hidden_dim=8, intermediate_dim=16, num_heads=2,
        ...     num_key_value_heads=None, positions="rotary", max_sequence_length=512, normalization="layer",
        ...     normalize_first=True, activation="gelu", scale_attention=True, dropout=0.0, attention_dropout=0.0,
        ...     attention_window=None)
        >>> model({"token_ids": np.array([[1, 5, 7]])}).shape
        TensorShape([1, 3, 10])

    Reference: Radford et al. 2018, Improving language understanding by generative pre-training, section 3.1; pre-LN:
        Radford et al. 2019, Language models are unsupervised multitask learners, section 2.3; the window: Beltagy
        et al. 2020, arXiv:2004.05150, section 3.1
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        num_layers: int,
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
        attention_window: int | None,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size=vocabulary_size,
            num_layers=num_layers,
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
            attention_window=attention_window,
            **kwargs,
        )
        dtype, self.attention_window = self.dtype_policy, attention_window
        self.longest = max_sequence_length if positions == "learned" else None
        self.embedding = TiedEmbedding(
            vocabulary_size, hidden_dim, scale=hidden_dim**0.5, name="embedding", dtype=dtype
        )
        self.positions = added_positions(positions, max_sequence_length, dtype)
        self.position_bias = position_bias(positions, num_heads, "decoder", dtype)
        self.dropout = Dropout(dropout, dtype=dtype)
        self.blocks = [
            TransformerEncoderBlock(
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
                name=f"block_{i}",
                dtype=dtype,
            )
            for i in range(num_layers)
        ]
        self.norm = normalization_layer(normalization, name="norm", dtype=dtype) if normalize_first else None

    def build(self, input_shape):
        shape = (None, None, self.embedding.hidden_dim)
        self.embedding.build()
        for layer in (self.positions, self.position_bias, *self.blocks, self.norm):
            if layer is not None:
                layer.build(shape)

    def before_logits(self, inputs, training=None):
        token_ids = inputs["token_ids"]
        length, mask = ops.shape(token_ids)[1], padding_mask(token_ids)
        width = self.attention_window
        seen = causal_mask(length) if width is None else sliding_window_mask(length, width)
        x = self.dropout(self._embed(token_ids, 0), training=training)
        x = read(self.blocks, x, mask, self.position_bias, training, seen)
        return self._final(x, mask, training)

    def output_matrix(self):
        return self.embedding.embeddings, self.embedding.bias

    def self_attentions(self):
        return [block.attention for block in self.blocks]

    def step(self, token, position, cache, memory):
        layers, seen, path = opened(cache, position, self.attention_window)
        beams = 1 if path is None else path.shape[1]
        x = self._embed(ops.expand_dims(token, 1), position)
        x = ops.reshape(x, (-1, beams, x.shape[2]))  # (B, N, D)
        bias, new = bias_of_step(self.position_bias, position, ops.shape(layers[0][0])[2]), []
        for block, block_cache in zip(self.blocks, layers, strict=True):
            x, block_cache = block.step(x, position, block_cache, seen, bias)
            new.append(block_cache)
        logits = self.logits(self._final(x))
        return ops.reshape(logits, (-1, logits.shape[2])), closed(new, path)

    def _embed(self, token_ids, start):
        x = self.embedding(token_ids)
        return x if self.positions is None else self.positions(x, start=start)

    def _final(self, x, mask=None, training=False):
        return x if self.norm is None else normalize(self.norm, x, mask, training)
