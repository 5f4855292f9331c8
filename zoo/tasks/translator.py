"""Text in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from zoo.answers import Translation
from zoo.data.datasets import Split
from zoo.decoding.search import beam_search, greedy_search
from zoo.metrics import score_translation
from zoo.tasks.base import Task, refuse_one


class Translator(Task):
    """Text in, text out.

    Example: `zoo.load("dates-multi-lstm-tiny").translate(["3 March 2021"])`
    """

    searches = True
    called = "a translator"

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
        refuse_one(texts)
        settings = self.settings(beams=beams, length_penalty=length_penalty, length=max_length)
        n_best = self.recipe.decode.n_best if n_best is None else n_best
        if n_best > settings["beams"]:
            raise ValueError(f"n_best is {n_best}, but only {settings['beams']} beams are followed")
        found = self.map_batches(self.core_function(settings), self.read(texts))
        return [[self._translation(row, place) for place in range(n_best)] for row in found]

    def answers(self, texts, n_best=None, beams=None) -> list[list[Translation]]:
        return self.translate_n_best(texts, n_best, beams)

    def settings(self, beams=None, length_penalty=None, length=None) -> dict[str, Any]:
        decode = self.recipe.decode
        return {
            "beams": decode.beams if beams is None else beams,
            "length_penalty": decode.length_penalty if length_penalty is None else length_penalty,
            "length": length or decode.max_length or self.recipe.data.max_length,
        }

    def core(self, inputs, beams: int, length_penalty: float, length: int):
        """{"ids": (B, N, L), "score": (B, N)} of the N beams, best first."""
        token_ids = inputs["token_ids"]
        if beams > 1:
            ids, score = beam_search(self.model, token_ids, length, beams, length_penalty)
        else:
            ids, score = greedy_search(self.model, token_ids, length)
            ids, score = ops.expand_dims(ids, 1), ops.expand_dims(score, 1)
        return {"ids": ids, "score": score}

    def say(self, row, text) -> Translation:
        return self._translation(row, 0)

    def _translation(self, row, place: int) -> Translation:
        return Translation(self.tokenizer.decode(row["ids"][place].tolist()), float(row["score"][place]))

    def score(self, split: Split, **options) -> tuple[dict, list[str]]:
        """BLEU, chrF and more, as `score_translation` says; options as `translate` takes them."""
        answers = self.translate(split.sources, **options)
        # Named data sets know their language; of files of one's own only the script is seen.
        language = getattr(self.recipe.data, "target", "")
        return score_translation(answers, split.targets, language), answers

    def quickly(self) -> dict[str, Any]:
        """Greedy, whatever the recipe decodes with."""
        return {"beams": 1}
