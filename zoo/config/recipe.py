"""The whole recipe; what must hold between its sections stands in rules.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.config.base import Section
from zoo.config.data import Data
from zoo.config.decoding import Decode, Expect, Export
from zoo.config.rnn import RNNClassifier, RNNSeq2Seq
from zoo.config.tokenizer import Tokenizer
from zoo.config.training import Train
from zoo.config.transformer import Transformer

Model = Annotated[RNNClassifier | RNNSeq2Seq | Transformer, Field(discriminator="name")]
Task = Literal["translation", "classification"]


class Recipe(Section):
    """A sequence model from data to served file."""

    name: str
    """`<task>/<dataset>-<languages>-<model>-<size>`; also the default run folder."""
    task: Task
    """translation: text -> text; classification: text -> label."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Decides initial weights, order of the data and dropout."""
    data: Data
    """What is learnt."""
    tokenizer: Tokenizer
    """How text becomes ids."""
    model: Model
    """What learns."""
    train: Train
    """How it learns."""
    decode: Decode = Decode()
    """How answers are searched."""
    export: Export = Export()
    """How it is exported."""
    expect: Expect | None = None
    """What it scores."""
