"""text (B,) -> label (B,), probability (B,), probabilities (B, C); ids (B, S) -> probabilities (B, C)."""

from __future__ import annotations

import math

import tensorflow as tf

from zoo.export.kinds.base import TIE, Kind, same
from zoo.export.kinds.reading import with_end
from zoo.metrics import score_classification


class ClassifierKind(Kind):
    """A classifier; the probabilities stand in the order of its labels."""

    figures = ("accuracy", "macro_f1", "loss")

    def compute(self, ids):
        return self.core(ids=ids)

    def outputs(self):
        return {"probabilities": ("float32", [1, len(self.task.labels)])}

    def read(self, tokenizer, text, width, seed=None):
        return {"ids": with_end(tokenizer, text, self.recipe.data.max_length, width)}

    def say(self, tokenizer, text, inputs, computed):
        probabilities = computed["probabilities"]
        best = tf.argmax(probabilities, axis=-1)
        return {
            "label": tf.gather(tf.constant(list(self.task.labels)), best),
            "probability": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    def said(self, computed, text):
        found = self.task.say(computed, text)
        every = [found.probabilities[label] for label in self.task.labels]
        answer = {"label": found.label, "probability": found.probability, "probabilities": every}
        return {**answer, "ids: probabilities": every}

    def measured(self, answers, gold):
        labels = self.task.labels
        found = score_classification([answer["label"] for answer in answers], gold, labels)
        right = (
            answer["probabilities"][labels.index(label)] for answer, label in zip(answers, gold, strict=True)
        )
        losses = [-math.log(max(p, 1e-30)) for p in right]
        return {**found, "loss": sum(losses) / len(losses)}

    def is_tie(self, row, python, exported):
        named = dict(zip(self.task.labels, python["probabilities"], strict=True))
        far = [key for key in python if key != "label" and not same(python[key], exported.get(key))]
        return not far and named.get(exported["label"], 0.0) >= python["probability"] - TIE
