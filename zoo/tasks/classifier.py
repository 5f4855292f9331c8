"""Text in, label out."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from zoo.answers import Classification
from zoo.data.datasets import Split
from zoo.layers.portable import float32
from zoo.metrics import score_classification
from zoo.tasks.base import Task


class Classifier(Task):
    """Text in, label out.

    Example: `zoo.load("runs/classification/sst2-en-lstm-tiny").classify(["a great film"])`
    """

    called = "a classifier"
    needs_labels = True

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        """The label of each text."""
        return self.answer(texts)

    def core(self, inputs):
        """{"probabilities": (B, C)}."""
        return {"probabilities": ops.softmax(float32(self.model(inputs, training=False)))}

    def say(self, row, text) -> Classification:
        return Classification.of(row["probabilities"], self.labels)

    def score(self, split: Split) -> tuple[dict, list[str]]:
        """Accuracy and F1, as `score_classification` says."""
        answers = [str(answer) for answer in self.classify(split.sources)]
        return score_classification(answers, split.targets, self.labels), answers
