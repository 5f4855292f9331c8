"""Small cases of a model: keywords, inputs and labels, made from its recipe section alone."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import keras
import numpy as np

from zoo.config.base import Section

VOCABULARY, LABELS, WORD_BYTES = 13, 3, 6
PLACES, SHORT = 2, 3
"""Hidden tokens of a text, and its length where a check shortens it: all places are within."""
PAD, MASK, FIRST_ORDINARY = 0, -1, 4
IGNORE = -1

SMALL = {
    "embedding_dim": 6,
    "units": 8,
    "num_layers": 2,
    "num_encoder_layers": 1,
    "num_decoder_layers": 2,
    "hidden_dim": 8,
    "intermediate_dim": 12,
    "num_heads": 2,
    "kernel_sizes": [2, 3],
    "num_filters": 7,
    "max_sequence_length": 40,
    "character_dim": 4,
}
"""Small values by the names that keys have everywhere; other whole numbers become 8."""
ALSO_TRIED = {
    "num_key_value_heads": [1],
    "character_dim": [None],
    "pooling": ["mean", "last"],
    "attention_window": [2],
}
"""Further values of keys that are no choice by themselves."""
TOGETHER = {("input_feeding", True): {"attention": "luong_general"}}
"""What a value needs beside it."""
SAME_MODEL = ("rnn_kernel",)
"""Choices that change no number."""


@dataclass(frozen=True)
class Case:
    """A model class with keywords so small that every check takes moments."""

    name: str
    model_class: type
    keywords: Mapping[str, Any]
    dtype: str | None = field(default=None)

    def __str__(self) -> str:
        return self.name

    def make(self, seed: int = 0, spread: float | None = 0.6):
        """The model with random weights, biases included; `spread=None` leaves the initial ones."""
        model = self.model_class(**self.keywords, dtype=self.dtype).build_from_ids()
        return model if spread is None else randomize(model, seed, spread)

    def in_precision(self, policy: str) -> Case:
        return replace(self, dtype=policy)

    def inputs(self, batch: int = 2, source: int = 5, target: int = 4, seed: int = 0) -> dict:
        """Random ids without padding for every input; a decoder's inputs are `target` long."""
        random = np.random.default_rng(seed)
        made = {}
        for name, rank in self.model_class.input_ranks.items():
            length = target if name.startswith("decoder") else source
            shape = (batch, length, WORD_BYTES)[:rank]
            made[name] = random.integers(FIRST_ORDINARY, VOCABULARY, shape).astype("int32")
        return self._with_places(made, random) if self.hides else made

    def _with_places(self, made: dict, random) -> dict:
        """Places that are asked for, each with its rank in the order, and hidden where the model hides by ids."""
        ids, places = made["token_ids"], np.zeros((len(made["token_ids"]), PLACES), "int32")
        order = np.zeros_like(ids)
        for row in range(len(ids)):
            places[row] = np.sort(random.permutation(SHORT)[:PLACES])
            order[row, places[row]] = 1 + random.permutation(PLACES)
            if self.model_class.objective == "masking":
                ids[row, places[row]] = MASK
        return {"token_ids": ids, "places": places, "order": order}

    def labels(self, inputs: Mapping[str, np.ndarray], seed: int = 7) -> np.ndarray:
        """Labels that can be learnt from the inputs; padding has none, nor has the last token of a text to say."""
        ids = inputs[self.last_input]
        if self.task == "classification":
            return np.arange(len(ids)) % LABELS
        random = np.random.default_rng(seed)
        if self.hides:
            return random.integers(FIRST_ORDINARY, VOCABULARY, ids.shape)
        if self.task == "tagging":
            return np.where(ids == PAD, IGNORE, ids % LABELS)
        if self.task == "language_modeling":  # what comes next must not hang on what is not yet seen
            labels = FIRST_ORDINARY + random.permutation(VOCABULARY - FIRST_ORDINARY)[ids - FIRST_ORDINARY]
        else:
            labels = random.integers(FIRST_ORDINARY, VOCABULARY, ids.shape)
        labels[:, -1] = IGNORE
        return np.where(ids == PAD, IGNORE, labels)

    @property
    def task(self) -> str:
        return self.model_class.task

    @property
    def first_input(self) -> str:
        return next(iter(self.model_class.input_ranks))

    @property
    def last_input(self) -> str:
        """The ids that the outputs stand beside."""
        names = list(self.model_class.input_ranks)
        return {"tagging": names[0], "masked_language_modeling": "places"}.get(self.task, names[-1])

    @property
    def read_inputs(self) -> tuple[str, ...]:
        """The inputs that are as long as the text that is read."""
        if self.task == "tagging":
            return tuple(self.model_class.input_ranks)
        return ("token_ids", "order") if self.hides else (self.first_input,)

    @property
    def hides(self) -> bool:
        """Whether the model is asked for tokens that are hidden."""
        return self.task == "masked_language_modeling"

    @property
    def per_token(self) -> bool:
        """Whether there is an output for each token."""
        return self.task != "classification"

    @property
    def writes(self) -> bool:
        """Whether the model writes text, token by token."""
        return self.task in ("translation", "language_modeling")


def case(name: str, model_class: type, section: type[Section], **changes) -> Case:
    """The small case of a model."""
    keywords = {key: _small(key, info) for key, info in section.model_fields.items() if key != "name"}
    sizes = {"vocabulary_size": VOCABULARY}
    if model_class.task in ("classification", "tagging"):
        sizes["num_classes"] = LABELS
    return Case(name, model_class, {**sizes, **keywords, **changes})


def variants(name: str, model_class: type, section: type[Section]) -> Iterator[Case]:
    """The small case, and one more for every other choice that a recipe can make."""
    base = case(name, model_class, section)
    yield base
    for key, info in section.model_fields.items():
        if key == "name" or key in SAME_MODEL:
            continue
        allowed = _choices(info.annotation)
        tried = allowed + [v for v in ALSO_TRIED.get(key, []) if not allowed]
        for value in tried:
            if value != base.keywords[key]:
                beside = TOGETHER.get((key, value), {})
                yield replace(
                    base, name=f"{name}, {key} {value}", keywords={**base.keywords, **beside, key: value}
                )


def together(base: Case, others: Iterable[Case]) -> list[Case]:
    """The choices of the other cases, in as few cases as can hold them: each choice stands in one."""
    groups: list[dict[str, Any]] = []
    for other in others:
        choice = {key: value for key, value in other.keywords.items() if value != base.keywords[key]}
        fitting = [group for group in groups if all(group.get(k, v) == v for k, v in choice.items())]
        if fitting:
            min(fitting, key=len).update(choice)
        else:
            groups.append(choice)
    return [
        replace(
            base,
            name=", ".join([base.name, *(f"{key} {value}" for key, value in group.items())]),
            keywords={**base.keywords, **group},
        )
        for group in groups
    ]


def shrunk(name: str, model_class: type, keywords: Mapping[str, Any]) -> Case:
    """The model of a recipe with its own choices, its sizes made small."""
    small = {}
    for key, value in keywords.items():
        if "dropout" in key:
            value = 0.0
        elif isinstance(value, int) and not isinstance(value, bool) and key in SMALL:
            value = min(value, SMALL[key])
        small[key] = value
    sizes = {"vocabulary_size": VOCABULARY}
    if model_class.task in ("classification", "tagging"):
        sizes["num_classes"] = LABELS
    return Case(name, model_class, {**sizes, **small})


def randomize(layer, seed: int = 0, spread: float = 0.6):
    """New random values for all weights: biases that are zero and gains that are one would hide mistakes.

    What is not trained (moving statistics, seeds) stays, but for a moving variance of one and mean of zero.
    """
    random = np.random.default_rng(seed)
    for w in layer.weights:
        name = w.path.rsplit("/", 1)[-1]
        if "seed_generator" in w.path:
            continue
        if name == "moving_variance":
            w.assign(random.uniform(0.5, 2.0, w.shape))
        else:
            w.assign(random.normal(1.0 if name == "gamma" else 0.0, spread, w.shape))
    return layer


def array(x) -> np.ndarray:
    """A tensor of any precision as a NumPy array; bfloat16 and float16 as float32."""
    x = keras.ops.convert_to_tensor(x)
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32") if "float" in str(x.dtype) else x)


def _small(key: str, info) -> Any:
    """A small value for a key: by its name, its default, or its type."""
    if "dropout" in key:
        return 0.0
    if key in SMALL:
        return SMALL[key]
    if not info.is_required():
        return info.get_default(call_default_factory=True)
    choices = _choices(info.annotation)
    if choices:
        return choices[0]
    return {int: 8, float: 0.5, str: "", bool: True}.get(_bare(info.annotation), 8)


def _choices(annotation) -> list:
    """The values of a Literal or a bool."""
    bare = _bare(annotation)
    if bare is bool:
        return [False, True]
    return list(get_args(bare)) if get_origin(bare) is Literal else []


def _bare(annotation):
    """A type without its bounds and without `| None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _bare(members[0]) if len(members) == 1 else annotation
    return annotation
