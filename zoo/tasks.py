"""A trained model with its tokenizer and one verb: `translate` or `classify`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from zoo import registry
from zoo.compile import jit
from zoo.config import Recipe
from zoo.data.objectives import OBJECTIVES, source_ids
from zoo.data.tokenizers import Tokenizer
from zoo.decoding.search import beam_search, greedy_search
from zoo.training.losses import MaskedCrossEntropy


@dataclass(frozen=True)
class Translation:
    """One answer; `score` is its log-probability over the length penalty."""

    text: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The most probable label, and the probability of every label."""

    label: str
    probability: float
    probabilities: dict[str, float]


class Task(keras.Model):
    """A Keras model that knows its text: call, compile, fit and save it like any other.

    Args:
        model: the model proper, which maps ids to logits.
        tokenizer: its `Tokenizer`.
        recipe: its `Recipe`.
        labels: names of the classes, of a classifier.
    """

    batch_size = 64
    """Texts answered at once."""

    def __init__(self, model, tokenizer: Tokenizer, recipe: Recipe, labels: Sequence[str] | None = None):
        super().__init__(name=type(self).__name__.lower())
        self.model = model.build_from_ids()
        self.tokenizer, self.recipe = tokenizer, recipe
        self.labels = tuple(labels) if labels is not None else None
        self._functions = {}
        self.built = True

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    def examples(self, sources: Sequence[str], targets: Sequence[str]):
        """Inputs and labels for `fit` and `evaluate`: ids, padded to the longest text (cut at data.max_length)."""
        recipe, encode = self.recipe, self.tokenizer.encode
        source = [self._source(text) for text in sources]
        if self.labels is None:
            target = [encode(text) for text in targets]
        else:
            target = [[self.labels.index(label)] for label in targets]
        lengths = [min(max(map(len, side)) + 1, recipe.data.max_length) for side in (source, target)]
        batch = OBJECTIVES[recipe.task](source, target, len(source), *lengths)
        return batch.inputs, batch.labels

    def loss_function(self) -> MaskedCrossEntropy:
        """The recipe's loss, for `compile`."""
        return MaskedCrossEntropy(self.recipe.train.label_smoothing)

    def _source(self, text: str) -> list[int]:
        return self.tokenizer.encode(text) or [self.tokenizer.unk_id]

    def map_batches(self, function, texts: Sequence[str]) -> list:
        """`function` over the texts in batches of similar length; the answers in the order of the texts."""
        ids = [self._source(text) for text in texts]
        longest = self.recipe.data.max_length
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        answers = [None] * len(ids)
        for start in range(0, len(order), self.batch_size):
            part = order[start : start + self.batch_size]
            length = min(max(len(ids[i]) for i in part) + 1, longest)
            # Few different lengths, for a compiler that wants each shape by itself.
            length = min(-(-length // 8) * 8, longest)
            batch = source_ids([ids[i] for i in part], len(part), length)
            results = keras.tree.map_structure(np.asarray, function(batch))
            for row, i in enumerate(part):
                answers[i] = keras.tree.map_structure(lambda x, row=row: x[row], results)
        return answers

    def _compiled(self, key, function):
        """One compiled function for each setting; compiling is slow, settings are few."""
        if key not in self._functions:
            self._functions[key] = jit(function, self.model.variables)
        return self._functions[key]

    def get_config(self):
        raise NotImplementedError("save the weights, and the recipe beside them; see zoo.load")


class Translator(Task):
    """Text in, text out.

    Example: `zoo.load("dates-multi-lstm-tiny").translate(["3 March 2021"])`
    """

    def translate(
        self,
        texts: Sequence[str],
        *,
        beams: int | None = None,
        length_penalty: float | None = None,
        max_length: int | None = None,
    ) -> list[str]:
        """The best answer to each text; None means as the recipe's `decode` section says."""
        found = self.translate_n_best(texts, 1, beams, length_penalty, max_length)
        return [answers[0].text for answers in found]

    def translate_n_best(
        self,
        texts: Sequence[str],
        n_best: int | None = None,
        beams: int | None = None,
        length_penalty: float | None = None,
        max_length: int | None = None,
    ) -> list[list[Translation]]:
        """The `n_best` answers to each text with their scores, best first; at most `beams` of them."""
        if isinstance(texts, str):
            raise TypeError("texts must be a list of texts, not one text")
        decode = self.recipe.decode
        n_best = decode.n_best if n_best is None else n_best
        beams = decode.beams if beams is None else beams
        penalty = decode.length_penalty if length_penalty is None else length_penalty
        length = max_length or decode.max_length or self.recipe.data.max_length
        if n_best > beams:
            raise ValueError(f"n_best is {n_best}, but only {beams} beams are followed")

        def search(token_ids):
            if beams == 1:
                ids, score = greedy_search(self.model, token_ids, length)
                return keras.ops.expand_dims(ids, 1), keras.ops.expand_dims(score, 1)
            return beam_search(self.model, token_ids, length, beams, penalty)

        found = self.map_batches(self._compiled((beams, penalty, length), search), texts)
        return [
            [
                Translation(self.tokenizer.decode(row.tolist()), float(score))
                for row, score in zip(ids[:n_best], scores[:n_best], strict=True)
            ]
            for ids, scores in found
        ]


class Classifier(Task):
    """Text in, label out.

    Example: `zoo.load("runs/classification/sst2-en-lstm-tiny").classify(["a great film"])`
    """

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        """The label of each text."""
        if isinstance(texts, str):
            raise TypeError("texts must be a list of texts, not one text")
        function = self._compiled(
            "classify", lambda ids: keras.ops.softmax(self.model({"token_ids": ids}, training=False))
        )
        return [self._named(row) for row in self.map_batches(function, texts)]

    def _named(self, probabilities: np.ndarray) -> Classification:
        best = int(probabilities.argmax())
        named = dict(zip(self.labels, map(float, probabilities), strict=True))
        return Classification(self.labels[best], float(probabilities[best]), named)


TASKS = {"translation": Translator, "classification": Classifier}


def build_task(recipe: Recipe, tokenizer: Tokenizer, labels: Sequence[str] | None = None) -> Task:
    """The task of a recipe with new weights, which `recipe.seed` decides."""
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(recipe.seed)
    else:  # that would import TensorFlow too; initializers and dropout take their seeds from Python's generator
        random.seed(recipe.seed)
    keywords = recipe.model.model_dump(exclude={"name"})
    if labels is not None:
        keywords["num_classes"] = len(labels)
    model_class = registry.resolve("model", recipe.model.name)
    model = model_class(vocabulary_size=tokenizer.vocabulary_size, **keywords)
    return TASKS[recipe.task](model, tokenizer, recipe, labels)
