"""text (B,) -> text (B,), score (B,); ids (B, S) -> ids (B, L), score (B,)."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from zoo.config.metrics import METRICS
from zoo.data.tokenizers import BOS, PAD
from zoo.export.kinds.base import TIE, Kind, log_softmax_of, parting
from zoo.export.kinds.reading import with_end
from zoo.metrics import score_translation


class TranslatorKind(Kind):
    """A translator; the best of its answers leaves. Every form of file searches alike."""

    choices = ("beams", "length_penalty", "length")
    padding = {"ids": PAD}
    figures = tuple(name for name in METRICS["translation"] if name != "loss")

    def __init__(self, task, form="saved_model", **chosen):
        super().__init__(task, form, **{**chosen, "beams": chosen.get("beams") or task.recipe.export.beams})
        self.search["sample"] = False  # its files search, whatever the recipe draws

    def compute(self, ids):
        found = self.core(ids=ids)
        return {"ids": found["ids"][:, 0], "score": found["score"][:, 0]}

    @property
    def steps(self):
        return "ids", self.search["length"]

    def outputs(self):
        return {"ids": ("int32", [1, self.search["length"]]), "score": ("float32", [1])}

    def read(self, tokenizer, text, width, seed=None):
        return {"ids": with_end(tokenizer, text, self.recipe.data.max_length, width)}

    def say(self, tokenizer, text, inputs, computed):
        rows = tf.RaggedTensor.from_tensor(computed["ids"], padding=PAD)
        return {"text": tokenizer.detokenize(rows), "score": computed["score"]}

    def said(self, computed, text):
        best = self.task.say(computed, text)
        ids = computed["ids"][0].tolist()
        return {"text": best.text, "score": best.score, "ids: ids": ids, "ids: score": best.score}

    def measured(self, answers, gold):
        language = getattr(self.recipe.data, "target", "")
        return score_translation([answer["text"] for answer in answers], gold, language)

    def forced(self, row, answer):
        said = answer["ids: ids"]
        given = [BOS, *said[:-1]]
        return given, said, log_softmax_of(self._logits(row, given), said)

    def _logits(self, row, given) -> np.ndarray:
        """(T, V) behind each of the tokens that were said."""
        inputs = {
            "encoder_token_ids": np.array([row["inputs"]["ids"]], "int32"),
            "decoder_token_ids": np.array([given], "int32"),
        }
        return keras.ops.convert_to_numpy(self.task.model(inputs, training=False))[0]

    def is_tie(self, row, python, exported):
        if self.search["beams"] > 1:
            (found,) = self.computed([row])
            texts = [self.task.tokenizer.decode(ids.tolist()) for ids in found["ids"]]
            best, *_ = scores = found["score"].tolist()
            return any(
                text == exported["text"] and best - score <= TIE * max(1.0, abs(best))
                for text, score in zip(texts, scores, strict=True)
            )
        # Greedy search is decided where the answers part: by two logits behind the same beginning.
        ours, theirs = python["ids: ids"], exported["ids: ids"]
        place = parting(ours, theirs)
        if place is None or place >= min(len(ours), len(theirs)):
            return False
        logits = self._logits(row, [BOS, *ours[:place]])[place]
        return bool(abs(logits[ours[place]] - logits[theirs[place]]) <= TIE)
