"""text (B,) -> tags (B,) and words (B,), joined by blanks.

token_ids (B, S), character_ids (B, S, W) -> tags (B, S).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from zoo.answers import NO_TAG
from zoo.data.reading import LONGEST_SENTENCE
from zoo.data.words import WORD_BYTES
from zoo.export.kinds.base import TIE, Kind
from zoo.export.kinds.reading import padded, within
from zoo.metrics import score_tagging


class TaggerKind(Kind):
    """A tagger; every word has a tag, for no text is cut. It stands at the word's first piece."""

    inputs = {"token_ids": ("int32", (None,)), "character_ids": ("int32", (None, WORD_BYTES))}
    padding = {"tags": NO_TAG}
    cuts = False
    figures = ("accuracy", "macro_f1", "exact_match")

    def compute(self, token_ids, character_ids):
        return self.core(token_ids=token_ids, character_ids=character_ids)

    def outputs(self):
        return {"tags": ("int32", [1, None])}

    def read(self, tokenizer, text, width, seed=None):
        ids, characters = tokenizer.words(text)
        return {"token_ids": padded(within(ids, LONGEST_SENTENCE)), "character_ids": padded(characters)}

    def say(self, tokenizer, text, inputs, computed):
        tags = tf.ragged.boolean_mask(computed["tags"], tf.not_equal(computed["tags"], NO_TAG))
        named = tags.with_flat_values(tf.gather(tf.constant(list(self.task.labels)), tags.flat_values))
        return {
            "tags": tf.strings.reduce_join(named, axis=1, separator=" "),
            "words": tf.strings.reduce_join(tf.strings.split(text), axis=1, separator=" "),
        }

    def said(self, computed, text):
        found = self.task.say(computed, text)
        tags = computed["tags"].tolist()
        return {"tags": " ".join(found.tags), "words": " ".join(found.words), "ids: tags": tags}

    def trimmed(self, answer, row):
        count = len(row["inputs"]["token_ids"])
        return {**answer, "ids: tags": answer["ids: tags"][:count]}

    def measured(self, answers, gold):
        tags = [answer["tags"].split(" ") for answer in answers]
        return score_tagging(tags, [target.split(" ") for target in gold], self.task.labels)

    def is_tie(self, row, python, exported):
        """By the score of the tags: a sum of logits, or of a CRF's potentials along the path."""
        ours, theirs = python["ids: tags"], exported["ids: tags"]
        begins = [place for place, tag in enumerate(ours) if tag != NO_TAG]
        if begins != [place for place, tag in enumerate(theirs) if tag != NO_TAG]:
            return False
        if len(ours) != len(theirs) or python["words"] != exported["words"]:
            return False
        inputs = {name: np.array([value], "int32") for name, value in row["inputs"].items()}
        outputs = keras.ops.convert_to_numpy(self.task.model(inputs, training=False))[0]
        scores = [score(outputs[begins], [tags[place] for place in begins]) for tags in (ours, theirs)]
        return abs(scores[0] - scores[1]) <= TIE


def score(outputs: np.ndarray, tags: list[int]) -> float:
    """Of tags (S,) under logits (S, C) or potentials (S, C, C), whose first step stands in row 0."""
    if outputs.ndim == 2:
        return float(outputs[np.arange(len(tags)), tags].sum())
    return float(outputs[np.arange(len(tags)), [0, *tags[:-1]], tags].sum())
