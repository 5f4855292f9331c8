"""A text in, what comes next out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import keras
import numpy as np

from zoo.answers import Generation, room_behind, too_long, uniforms_of
from zoo.compile import jit, jit_any
from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.labels import asked
from zoo.data.pipeline import make_batches
from zoo.data.windows import NextToken
from zoo.decoding.loop import begin, decode, more, step
from zoo.decoding.settings import Decoding
from zoo.metrics import perplexity, score_language_model
from zoo.tasks.base import refuse_one
from zoo.tasks.writer import Writer

SAMPLE_PROMPT, SAMPLE_LENGTH = 40, 100
"""Characters of the text that is continued at a validation, and tokens of what follows."""
AT_ONCE = 512
"""Tokens that are read at once where the state goes on behind them; their number changes no figure."""


class Generator(Writer):
    """A text in, what comes next out.

    Example: `zoo.load("runs/language_modeling/shakespeare-en-lstm-tiny").generate(["ROMEO:"], top_p=0.9)`
    """

    called = "a language model"
    generates = draws = True

    def generate(
        self, prompts: Sequence[str], max_length: int | None = None, *, seed: int = 0, **options
    ) -> list[Generation]:
        """Continues each prompt; options are keys of the recipe's `decode` section, which says the rest.

        Args:
            prompts: texts; an empty one asks for a text from its beginning.
            max_length: tokens that are added at most.
            seed: with the number of the prompt it decides what is drawn.
            options: temperature=0.8, top_k=40, sample=False, beams=4, ...
        """
        refuse_one(prompts)
        settings, rows = self._asked(prompts, seed, {**options, "max_length": max_length})
        found = self.compute(rows, settings)
        return [self.say(row, prompt) for row, prompt in zip(found, prompts, strict=True)]

    def answer(self, texts: Sequence[str], seed: int = 0, **options) -> list[Generation]:
        return self.generate(texts, seed=seed, **options)

    def stream(self, prompt: str, *, seed: int = 0, number: int = 0, **options) -> Iterator[str]:
        """What `generate` says after the prompt of this number, piece by piece as it comes; options as there.

        A piece is given as soon as no further token can change it: not half of a character.
        """
        settings, (row,) = self._asked([prompt], seed, options, number)
        how = Decoding(**settings)
        if how.hypotheses > 1:
            raise ValueError("several beams cannot be streamed: which is the best is known at the end")
        begun, stepped = self._stepwise(settings)
        given, state = begun(self.batch([row]))
        known, said = len(row["token_ids"]), ""
        while bool(more(state)):
            state = stepped(given, state)
            done, position = bool(state["done"][0, 0]), int(state["position"])
            if position < known:
                continue
            ids = keras.ops.convert_to_numpy(state["text"])[0, 0, : position + 1].tolist()
            text = Generation.of(prompt, ids, known, self.tokenizer).continuation
            whole = text if done else text.rstrip("\ufffd\u2047 ")
            if whole.startswith(said) and len(whole) > len(said):
                yield whole[len(said) :]
                said = whole

    def _stepwise(self, settings):
        """The first and every further step of the decoder, compiled."""
        key = ("steps", *settings.items(), self.xla)
        if key not in self._functions:
            how = Decoding(**settings)
            self._functions[key] = (
                jit_any(
                    lambda given: begin(self.model, given["token_ids"], how, given.get("uniforms")),
                    self.model.variables,
                    self.xla,
                ),
                jit_any(
                    lambda given, state: step(self.model, how, given, state), self.model.variables, self.xla
                ),
            )
        return self._functions[key]

    def _asked(self, prompts, seed: int, options, first: int = 0):
        """Settings, and the rows that go into `core`."""
        read = [dict(row) for row in self.read(prompts)]
        settings = self.settings(**options)
        if settings["length"] > self.room(read):
            named = options.get("max_length") or options.get("length")
            if self.length_is_named(named) or self.room(read) < 1:
                raise too_long(settings["length"], self.room(read), self.model.longest)
            settings["length"] = self.room(read)
        if settings["sample"]:
            for number, row in enumerate(read, first):
                row["uniforms"] = uniforms_of(number, settings["length"], seed)
        return settings, read

    def length_is_named(self, length=None) -> bool:
        """Whether somebody said how long the answer may be; else it ends where the model's positions do."""
        return bool(length or self.recipe.decode.max_length)

    def room(self, read) -> float:
        """Tokens that can follow the longest of these prompts before the model's positions end."""
        known = max((len(row["token_ids"]) for row in read), default=0)
        return room_behind(known, self.model.longest)

    def core(self, inputs, **settings):
        """{"ids": (B, S + length), "score": (B,)}: each prompt, what follows it, padding; its log-probability."""
        text, score = decode(self.model, inputs["token_ids"], Decoding(**settings), inputs.get("uniforms"))
        return {"ids": text[:, 0], "score": score[:, 0]}

    def say(self, row, text: str) -> Generation:
        known = len(self.read([text])[0]["token_ids"])
        return Generation.of(text, row["ids"].tolist(), known, self.tokenizer)

    @property
    def carries_state(self) -> bool:
        """Whether the model has a state that goes on from one window to the next."""
        return self.model.carries_state

    def score(self, split: Split, carry_state: bool = False) -> tuple[dict, list[str]]:
        """Loss, perplexity and bits, as `score_language_model` says: no text is generated.

        The split's documents are one stream, with an end mark between two of them, read in windows of
        `data.max_length` tokens that do not overlap; each begins without any memory. Every token of the
        stream is predicted once.

        Args:
            carry_state: give the same figures also as `carried_...`: each window begins with the state in which
                the one before it ended, so that every token is predicted from all that stands before it.
        """
        encoded = encode_split(split, self.tokenizer, self.recipe.task)
        windows = make_batches(self.recipe, encoded, training=False)
        total = count = 0.0
        for i in range(len(windows)):
            batch = windows.batch(i)
            part, labels = self._total_loss({**batch.inputs, "labels": batch.labels})
            total, count = total + float(part), count + float(labels)
        figures = score_language_model(total, round(count), split.sources)
        if carry_state:
            carried = score_language_model(
                self._carried_loss(encoded.sources.ids), round(count), split.sources
            )
            figures |= {f"carried_{name}": value for name, value in carried.items() if name != "tokens"}
        return figures, []

    def _carried_loss(self, stream) -> float:
        """Sum of the losses of all tokens of a stream that is read from its beginning to its end, in one row: in
        several at once only the first would know what stands before it."""
        loss, model, windows, total = self.loss_function(), self.model, NextToken(stream, AT_ONCE), 0.0

        def read(token_ids, labels, states):
            x, states = model.carry(token_ids, states)
            return loss.total(labels, model.logits(x), smoothing=False)[0], states

        read = jit_any(read, model.variables)
        states = model.init_cache(model.encode(np.zeros((1, 1), "int32")), 1)
        for start in range(0, len(stream) - 1, AT_ONCE):
            batch = windows.batch(np.array([start]), rows=1, epoch=0)
            part, states = read(batch.inputs["token_ids"], batch.labels, states)
            total += float(part)
        return total

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
            for found in self.generate([prompt] * samples, max_length=length):
                shown.append(f"  {found.prompt}\n    -> {found.continuation}")
        return {"perplexity": perplexity(loss)}, shown
