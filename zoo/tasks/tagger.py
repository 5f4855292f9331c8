"""Words in, a tag for each of them out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops

from zoo.answers import NO_TAG, Tagging
from zoo.data.datasets import Split
from zoo.data.reading import read_sentence
from zoo.data.words import split_words
from zoo.metrics import score_tagging
from zoo.tasks.base import Task

Text = str | Sequence[str]


class Tagger(Task):
    """Words in, a tag for each of them out.

    Example: `zoo.load("runs/tagging/ud_ewt-en-lstm-tiny").tag(["I saw her duck ."])`
    """

    called = "a tagger"
    needs_labels = True
    core_inputs = {"token_ids": (2, "int32"), "character_ids": (3, "int32")}

    def tag(self, texts: Sequence[Text]) -> list[list[tuple[str, str]]]:
        """The words of each text with their tags; a text is a list of words, or words between spaces."""
        return [list(answer) for answer in self.answer(texts)]

    def read(self, texts: Sequence[Text]) -> list[dict[str, np.ndarray]]:
        """Every word: a text is not cut."""
        return [read_sentence(self.tokenizer, words_of(text)) for text in texts]

    def core(self, inputs):
        """{"tags": (B, S)}: the number of each word's label at its first piece, else NO_TAG."""
        tags = self.model.best_tags(self.model(inputs, training=False))
        begins = ops.any(ops.not_equal(inputs["character_ids"], 0), axis=-1)
        return {"tags": ops.where(begins, tags, NO_TAG)}

    def say(self, row, text: Text) -> Tagging:
        return Tagging.of(words_of(text), row["tags"], self.labels)

    def score(self, split: Split) -> tuple[dict, list[str]]:
        """Accuracy over the words, F1 and whole sentences, as `score_tagging` says; the answers are the tags."""
        answers = [list(answer.tags) for answer in self.answer(split.sources)]
        gold = [target.split(" ") for target in split.targets]
        return score_tagging(answers, gold, self.labels), [" ".join(tags) for tags in answers]


def words_of(text: Text) -> list[str]:
    return split_words(text) if isinstance(text, str) else list(text)
