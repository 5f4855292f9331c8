"""The `model` section of the recurrent models."""

from __future__ import annotations

from typing import Literal

from zoo.config.base import PositiveInt, Probability, Section

RNNKernel = Literal["auto", "xla", "cudnn"]


class RNNClassifier(Section):
    """Embedding, (bi)recurrent layers, pooling over time, softmax over the labels."""

    name: Literal["rnn_classifier"]
    cell: Literal["lstm"] = "lstm"
    """Recurrent cell."""
    embedding_dim: PositiveInt
    """Width of the embeddings."""
    units: PositiveInt
    """Width of the state in each direction."""
    num_layers: PositiveInt = 1
    """Recurrent layers, one upon the other."""
    bidirectional: bool = True
    """Whether each layer also reads from right to left."""
    pooling: Literal["max", "mean"] = "max"
    """How the states of all real tokens become one vector."""
    dropout: Probability = 0.0
    """Dropout on embeddings, between layers and before the softmax."""
    rnn_kernel: RNNKernel = "auto"
    """On a GPU: cudnn (fast kernels, no XLA), xla (a loop that XLA compiles), auto (Keras decides)."""


class RNNSeq2Seq(Section):
    """Bidirectional recurrent encoder, recurrent decoder that attends to the encoder's states."""

    name: Literal["rnn_seq2seq"]
    cell: Literal["lstm"] = "lstm"
    """Recurrent cell."""
    attention: Literal["bahdanau"] = "bahdanau"
    """How the decoder looks at the encoder's states."""
    embedding_dim: PositiveInt
    """Width of the embeddings; source, target and output share one matrix."""
    units: PositiveInt
    """Width of the decoder's state; each direction of the encoder has half of it."""
    num_encoder_layers: PositiveInt = 1
    """Bidirectional layers of the encoder."""
    dropout: Probability = 0.0
    """Dropout on embeddings, between layers and on the readout."""
    rnn_kernel: RNNKernel = "auto"
    """On a GPU: cudnn (fast kernels, no XLA), xla (a loop that XLA compiles), auto (Keras decides)."""
