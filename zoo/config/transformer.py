"""The `model` section of the Transformers."""

from __future__ import annotations

from typing import ClassVar, Literal

from zoo.config.base import PositiveInt, Probability, Section

Positions = Literal["sinusoidal", "learned", "rotary", "alibi", "t5", "transformer_xl", "none"]


class Attentive(Section):
    """Keys of every Transformer."""

    hidden_dim: PositiveInt
    """Width of the model."""
    intermediate_dim: PositiveInt
    """Width inside the feed-forward layers."""
    num_heads: PositiveInt
    """Attention heads; they divide hidden_dim."""
    num_key_value_heads: PositiveInt | None = None
    """Heads of keys and values, each shared by a group of query heads (null: as many as num_heads)."""
    positions: Positions = "sinusoidal"
    """How the order of the tokens is seen."""
    max_sequence_length: PositiveInt = 512
    """Longest sequence that learned positions know."""
    normalization: Literal["layer", "rms", "batch"] = "layer"
    """Norm around each sub-layer."""
    normalize_first: bool = True
    """Pre-LN (True) or the paper's post-LN (False)."""
    activation: Literal["relu", "gelu", "geglu", "swiglu"] = "relu"
    """Between the feed-forward matrices; geglu and swiglu have a gate, which is a third matrix."""
    scale_attention: bool = True
    """Divide scores by the root of a head's width, as the paper does (False: to see what happens without)."""
    dropout: Probability = 0.0
    """Dropout on embeddings and on each sub-layer's output."""
    attention_dropout: Probability = 0.0
    """Dropout on the attention weights."""


class Transformer(Attentive):
    """Transformer encoder-decoder (Vaswani et al. 2017) with one embedding matrix for source, target and output."""

    task: ClassVar = "translation"
    name: Literal["transformer"]
    num_encoder_layers: PositiveInt
    """Encoder blocks."""
    num_decoder_layers: PositiveInt
    """Decoder blocks."""
    causal: bool = True
    """Whether the decoder's mask hides later target tokens in training (False: to see what happens without)."""


class TransformerClassifier(Attentive):
    """Transformer encoder, pooling over the tokens, softmax over the labels."""

    task: ClassVar = "classification"
    name: Literal["transformer_classifier"]
    num_layers: PositiveInt
    """Encoder blocks."""
    pooling: Literal["max", "mean"] = "mean"
    """How the vectors of all real tokens become one."""


class TransformerTagger(Attentive):
    """Transformer encoder over sub-words, a tag at the first piece of each word."""

    task: ClassVar = "tagging"
    name: Literal["transformer_tagger"]
    num_layers: PositiveInt
    """Encoder blocks."""


class Bert(Attentive):
    """Transformer encoder that says what stood at hidden places (Devlin et al. 2019)."""

    task: ClassVar = "masked_language_modeling"
    objective: ClassVar = "masking"
    name: Literal["bert"]
    num_layers: PositiveInt
    """Encoder blocks."""


class GPT(Attentive):
    """Decoder-only Transformer (Radford et al. 2018): what comes next, from all that stands before."""

    task: ClassVar = "language_modeling"
    name: Literal["gpt"]
    num_layers: PositiveInt
    """Blocks."""
    attention_window: PositiveInt | None = None
    """Tokens that each token sees, itself the last of them (null: all before it). With relative positions a text
    may then grow beyond data.max_length and is still read as in training."""


class XLNet(Attentive):
    """Transformer that is asked for the tokens of a text in any order (Yang et al. 2019)."""

    task: ClassVar = "masked_language_modeling"
    objective: ClassVar = "permutation"
    name: Literal["xlnet"]
    num_layers: PositiveInt
    """Blocks, each with a stream that reads and a stream that is asked."""
    positions: Positions = "transformer_xl"
    """How the order of the tokens is seen."""
