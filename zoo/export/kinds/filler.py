"""text (B,) -> text (B,), probability (B,) of all that was filled in.

token_ids (B, S), places (B, K), order (B, S) -> ids (B, K), probabilities (B, K).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.objectives import IGNORE
from zoo.data.pipeline import make_batches
from zoo.data.reading import HIDDEN
from zoo.data.tokenizers import MASK
from zoo.export.kinds.base import TIE, Kind, evenly
from zoo.export.kinds.reading import ended, padded
from zoo.tasks.mask_filler import lines_of, with_hidden

BLANK = r"[ \t\n\r\f](?s:.*)"


class FillerKind(Kind):
    """A masked language model; the best token for each [MASK] leaves."""

    inputs = {"token_ids": ("int32", (None,)), "places": ("int32", (None,)), "order": ("int32", (None,))}
    inside = True
    figures = ("accuracy",)

    def compute(self, token_ids, places, order):
        found = self.core(token_ids=token_ids, places=places, order=order)
        return {name: x[..., 0] for name, x in found.items()}

    def outputs(self):
        return {"ids": ("int32", [1, None]), "probabilities": ("float32", [1, None])}

    def read(self, tokenizer, text, width, seed=None):
        """As `read_hidden`: pieces of the parts with MASK between them."""
        parts = Parts(text, self.task.tokenizer.glues)
        goes_on = (parts.number > 0) & ~tf.strings.regex_full_match(parts.cut, BLANK)
        marks = tf.RaggedTensor.from_row_lengths(
            tf.fill([tf.math.count_nonzero(parts.number, dtype=tf.int32)], MASK),
            tf.cast(parts.number > 0, tf.int64),
        )
        pieces = tf.concat(
            [
                marks,
                tokenizer.tokenize(tf.where(goes_on, "", parts.cut)),
                tokenizer.tokenize_inside(tf.where(goes_on, parts.cut, "")),
            ],
            axis=1,
        )
        ids = ended(parts.rows.with_values(pieces).merge_dims(1, 2), self.recipe.data.max_length)
        token_ids = padded(ids, width)
        hidden = tf.ragged.boolean_mask(tf.ragged.range(ids.row_lengths()), tf.equal(ids, MASK))
        order = tf.cast(tf.equal(token_ids, MASK), tf.int32)
        return {"token_ids": token_ids, "places": padded(tf.cast(hidden, tf.int32), width), "order": order}

    def say(self, tokenizer, text, inputs, computed):
        """As `filled`: what was found is written between the parts."""
        parts = Parts(text, self.task.tokenizer.glues)
        hidden = tf.reduce_sum(inputs["order"], axis=1)
        row = parts.rows.value_rowids()
        flat, place = parts.rows.values, parts.number  # number also of the hidden token behind a part
        there = tf.cast(place, tf.int32) < tf.gather(hidden, row)
        last = tf.minimum(tf.cast(place, tf.int32), tf.shape(computed["ids"])[1] - 1)
        ids = tf.gather_nd(computed["ids"], tf.stack([tf.cast(row, tf.int32), last], axis=1))
        found = tf.gather(tf.constant(self.task.tokenizer.surfaces), ids)
        blank = tf.strings.regex_full_match(flat, r"(?s:.*)[ \t\n\r\f]") | (
            tf.equal(place, 0) & tf.equal(flat, "")
        )
        bare = tf.strings.regex_replace(found, r"\A +(.)", r"\1")
        found = tf.where(there, tf.where(blank, bare, found), HIDDEN)
        whole = parts.rows.with_values(tf.strings.join([flat, tf.where(parts.last, "", found)]))
        asked = tf.sequence_mask(hidden, tf.shape(computed["probabilities"])[1])
        return {
            "text": tf.strings.reduce_join(whole, axis=1),
            "probability": tf.reduce_prod(tf.where(asked, computed["probabilities"], 1.0), axis=1),
        }

    def samples(self, split, count):
        """Lines from all over a split with one or two words hidden."""
        lines = lines_of(split)
        texts = super().samples(Split(lines, lines), count)
        return [with_hidden(text[:200], 1 + i % 2) for i, text in enumerate(texts)]

    def graded(self, split, count):
        """Windows of validation, in which the same words are hidden as in `zoo eval`; they are ids, not texts."""
        encoded = encode_split(split, self.task.tokenizer, self.recipe.task)
        windows = make_batches(self.recipe, encoded, False, self.task.tokenizer)
        starts = windows.starts()
        starts = starts[evenly(len(starts), count)]
        batch = windows.objective.batch(starts, len(starts), 0)
        rows = [{name: batch.inputs[name][i].tolist() for name in self.inputs} for i in range(len(starts))]
        return [{"inputs": row} for row in rows], batch.labels.tolist()

    def measured(self, answers, gold):
        right = [
            token == label
            for answer, labels in zip(answers, gold, strict=True)
            for token, label in zip(answer["ids: ids"], labels, strict=True)
            if label != IGNORE
        ]
        return {"accuracy": 100.0 * sum(right) / len(right)}

    def said(self, computed, text):
        ids = {
            "ids: ids": computed["ids"][:, 0].tolist(),
            "ids: probabilities": computed["probabilities"][:, 0].tolist(),
        }
        if text is None:
            return ids
        found = self.task.say(computed, text)
        best = [each[0][1] for each in found.candidates]
        probability = float(np.prod(best, dtype="float32")) if best else 1.0
        return {"text": found.text, "probability": probability, **ids}

    def trimmed(self, answer, row):
        count = len(row["inputs"]["places"])
        return {name: value[:count] if name.startswith("ids: ") else value for name, value in answer.items()}

    def is_tie(self, row, python, exported):
        """Where another token was chosen, its probability is as good."""
        ours, theirs = python["ids: probabilities"], exported["ids: probabilities"]
        same_length = len(ours) == len(theirs) and python["ids: ids"] != exported["ids: ids"]
        return same_length and all(abs(a - b) <= TIE for a, b in zip(ours, theirs, strict=True))


class Parts:
    """Texts (B,) split at [MASK].

    `rows` (B, parts) is ragged; of its flat values there are `cut`, without the blank that belongs to the hidden
    token behind, `number` in the text, and whether it is the `last`.
    """

    def __init__(self, text, glues: bool):
        self.rows = tf.strings.split(text, sep=HIDDEN)
        lengths = self.rows.row_lengths()
        self.number = tf.ragged.range(lengths).values
        self.last = tf.equal(self.number, tf.gather(lengths, self.rows.value_rowids()) - 1)
        flat = self.rows.values
        cut = tf.strings.regex_replace(flat, r" \z", "") if glues else flat
        self.cut = tf.where(self.last, flat, cut)
