"""What all tasks share: a model that knows its text, and how many texts are answered at once.

Every answer comes about in three steps, which the exports repeat in their own words:

    read    a text -> its ids (NumPy, as the pipeline makes them for training)
    core    a batch of ids -> what the model makes of them (`keras.ops` alone, so that it can be exported)
    say     one row of that -> the answer
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from zoo.compile import jit
from zoo.config import Recipe
from zoo.config.metrics import METRICS
from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.pipeline import one_batch
from zoo.data.reading import AT_ONCE, pad, read, similar
from zoo.data.tokenizers import Tokenizer

Row = Mapping[str, np.ndarray]


class Task(keras.Model):
    """A Keras model that knows its text: call, compile, fit and save it like any other.

    Args:
        model: the model proper, which maps ids to logits.
        tokenizer: its `Tokenizer`.
        recipe: its `Recipe`.
        labels: names of the classes or tags, where the task has any.
    """

    called = "a task"
    """What it is, to a user."""
    needs_labels = False
    """Whether the answers are labels, which the data names."""
    searches = False
    """Whether it follows several answers at once: `--beams`, `--n-best`."""
    generates = False
    """Whether it goes on from a prompt: `zoo generate` instead of `zoo predict`."""
    fills = False
    """Whether it names several candidates for what it fills in: `--n-best` without beams."""
    core_inputs: Mapping[str, tuple[int, str]] = {"token_ids": (2, "int32")}
    """Name of each input of `core` -> (number of axes, type)."""
    batch_size = 64
    """Texts answered at once."""
    carries_state = False
    """Whether it has a state that goes on from one window of a text to the next: `--carry-state`."""
    xla = False
    """Whether answers are computed by XLA: faster, after seconds of compiling for each new shape of a batch."""

    def __init__(self, model, tokenizer: Tokenizer, recipe: Recipe, labels: Sequence[str] | None = None):
        super().__init__(name=type(self).__name__.lower())
        self.model = model.build_from_ids()
        self.tokenizer, self.recipe = tokenizer, recipe
        self.labels = tuple(labels) if labels is not None else None
        self._functions = {}
        self.built = True

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    def get_config(self):
        raise NotImplementedError("save the weights, and the recipe beside them; see zoo.load")

    # --- training ---

    def examples(self, sources: Sequence, targets: Sequence):
        """Inputs and labels for Keras's `fit` and `evaluate`, padded to the longest text."""
        split = Split(list(sources), list(targets))
        encoded = encode_split(split, self.tokenizer, self.recipe.task, self.labels, cache=False)
        batch = one_batch(self.recipe, encoded, self.tokenizer)
        return batch.inputs, batch.labels

    def loss_function(self):
        """The recipe's loss, for `compile`."""
        return self.model.make_loss(self.recipe.train.label_smoothing)

    def validate(self, split: Split, loss: float, samples: int) -> tuple[dict[str, float], list[str]]:
        """What training looks at: the task's figures (zoo/config/metrics.py) beside the loss, and some questions
        with their answers, as lines.

        Args:
            split: the validation split.
            loss: its loss, already known.
            samples: how many questions.
        """
        figures, answers = self.score(split, **self.quickly())
        shown = [
            f"  {source}\n    -> {answer}\n     = {target}"
            for (source, target), answer in zip(split, answers[:samples], strict=False)
        ]
        return {name: figures[name] for name in METRICS[self.recipe.task] if name != "loss"}, shown

    def example(self, split: Split) -> str:
        """A first question that this data suggests; empty where any text of its kind would do."""
        return ""

    def quickly(self) -> dict[str, Any]:
        """Options of `score` with which a validation is quick."""
        return {}

    # --- from text to answer ---

    def read(self, texts: Sequence) -> list[dict[str, np.ndarray]]:
        """The ids of each text, unpadded."""
        longest = self.recipe.data.max_length
        return [read(self.recipe.task, self.tokenizer, text, longest) for text in texts]

    def batch(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """Rows side by side, padded on the right: few different lengths, for a compiler that wants each by itself.

        What is within `data.max_length` is not padded beyond it: learned positions may end there.
        """
        longest, bound = max(len(row["token_ids"]) for row in rows), self.recipe.data.max_length
        length = -(-longest // 8) * 8
        return pad(rows, length=min(length, bound) if longest <= bound else length)

    def settings(self, **options) -> dict[str, Any]:
        """What `core` takes beside its inputs; what is not given is as the recipe says."""
        if options:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(options)}")
        return {}

    def told(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Those settings that a person wants to know."""
        return dict(settings)

    def core(self, inputs: Mapping[str, Any], **settings) -> dict[str, Any]:
        """Padded ids -> what the model makes of them."""
        raise NotImplementedError

    def say(self, row: Row, text) -> Any:
        """The answer to a text, from its row of what `core` gave."""
        raise NotImplementedError

    def answer(self, texts: Sequence, **options) -> list:
        """The answer to each text, in the order of the texts."""
        refuse_one(texts)
        settings = self.settings(**options)
        found = self.compute(self.read(texts), settings)
        return [self.say(row, text) for row, text in zip(found, texts, strict=True)]

    def answers(self, texts: Sequence, n_best: int | None = None, beams: int | None = None) -> list[list]:
        """The answers to each text, best first: one, unless the task searches."""
        return [[answer] for answer in self.answer(texts)]

    def score(self, split: Split, **options) -> tuple[dict, list[str]]:
        """Figures of the answers to a split, and the answers as a person reads them."""
        raise NotImplementedError

    def inputs_of(self, rows: Sequence[Row]) -> Mapping[str, tuple[int, str]]:
        """What goes into `core` with these rows."""
        return self.core_inputs

    def compute(self, rows: Sequence[Row], settings: Mapping[str, Any]) -> list[dict[str, np.ndarray]]:
        """What `core` makes of each row, in their order."""
        return self.map_batches(self.core_function(settings, self.inputs_of(rows)), rows) if rows else []

    def core_function(self, settings: Mapping[str, Any], inputs: Mapping | None = None) -> Callable:
        """`core`, compiled once for each settings: compiling is slow, settings are few."""
        inputs = inputs or self.core_inputs
        key = (*settings.items(), *inputs, self.xla)
        if key not in self._functions:
            self._functions[key] = jit(
                lambda given: self.core(given, **settings), self.model.variables, inputs, self.xla
            )
        return self._functions[key]

    def map_batches(self, function: Callable, rows: Sequence[Row]) -> list[dict[str, np.ndarray]]:
        """`function` over the rows in batches of similar length; its answers in the order of the rows."""
        answers: list = [None] * len(rows)
        for part in similar([len(row["token_ids"]) for row in rows], self.batch_size, AT_ONCE):
            results = function(self.batch([rows[i] for i in part]))
            results = {name: keras.ops.convert_to_numpy(x) for name, x in results.items()}
            for place, i in enumerate(part):
                answers[i] = {name: x[place] for name, x in results.items()}
        return answers


def refuse_one(texts) -> None:
    """A text is a sequence of texts too, and none that anybody means."""
    if isinstance(texts, str):
        raise TypeError("texts must be a list of texts, not one text")
