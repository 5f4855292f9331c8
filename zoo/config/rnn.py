"""The `model` section of the recurrent models."""

from __future__ import annotations

from typing import ClassVar, Literal

from zoo.config.base import PositiveInt, Probability, Section

Cell = Literal["simple_rnn", "lstm", "gru"]
Attention = Literal["none", "bahdanau", "luong_dot", "luong_general", "luong_concat"]


class Recurrent(Section):
    """Keys of every recurrent model."""

    cell: Cell = "lstm"
    """Recurrent cell."""
    embedding_dim: PositiveInt
    """Width of the embeddings."""
    units: PositiveInt
    """Width of the state."""
    dropout: Probability = 0.0
    """Dropout on embeddings, between layers and before the output."""
    recurrent_dropout: Probability = 0.0
    """Dropout on the state from one step to the next, the same places at every step; no cuDNN then."""
    rnn_kernel: Literal["auto", "xla", "cudnn"] = "auto"
    """On a GPU: cudnn (fast kernels, no XLA), xla (a loop that XLA compiles), auto (Keras decides)."""


class RNNLanguageModel(Recurrent):
    """Recurrent layers that read a text and say what comes next."""

    task: ClassVar = "language_modeling"
    name: Literal["rnn_language_model"]
    num_layers: PositiveInt = 1
    """Recurrent layers, one upon the other."""
    tie_embeddings: bool = False
    """Whether input and output share one matrix; between units and embedding_dim stands a projection."""


class RNNClassifier(Recurrent):
    """Embedding, (bi)recurrent layers, pooling over time, softmax over the labels."""

    task: ClassVar = "classification"
    name: Literal["rnn_classifier"]
    num_layers: PositiveInt = 1
    """Recurrent layers, one upon the other."""
    bidirectional: bool = True
    """Whether each layer also reads from right to left; each direction has `units`."""
    pooling: Literal["max", "mean", "last"] = "max"
    """How the states of all real tokens become one vector; last: the state after the last token (of the
    reader from right to left: after the first)."""


class RNNTagger(Recurrent):
    """Words with their characters, (bi)recurrent layers, one tag a word, with a CRF or without."""

    task: ClassVar = "tagging"
    name: Literal["rnn_tagger"]
    num_layers: PositiveInt = 1
    """Recurrent layers, one upon the other."""
    bidirectional: bool = True
    """Whether each layer also reads from right to left; each direction has `units`."""
    character_dim: PositiveInt | None = None
    """Width of what a convolution reads from each word's UTF-8 bytes; null for words alone."""
    crf: bool = False
    """Whether a linear-chain CRF scores whole sequences of tags; else each word's tag stands for itself."""


class RNNSeq2Seq(Recurrent):
    """Bidirectional recurrent encoder; a recurrent decoder that attends to its states, or has one fixed context."""

    task: ClassVar = "translation"
    name: Literal["rnn_seq2seq"]
    attention: Attention = "bahdanau"
    """How the decoder looks at the encoder's states; none: it has their last state alone."""
    input_feeding: bool = False
    """Whether the next step also sees the last step's attentional vector (luong_* only)."""
    num_encoder_layers: PositiveInt = 1
    """Bidirectional layers of the encoder."""
    encoder_units: PositiveInt | None = None
    """Width of the encoder's states, half of it in each direction; null: `units`."""
