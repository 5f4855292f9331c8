"""Text in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from zoo.answers import Translation, uniforms_of
from zoo.compile import jit
from zoo.data.datasets import Split
from zoo.decoding.loop import decode
from zoo.decoding.settings import Decoding
from zoo.decoding.tokens import BOS_ID, NEVER
from zoo.metrics import length_unit, score_by_length, score_translation
from zoo.tasks.base import refuse_one
from zoo.tasks.writer import Writer, side_by_side


class Translator(Writer):
    """Text in, text out.

    Example: `zoo.load("dates-multi-lstm-tiny").translate(["3 March 2021"])`
    """

    searches = True
    called = "a translator"

    def translate(self, texts: Sequence[str], **options) -> list[str]:
        """The best answer to each text; see `translate_n_best`."""
        return [answers[0].text for answers in self.translate_n_best(texts, 1, **options)]

    def translate_n_best(
        self,
        texts: Sequence[str],
        n_best: int | None = None,
        *,
        prefixes: Sequence[str] | None = None,
        seed: int = 0,
        alignments: bool = False,
        **options,
    ) -> list[list[Translation]]:
        """The `n_best` answers to each text with their scores, best first; at most `beams` of them.

        Args:
            texts: the sources.
            n_best: None: as the recipe's `decode` section says.
            prefixes: how each answer begins.
            seed: with the number of the text it decides what is drawn, if anything is.
            alignments: say also which source token each token of an answer looked at.
            options: keys of the recipe's `decode` section: beams=5, max_length=50, no_repeat_ngram=3, ...
        """
        refuse_one(texts)
        n_best = self.recipe.decode.n_best if n_best is None else n_best
        settings = self.settings(**options, n_best=n_best)
        followed = 1 if settings["sample"] else settings["beams"]
        if n_best > followed:
            raise ValueError(f"n_best is {n_best}, but only {followed} beams are followed")
        rows = [dict(row) for row in self.read(texts)]
        if prefixes is not None:
            refuse_one(prefixes)
            for row, prefix in zip(rows, prefixes, strict=True):
                row["prefix"] = np.array(self.tokenizer.encode(prefix), "int32")
        if settings["sample"]:
            for number, row in enumerate(rows):
                row["uniforms"] = uniforms_of(number, settings["length"], seed)
        found = self.compute(rows, settings)
        answers = [self._translations(row, n_best) for row in found]
        return self._aligned(rows, found, answers) if alignments else answers

    def answers(self, texts, n_best=None, beams=None, **options) -> list[list[Translation]]:
        return self.translate_n_best(texts, n_best, beams=beams, **options)

    def core(self, inputs, **settings):
        """{"ids": (B, N, L), "score": (B, N)} of the N hypotheses, best first."""
        how = Decoding(**settings)
        text, score = decode(
            self.model, inputs["token_ids"], how, inputs.get("uniforms"), inputs.get("prefix")
        )
        return {"ids": text[:, :, 1:], "score": score}  # without the begin mark

    def say(self, row, text) -> Translation:
        return self._translations(row, 1)[0]

    def _translations(self, row, n_best: int) -> list[Translation]:
        """The first is an answer always; further ones where there are so many different ones."""
        scores = row["score"][:n_best].tolist()
        count = max(1, sum(score > NEVER / 2 for score in scores))
        return [
            Translation(self.tokenizer.decode(ids), score)
            for ids, score in zip(row["ids"][:count].tolist(), scores[:count], strict=True)
        ]

    def _aligned(self, rows, found, answers) -> list[list[Translation]]:
        """The answers with what their tokens looked at: the model reads each of them once more."""
        asked = []
        for row, result, several in zip(rows, found, answers, strict=True):
            for ids in result["ids"][: len(several)]:
                asked.append({"token_ids": row["token_ids"], "answer": ids[: np.count_nonzero(ids)]})
        looked = iter(self.map_batches(self._looks, asked))
        read, named = iter(asked), self.tokenizer.pieces

        def one(answer: Translation) -> Translation:
            row, weights = next(read), next(looked)["weights"]
            source, target = row["token_ids"], row["answer"]
            return replace(
                answer,
                source_tokens=tuple(named[i] for i in source.tolist()),
                tokens=tuple(named[i] for i in target.tolist()),
                alignment=weights[: len(target), : len(source)],
            )

        return [[one(answer) for answer in several] for several in answers]

    @cached_property
    def _looks(self):
        """Sources and answers -> weights of attention (B, T, S), compiled."""
        function = jit(
            lambda given: {"weights": self.model.alignments(given)},
            self.model.variables,
            {name: (2, "int32") for name in self.model.input_ranks},
        )

        def looks(batch):
            begin = np.full((len(batch["answer"]), 1), BOS_ID, "int32")
            read = np.concatenate([begin, batch["answer"][:, :-1]], axis=1)
            return function({"encoder_token_ids": batch["token_ids"], "decoder_token_ids": read})

        return looks

    def batch(self, rows):
        batch = super().batch(rows)
        if "answer" in rows[0]:
            batch["answer"] = side_by_side([row["answer"] for row in rows])
        return batch

    def score(self, split: Split, **options) -> tuple[dict, list[str]]:
        """BLEU, chrF and more, as `score_translation` says, and `by_length`, as `score_by_length` does, with its
        `length_unit`; options as `translate` takes them."""
        answers = self.translate(split.sources, **options)
        # Named data sets know their language; of files of one's own only the script is seen.
        language = getattr(self.recipe.data, "target", "")
        figures = score_translation(answers, split.targets, language)
        figures["length_unit"] = length_unit(split.sources)
        figures["by_length"] = score_by_length(split.sources, answers, split.targets, language)
        return figures, answers

    def quickly(self) -> dict[str, Any]:
        """Greedy, whatever the recipe decodes with."""
        return {"beams": 1, "sample": False}
