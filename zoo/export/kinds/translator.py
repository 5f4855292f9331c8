"""text (B,) -> text (B,), score (B,); ids (B, S) -> ids (B, L), score (B,)."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from zoo.data.tokenizers import BOS, PAD
from zoo.export.kinds.base import TIE, Kind, parting
from zoo.export.kinds.reading import with_end


class TranslatorKind(Kind):
    """A translator; the best of its answers leaves. A TFLite file is greedy."""

    choices = ("beams", "length_penalty", "length")
    padding = {"ids": PAD}

    def __init__(self, task, form="saved_model", **chosen):
        beams = 1 if form == "tflite" else chosen.get("beams") or task.recipe.export.beams
        super().__init__(task, form, **{**chosen, "beams": beams})
        self.search["sample"] = False  # its files search, whatever the recipe draws

    def compute(self, ids):
        found = self.core(ids=ids)
        return {"ids": found["ids"][:, 0], "score": found["score"][:, 0]}

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
        inputs = {
            "encoder_token_ids": np.array([row["inputs"]["ids"]], "int32"),
            "decoder_token_ids": np.array([[BOS, *ours[:place]]], "int32"),
        }
        logits = keras.ops.convert_to_numpy(self.task.model(inputs, training=False))[0, place]
        return bool(abs(logits[ours[place]] - logits[theirs[place]]) <= TIE)
