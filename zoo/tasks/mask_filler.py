"""A text with [MASK] in it in, what stood there out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from keras import ops

from zoo.answers import Filling
from zoo.compile import jit
from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.objectives import IGNORE
from zoo.data.pipeline import make_batches
from zoo.data.reading import HIDDEN
from zoo.data.units import SPECIAL
from zoo.layers.portable import float32, mask_scores
from zoo.metrics import score_masked
from zoo.tasks.base import Task

INPUTS = {"token_ids": (2, "int32"), "places": (2, "int32"), "order": (2, "int32")}
SAMPLE = 80
"""Characters of a validation text that is filled in."""


class MaskFiller(Task):
    """A text with [MASK] in it in, what stood there out.

    Example: `zoo.load("runs/masked_language_modeling/english-bert-tiny").fill(["The [MASK] sat ."])`
    """

    called = "a masked language model"
    fills = True
    core_inputs = INPUTS

    def fill(self, texts: Sequence[str], n_best: int = 1) -> list[Filling]:
        """Each text with a token for each [MASK], and the `n_best` candidates for it.

        Those of one text do not see each other. A [MASK] behind `data.max_length` tokens stays.
        """
        return self.answer(texts, n_best=n_best)

    def answers(self, texts, n_best=None, beams=None) -> list[list[Filling]]:
        return [[answer] for answer in self.fill(texts, n_best or 1)]

    def settings(self, n_best: int | None = None) -> dict[str, Any]:
        return {"n_best": min(n_best or 1, self.tokenizer.vocabulary_size - SPECIAL)}

    def core(self, inputs, n_best: int):
        """{"ids": (B, K, n_best), "probabilities": (B, K, n_best)} of each place, best first; no special ids."""
        logits = float32(self.model(inputs, training=False))
        ordinary = ops.arange(self.tokenizer.vocabulary_size) >= SPECIAL
        found, ids = ops.top_k(ops.softmax(mask_scores(logits, ordinary)), n_best)
        return {"ids": ops.cast(ids, "int32"), "probabilities": found}

    def say(self, row, text: str) -> Filling:
        hidden = int(self.read([text])[0]["order"].sum())
        return Filling.of(text, row["ids"][:hidden], row["probabilities"][:hidden], self.tokenizer)

    def score(self, split: Split) -> tuple[dict, list[str]]:
        """Loss, perplexity and accuracy of the tokens that are hidden in validation, as `score_masked` says."""
        encoded = encode_split(split, self.tokenizer, self.recipe.task)
        windows = make_batches(self.recipe, encoded, False, self.tokenizer)
        sums = [0.0, 0.0, 0.0]
        for i in range(len(windows)):
            batch = windows.batch(i)
            found = self._sums({**batch.inputs, "labels": batch.labels})
            sums = [total + float(part) for total, part in zip(sums, found, strict=True)]
        return score_masked(*sums), []

    @cached_property
    def _sums(self):
        """Sum of the losses, number of the right answers and of the labels of a batch, compiled."""
        loss = self.loss_function()

        def sums(given):
            labels = given["labels"]
            outputs = self.model({name: given[name] for name in INPUTS}, training=False)
            total, count = loss.total(labels, outputs, smoothing=False)
            best = ops.cast(ops.top_k(outputs, 1)[1][..., 0], "int32")
            right = ops.logical_and(ops.equal(best, labels), ops.not_equal(labels, IGNORE))
            return total, ops.sum(ops.cast(right, "float32")), count

        return jit(sums, self.model.variables, {**INPUTS, "labels": (2, "int32")})

    def example(self, split: Split) -> str:
        """A line of it with a word taken out."""
        return with_hidden(lines_of(split)[0][:SAMPLE].strip())

    def validate(self, split: Split, loss: float, samples: int) -> tuple[dict[str, float], list[str]]:
        """Perplexity and accuracy, and the first lines with a word taken out, and filled in."""
        figures, _ = self.score(split)
        texts = [with_hidden(line[:SAMPLE].strip()) for line in lines_of(split)[:samples]]
        shown = [f"  {asked}\n    -> {answer}" for asked, answer in zip(texts, self.fill(texts), strict=True)]
        return {name: figures[name] for name in ("perplexity", "accuracy")}, shown


def lines_of(split: Split) -> list[str]:
    """The lines of all documents, without blank ones."""
    return [line.strip() for text in split.sources for line in text.split("\n") if line.strip()]


def with_hidden(text: str, count: int = 1) -> str:
    """A text with so many of its words hidden, evenly spread; of a text without blanks, characters."""
    words = text.split(" ")
    words, blank = (words, " ") if len(words) > 1 else (list(text), "")
    for i in range(min(count, len(words))):
        words[(i + 1) * len(words) // (count + 1)] = HIDDEN
    return blank.join(words)
