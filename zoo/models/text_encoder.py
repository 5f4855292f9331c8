"""The Transformer stack that reads a whole text, as classifiers, taggers and pre-trained models share it."""

from __future__ import annotations

import keras

from zoo.layers.blocks import TransformerEncoderBlock
from zoo.layers.dropout import Dropout
from zoo.layers.masks import padding_mask
from zoo.layers.normalization import normalization_layer, normalize
from zoo.models.transformer_parts import added_positions, position_bias, read


@keras.saving.register_keras_serializable("zoo")
class TextEncoder(keras.layers.Layer):
    """Embeddings with positions, encoder blocks, and with pre-LN one more norm.

    `h = Encoder(sqrt(D) E[x] + PE)`.

    Its weights have the same names in every model (`encoder/...`), so that what one model has learnt another
    can begin from (`train.init_from`): a BERT becomes a classifier, for both hold one of these.

    Args:
        vocabulary_size: V.
        num_layers, hidden_dim, intermediate_dim, num_heads, num_key_value_heads, positions, max_sequence_length,
            normalization, normalize_first, activation, scale_attention, dropout, attention_dropout: as in
            `zoo.config.transformer.Attentive`, where they are described.
        block_class: `TransformerEncoderBlock`, or one that can do more.

    Call arguments:
        token_ids: (B, S) int.

    Returns: (B, S, D). The two halves of a call are public: `embed` gives scaled embeddings, `contextualize`
    the rest.

    Masking: derived from the ids (0 is padding): no real place depends on the padding. What stands at padding
    must not be read.

    Differs from the paper: the choices of positions, norm and activation.

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.1
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
        block_class: type = TransformerEncoderBlock,
        **kwargs,
    ):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.hidden_dim, self.scale = hidden_dim, hidden_dim**0.5
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            hidden_dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=hidden_dim**-0.5),
            name="embedding",
            dtype=dtype,
        )
        self.positions = added_positions(positions, max_sequence_length, dtype)
        self.position_bias = position_bias(positions, num_heads, "encoder", dtype)
        self.dropout = Dropout(dropout, dtype=dtype)
        self.blocks = [
            block_class(
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

    def build(self, input_shape=None):
        shape = (None, None, self.hidden_dim)
        self.embedding.build((None, None))
        for layer in (self.positions, self.position_bias, *self.blocks, self.norm):
            if layer is not None:
                layer.build(shape)

    def call(self, token_ids, training=None):
        return self.contextualize(self.embed(token_ids), padding_mask(token_ids), training)

    def embed(self, token_ids):
        """sqrt(D) E[x], without positions: (B, S, D)."""
        return self.embedding(token_ids) * self.scale

    def contextualize(self, x, mask, training=None):
        """Embeddings (B, S, D), of which mask (B, S) says the tokens, and all that the blocks make of them."""
        x = read(self.blocks, self.placed(x, training), mask, self.position_bias, training)
        return self.finished(x, mask, training)

    def placed(self, x, training=None):
        """Embeddings with their positions, as they enter the first block."""
        if self.positions is not None:
            x = self.positions(x)
        return self.dropout(x, training=training)

    def finished(self, x, mask=None, training=None):
        """What leaves the last block, normalised once more with pre-LN."""
        return x if self.norm is None else normalize(self.norm, x, mask, training)
