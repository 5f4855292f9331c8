"""Answers, and how they come about from what a model computed: the same in Python and behind exported files.

What they repeat of a question is text (zoo/text.py), whatever came in.
No Keras: the runtime without TensorFlow says its answers here too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.data.reading import filled
from zoo.data.tokenizers import Tokenizer
from zoo.errors import UserError
from zoo.text import valid


@dataclass(frozen=True)
class Translation:
    """One answer; `score` is its log-probability, normalised by its length as the decoder was told."""

    text: str
    score: float
    source_tokens: tuple[str, ...] = ()
    """Where alignments were asked for: what the source was cut into, the end mark last,"""
    tokens: tuple[str, ...] = ()
    """what the answer consists of,"""
    alignment: np.ndarray | None = None
    """and how much each of these (T) looked at each of those (S): (T, S), rows sum to 1."""

    def __str__(self) -> str:
        return self.text

    def record(self) -> dict[str, Any]:
        """The answer as plain data."""
        record = {"answer": self.text, "score": self.score}
        if self.alignment is not None:
            record |= {"source_tokens": list(self.source_tokens), "tokens": list(self.tokens)}
            record["alignment"] = [[round(float(x), 4) for x in row] for row in self.alignment]
        return record


@dataclass(frozen=True)
class Classification:
    """The most probable label, and the probability of every label."""

    label: str
    probability: float
    probabilities: dict[str, float]

    def __str__(self) -> str:
        return self.label

    def record(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {"answer": self.label, "probability": self.probability, "probabilities": self.probabilities}

    @classmethod
    def of(cls, probabilities: np.ndarray, labels: Sequence[str]) -> Classification:
        """From the probabilities (C,) in the order of the labels."""
        best = int(probabilities.argmax())
        named = dict(zip(labels, map(float, probabilities), strict=True))
        return cls(labels[best], float(probabilities[best]), named)


NO_TAG = -1
"""What stands where no word begins: at the other pieces of a word, and at padding."""


@dataclass(frozen=True)
class Tagging:
    """Words and the tag of each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self.words, self.tags, strict=True)

    def __str__(self) -> str:
        return " ".join(f"{word}/{tag}" for word, tag in self)

    def record(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {"answer": str(self), "words": list(self.words), "tags": list(self.tags)}

    @classmethod
    def of(cls, words: Sequence[str], tags: Sequence[int], labels: Sequence[str]) -> Tagging:
        """From the numbers of the tags, one at each word's first piece; those behind the last word are padding."""
        told = [labels[tag] for tag in tags if tag != NO_TAG]
        return cls(tuple(map(valid, words)), tuple(told[: len(words)]))


@dataclass(frozen=True)
class Filling:
    """A text with its hidden tokens written out, and for each of them the candidates with their probabilities."""

    text: str
    candidates: tuple[tuple[tuple[str, float], ...], ...]
    """Of each [MASK], best first: what it would be in the text, without its blank, and how probable that is."""

    def __str__(self) -> str:
        return self.text

    def record(self) -> dict[str, Any]:
        """The answer as plain data."""
        named = [[{"token": token, "probability": p} for token, p in each] for each in self.candidates]
        return {"answer": self.text, "masks": named}

    @classmethod
    def of(cls, text: str, ids: np.ndarray, probabilities: np.ndarray, tokenizer: Tokenizer) -> Filling:
        """From the candidates of the first hidden tokens, (K, n) both."""
        surfaces = tokenizer.surfaces
        best = [surfaces[row[0]] for row in ids.tolist()]
        named = (
            tuple((surfaces[i].strip() or surfaces[i], p) for i, p in zip(*both, strict=True))
            for both in zip(ids.tolist(), probabilities.tolist(), strict=True)
        )
        return cls(filled(valid(text), best), tuple(named))


@dataclass(frozen=True)
class Generation:
    """A prompt, what follows it, and both together as `text`."""

    prompt: str
    continuation: str

    @property
    def text(self) -> str:
        return self.prompt + self.continuation

    def __str__(self) -> str:
        return self.text

    def record(self) -> dict[str, Any]:
        """The answer as plain data."""
        return {"prompt": self.prompt, "continuation": self.continuation, "text": self.text}

    @classmethod
    def of(cls, prompt: str, ids: Sequence[int], known: int, tokenizer: Tokenizer) -> Generation:
        """From the ids of prompt and continuation, of which the first `known` are the prompt's.

        The prompt stays as it was written, even where the tokenizer cannot write it.
        """
        prompt = valid(prompt)
        whole = tokenizer.decode(ids)
        for beginning in (prompt, tokenizer.decode(ids[:known])):
            if whole.startswith(beginning):
                return cls(prompt, whole[len(beginning) :])
        return cls(prompt, tokenizer.decode(ids[known:]))


def room_behind(known: int, longest: int | None) -> float:
    """Tokens that can follow `known` ones in a model of `longest` positions; the last one is not read again."""
    return math.inf if longest is None else longest - known + 1


def too_long(length: int, room: float, longest: int) -> UserError:
    """What is said where a prompt and what should follow it pass the positions that a model has learnt."""
    remedy = f"shorten it, or ask for {room} at most" if room > 0 else "shorten it"
    return UserError(
        f"{length} tokens behind this prompt would pass the {longest} positions that the model has learnt: {remedy}"
    )


def uniforms(count: int, length: int, seed: int) -> np.ndarray:
    """The numbers that decide what is drawn: (count, length) in [0, 1), those of a prompt by its number."""
    rows = [uniforms_of(i, length, seed) for i in range(count)]
    return np.array(rows, "float32").reshape(count, length)


def uniforms_of(number: int, length: int, seed: int) -> np.ndarray:
    """Those of one prompt: (length,)."""
    return np.random.default_rng([seed, number]).random(length, "float32")
