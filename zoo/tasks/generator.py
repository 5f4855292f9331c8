"""A text in, what comes next out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from zoo.answers import Generation, room_behind, too_long, uniforms
from zoo.compile import jit
from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.labels import asked
from zoo.data.pipeline import make_batches
from zoo.decoding.sampling import join, sample
from zoo.metrics import perplexity, score_language_model
from zoo.tasks.base import Task, refuse_one

SAMPLE_PROMPT, SAMPLE_LENGTH = 40, 100
"""Characters of the text that is continued at a validation, and tokens of what follows."""


class Generator(Task):
    """A text in, what comes next out.

    Example: `zoo.load("runs/language_modeling/shakespeare-en-lstm-tiny").generate(["ROMEO:"], top_p=0.9)`
    """

    called = "a language model"
    generates = True
    core_inputs = {"token_ids": (2, "int32"), "uniforms": (2, "float32")}

    def generate(
        self,
        prompts: Sequence[str],
        max_length: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> list[Generation]:
        """Continues each prompt; None means as the recipe's `decode` section says.

        Args:
            prompts: texts; an empty one asks for a text from its beginning.
            max_length: tokens that are added at most.
            temperature: 0 always takes the most probable token.
            top_k, top_p: see zoo/decoding/sampling.py.
            seed: with the number of the prompt it decides what is drawn.
        """
        options = dict(length=max_length, temperature=temperature, top_k=top_k, top_p=top_p)
        return self.answer(prompts, seed, **options)

    def answer(self, texts: Sequence[str], seed: int = 0, **options) -> list[Generation]:
        refuse_one(texts)
        read = self.read(texts)
        settings = self.settings(**options)
        if settings["length"] > self.room(read):
            if self.length_is_named(**options) or self.room(read) < 1:
                raise too_long(settings["length"], self.room(read), self.model.longest)
            settings["length"] = self.room(read)
        numbers = uniforms(len(texts), settings["length"], seed)
        rows = [{**ids, "uniforms": row} for ids, row in zip(read, numbers, strict=True)]
        found = self.map_batches(self.core_function(settings), rows)
        return [self.say(row, text) for row, text in zip(found, texts, strict=True)]

    def batch(self, rows) -> dict[str, np.ndarray]:
        ids = super().batch([{"token_ids": row["token_ids"]} for row in rows])
        return {**ids, "uniforms": np.stack([row["uniforms"] for row in rows])}

    def length_is_named(self, length=None, **others) -> bool:
        """Whether somebody said how long the answer may be; else it ends where the model's positions do."""
        return bool(length or self.recipe.decode.max_length)

    def settings(self, length=None, temperature=None, top_k=None, top_p=None) -> dict[str, Any]:
        decode = self.recipe.decode
        return {
            "length": length or decode.max_length or self.recipe.data.max_length,
            "temperature": decode.temperature if temperature is None else temperature,
            "top_k": top_k or decode.top_k,
            "top_p": top_p or decode.top_p,
        }

    def room(self, read) -> float:
        """Tokens that can follow the longest of these prompts before the model's positions end."""
        known = max((len(row["token_ids"]) for row in read), default=0)
        return room_behind(known, self.model.longest)

    def core(self, inputs, length: int, temperature: float, top_k: int | None, top_p: float | None):
        """{"ids": (B, S + length)}: each prompt, what follows it, padding."""
        prompt = inputs["token_ids"]
        drawn = sample(self.model, prompt, inputs["uniforms"], length, temperature, top_k, top_p)
        return {"ids": join(prompt, drawn)}

    def say(self, row, text: str) -> Generation:
        known = len(self.read([text])[0]["token_ids"])
        return Generation.of(text, row["ids"].tolist(), known, self.tokenizer)

    def score(self, split: Split) -> tuple[dict, list[str]]:
        """Loss, perplexity and bits, as `score_language_model` says: no text is generated.

        The split's documents are one stream, with an end mark between two of them, read in windows of
        `data.max_length` tokens that do not overlap; each begins without any memory. Every token of the
        stream is predicted once.
        """
        encoded = encode_split(split, self.tokenizer, self.recipe.task)
        windows = make_batches(self.recipe, encoded, training=False)
        total = count = 0.0
        for i in range(len(windows)):
            batch = windows.batch(i)
            part, labels = self._total_loss({**batch.inputs, "labels": batch.labels})
            total, count = total + float(part), count + float(labels)
        return score_language_model(total, round(count), split.sources), []

    @cached_property
    def _total_loss(self):
        """Sum of the losses of a window's labels and their number, compiled."""
        loss = self.loss_function()

        def total(given):
            inputs = {"token_ids": given["token_ids"]}
            return loss.of(self.model, inputs, given["labels"], training=False)

        return jit(total, self.model.variables, {"token_ids": (2, "int32"), "labels": (2, "int32")})

    def example(self, split: Split) -> str:
        """Of texts with labels: what asks for one."""
        label = split.targets[0]
        return asked(label) if label else ""

    def validate(self, split: Split, loss: float, samples: int) -> tuple[dict[str, float], list[str]]:
        """The perplexity of the loss, and the split's first words or label, continued in several ways."""
        prompt = self.example(split) or split.sources[0][:SAMPLE_PROMPT]
        shown = []
        if samples:
            if self.room(self.read([prompt])) < 1:
                prompt = ""
            length = min(SAMPLE_LENGTH, self.settings()["length"], self.room(self.read([prompt])))
            for found in self.generate([prompt] * samples, length):
                shown.append(f"  {found.prompt}\n    -> {found.continuation}")
        return {"perplexity": perplexity(loss)}, shown
