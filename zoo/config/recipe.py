"""The whole recipe; what must hold between its sections stands in rules.py."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from zoo.config.base import Section
from zoo.config.convolution import TextCNN
from zoo.config.data import Data, FilePath
from zoo.config.decoding import Decode, Expect, Export
from zoo.config.masking import Masking
from zoo.config.rnn import RNNClassifier, RNNLanguageModel, RNNSeq2Seq, RNNTagger
from zoo.config.tokenizer import Tokenizer
from zoo.config.training import Train
from zoo.config.transformer import GPT, Bert, Transformer, TransformerClassifier, TransformerTagger, XLNet

Model = Annotated[
    RNNLanguageModel
    | RNNClassifier
    | RNNTagger
    | RNNSeq2Seq
    | Transformer
    | TransformerClassifier
    | TransformerTagger
    | TextCNN
    | Bert
    | GPT
    | XLNet,
    Field(discriminator="name"),
]
Task = Literal["language_modeling", "masked_language_modeling", "classification", "tagging", "translation"]


MODEL_SECTIONS: dict[str, type[Section]] = {
    get_args(section.model_fields["name"].annotation)[0]: section for section in get_args(get_args(Model)[0])
}
"""Name of a model -> its section."""


class Recipe(Section):
    """A sequence model from data to served file."""

    name: str
    """`<task>/<dataset>-<languages>-<model>-<size>`; also the default run folder."""
    imports: list[FilePath] = []
    """Python files that register layers or models of one's own, relative to the recipe; they run code, so this
    is refused unless the user says --allow-code."""
    task: Task
    """language_modeling: text -> what comes next; masked_language_modeling: text with hidden tokens -> what they
    are; classification: text -> label; tagging: words -> a tag each; translation: text -> text."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    """Decides initial weights, order of the data and dropout."""
    data: Data
    """What is learnt."""
    tokenizer: Tokenizer
    """How text becomes ids."""
    model: Model
    """What learns."""
    masking: Masking = Masking()
    """What a masked language model is asked for."""
    train: Train
    """How it learns."""
    decode: Decode = Decode()
    """How answers are searched."""
    export: Export = Export()
    """How it is exported."""
    expect: Expect | None = None
    """What it scores."""
