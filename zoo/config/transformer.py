"""The `model` section of the Transformer encoder-decoder."""

from __future__ import annotations

from typing import Literal

from zoo.config.base import PositiveInt, Probability, Section


class Transformer(Section):
    """Transformer encoder-decoder (Vaswani et al. 2017) with one embedding matrix for source, target and output."""

    name: Literal["transformer"]
    num_encoder_layers: PositiveInt
    """Encoder blocks."""
    num_decoder_layers: PositiveInt
    """Decoder blocks."""
    hidden_dim: PositiveInt
    """Width of the model."""
    intermediate_dim: PositiveInt
    """Width inside the feed-forward layers."""
    num_heads: PositiveInt
    """Attention heads; they divide hidden_dim."""
    dropout: Probability = 0.0
    """Dropout on embeddings and on each sub-layer's output."""
    attention_dropout: Probability = 0.0
    """Dropout on the attention weights."""
    activation: Literal["relu", "gelu"] = "relu"
    """Between the two feed-forward matrices."""
    normalize_first: bool = True
    """Pre-LN (True) or the paper's post-LN (False)."""
