"""The `model` section of the convolutional models."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from zoo.config.base import PositiveInt, Probability, Section


class TextCNN(Section):
    """Convolutions over the words of a text, the largest answer of each filter, softmax (Kim 2014)."""

    task: ClassVar = "classification"
    name: Literal["textcnn"]
    embedding_dim: PositiveInt
    """Width of the embeddings."""
    kernel_sizes: Annotated[list[PositiveInt], Field(min_length=1)] = [3, 4, 5]
    """Widths of the filters in tokens."""
    num_filters: PositiveInt = 100
    """Filters of each width."""
    dropout: Probability = 0.5
    """Dropout before the softmax."""
    embedding_dropout: Probability = 0.0
    """Dropout on the embeddings."""
    max_norm: Annotated[float, Field(gt=0.0)] | None = 3.0
    """Largest norm of a label's weight vector; null for none."""
