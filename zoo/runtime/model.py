"""An exported model with its tokenizer: reads texts, asks the engine, says the answers. The same for every engine.

Needed: numpy and sentencepiece. The engines are in the files beside this one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from zoo.answers import (
    NO_TAG,
    Classification,
    Filling,
    Generation,
    Tagging,
    Translation,
    room_behind,
    too_long,
    uniforms_of,
)
from zoo.data.reading import AT_ONCE, Inputs, pad, read, similar
from zoo.data.tokenizers import MODEL_FILE, Tokenizer
from zoo.data.words import split_words
from zoo.errors import UserError

SIGNATURE_FILE, LABELS_FILE = "signature.json", "labels.json"
PARTS = (MODEL_FILE, SIGNATURE_FILE)
"""What stands beside every model; labels only where a task has some."""
SIGNATURES = {
    "translation": ({"token_ids"}, ("ids", "score")),
    "classification": ({"token_ids"}, ("probabilities",)),
    "tagging": ({"token_ids", "character_ids"}, ("tags",)),
    "language_modeling": ({"token_ids"}, ("ids",)),
    "masked_language_modeling": ({"token_ids", "places", "order"}, ("ids", "probabilities")),
}
"""Task -> inputs and outputs of its models; the first output holds the answer. What draws has `uniforms` too."""
REMEDY = "export it again with `zoo export`"
BATCH = 32
"""Texts computed at once, where a model takes any number."""

Answer = Translation | Classification | Tagging | Generation | Filling


class Engine(Protocol):
    """What computes: arrays by name in, arrays by name out."""

    inputs: Mapping[str, Sequence[int | None]]
    """Name -> shape, batch first; None where any size will do."""
    outputs: Iterable[str]

    def __call__(self, **arrays: np.ndarray) -> Mapping[str, np.ndarray]: ...


class Refused(Exception):
    """An engine does not take a model: who, and why."""


class ExportedModel:
    """An exported model with its tokenizer.

    Args:
        origin: its name in error messages.
        parts: file name -> content of what stands beside the model.
        start: makes the engine; raises `Refused`.
    """

    def __init__(self, origin: str, parts: Mapping[str, bytes], start: Callable[[], Engine]):
        self._origin = origin
        for name in PARTS:
            if name not in parts:
                raise self._error(f"{name} is missing in it")
        self.tokenizer = Tokenizer.from_bytes(parts[MODEL_FILE], origin=f"{origin}: {MODEL_FILE}")
        self.signature = self._json(parts, SIGNATURE_FILE, dict)
        self.task, self.max_length = self.signature.get("task"), self.signature.get("max_length")
        positions = self.signature.get("positions")
        known = isinstance(self.task, str) and self.task in SIGNATURES and type(self.max_length) is int
        if not known or self.max_length < 2 or type(positions) not in (int, type(None)):
            raise self._error(f"{SIGNATURE_FILE} names no task and max_length that this version knows")
        named = self.task in ("classification", "tagging")
        self.labels = self._json(parts, LABELS_FILE, list) if named else None
        try:
            self._engine = start()
        except Refused as error:
            raise self._error(str(error)) from None
        # Where no ids come out, those that go in may be called just that.
        self._names = {"token_ids": "ids" if "ids" in self._engine.inputs else "token_ids"}
        wanted, answers = SIGNATURES[self.task]
        inputs, outputs = set(self._engine.inputs), set(self._engine.outputs)
        self.draws = self.task == "language_modeling" and "uniforms" in inputs
        wanted = wanted | {"uniforms"} if self.draws else wanted
        if inputs != {self._names.get(name, name) for name in wanted} or not outputs.issuperset(answers):
            raise self._error(f"its signature is {sorted(inputs)} -> {sorted(outputs)}")
        self._longest = self._adds() if self.task == "language_modeling" else 0

    def answer(self, text: str) -> Answer:
        """The answer to one text; `str` of it is what one reads."""
        return self.answers([text])[0]

    def answers(self, texts: Sequence[str]) -> list[Answer]:
        """The answer to each text; of a language model, its continuation."""
        return self._answers(texts)

    def translate(self, texts: Sequence[str]) -> list[str]:
        self._expect("translation")
        return [answer.text for answer in self.answers(texts)]

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        self._expect("classification")
        return self.answers(texts)

    def tag(self, texts: Sequence[str]) -> list[list[tuple[str, str]]]:
        """The words of each text, which stand between blanks, with their tags."""
        self._expect("tagging")
        return [list(answer) for answer in self.answers(texts)]

    def fill(self, texts: Sequence[str]) -> list[Filling]:
        """Each text with a token for each [MASK]."""
        self._expect("masked_language_modeling")
        return self.answers(texts)

    def generate(
        self, prompts: Sequence[str], max_length: int | None = None, seed: int = 0
    ) -> list[Generation]:
        """Continues each prompt by at most so many tokens; the seed and its number decide what is drawn."""
        self._expect("language_modeling")
        if max_length is not None and max_length > self._longest:
            raise UserError(
                f"{self._origin}: made for at most {self._longest} new tokens, not {max_length}; "
                "export it again with a larger --max-length"
            )
        return self._answers(prompts, seed, max_length)

    def _expect(self, task: str) -> None:
        if self.task != task:
            raise UserError(f"{self._origin}: made for {self.task}, not for {task}")

    def _adds(self) -> int:
        """Of a language model: the tokens that it adds at most."""
        given = self._engine.inputs["uniforms"][1:] if self.draws else [self.signature.get("adds")]
        if not given or type(given[0]) is not int or given[0] < 1:
            raise self._error("it does not say how many tokens it adds")
        return given[0]

    def _answers(self, texts: Sequence[str], seed: int = 0, max_length: int | None = None) -> list[Answer]:
        if isinstance(texts, str):  # a text is a sequence of texts too, and none that anybody means
            raise TypeError("texts must be a list of texts, not one text")
        rows = [self._read(text, number, seed) for number, text in enumerate(texts)]
        found = self._compute(rows)
        return [
            self._say(text, row, outputs, max_length)
            for text, row, outputs in zip(texts, rows, found, strict=True)
        ]

    def _read(self, text: str, number: int, seed: int) -> Inputs:
        inputs = read(self.task, self.tokenizer, text, self.max_length)
        if self.task == "language_modeling":
            longest = self.signature.get("positions")
            room = room_behind(len(inputs["token_ids"]), longest)
            if self._longest > room:
                raise UserError(
                    f"{self._origin}: {too_long(self._longest, room, longest)}; {REMEDY} and --max-length"
                )
            if self.draws:
                inputs["uniforms"] = uniforms_of(number, self._longest, seed)
        return inputs

    def _compute(self, rows: Sequence[Inputs]) -> list[dict[str, np.ndarray]]:
        """What the engine makes of each row, asked in batches of similar length, the longest first: whatever an
        engine makes room for, it does so once."""
        fixed = self._engine.inputs[self._names["token_ids"]][0]
        lengths = [len(row["token_ids"]) for row in rows]
        found: list = [None] * len(rows)
        for part in reversed([*similar(lengths, fixed or BATCH, None if fixed else AT_ONCE)]):
            # A model of a fixed batch is given rows again until it is full.
            asked = [rows[i] for i in part] + [rows[part[-1]]] * (fixed - len(part) if fixed else 0)
            batch = pad([{name: row[name] for name in row if name != "uniforms"} for row in asked])
            if "uniforms" in asked[0]:
                batch["uniforms"] = np.stack([row["uniforms"] for row in asked])
            outputs = self._engine(**{self._names.get(name, name): array for name, array in batch.items()})
            for place, i in enumerate(part):
                found[i] = {name: array[place] for name, array in outputs.items()}
        return found

    def _say(self, text: str, row: Inputs, outputs: dict[str, np.ndarray], max_length: int | None) -> Answer:
        output = outputs[SIGNATURES[self.task][1][0]]
        if self.task == "classification":
            if len(output) != len(self.labels):
                raise self._error(f"{len(output)} probabilities but {len(self.labels)} labels")
            return Classification.of(output, self.labels)
        if self.task == "tagging":
            self._check(output[output != NO_TAG], len(self.labels), "its labels do not have")
            return Tagging.of(split_words(text), output.tolist(), self.labels)
        self._check(output, self.tokenizer.vocabulary_size, "its tokenizer does not have")
        if self.task == "masked_language_modeling":
            hidden = int(row["order"].sum())
            found = (outputs[name][:hidden, None] for name in ("ids", "probabilities"))
            return Filling.of(text, *found, self.tokenizer)
        if self.task == "translation":
            return Translation(self.tokenizer.decode(output.tolist()), float(outputs["score"]))
        known = len(row["token_ids"])
        ids = output.tolist()[: None if max_length is None else known + max_length]
        return Generation.of(text, ids, known, self.tokenizer)

    def _check(self, ids: np.ndarray, count: int, otherwise: str) -> None:
        """An engine hands out whatever the model computes: a foreign tokenizer shows here first."""
        wrong = ids[(ids < 0) | (ids >= count)]
        if len(wrong):
            raise self._error(f"answered with id {wrong[0]}, which {otherwise}")

    def _json(self, parts: Mapping[str, bytes], name: str, kind: type) -> Any:
        try:
            value = json.loads(parts[name])
        except (KeyError, ValueError, RecursionError):
            raise self._error(f"{name} is missing or damaged in it") from None
        if not isinstance(value, kind) or (kind is list and not all(isinstance(x, str) for x in value)):
            raise self._error(f"{name} is damaged in it")
        return value

    def _error(self, what: str) -> UserError:
        return broken(self._origin, what)


def broken(origin: str, what: str) -> UserError:
    """What is wrong with a model, and the way out."""
    return UserError(f"{origin}: {what}; {REMEDY}")


def content_of(path: Path) -> bytes:
    """The bytes of a file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
