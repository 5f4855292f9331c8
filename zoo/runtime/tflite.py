"""Exported .tflite files without TensorFlow: text in, answer out, within a second of starting.

The file is a model with a zip archive behind it: the interpreter reads a flatbuffer from its beginning,
zipfile an archive from its end, so both read the same file and nothing is ever unpacked. The archive holds

    tokenizer.model   the SentencePiece model
    signature.json    {"task", "kind", "inputs", "outputs", "max_length", "positions"}
    labels.json       the names of a classifier's labels or a tagger's tags, in the order of its outputs
    recipe.yaml       the recipe it was trained with, for people
    model.sha256      checksum of the model in front of the archive

Needed: numpy, sentencepiece, ai-edge-litert.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

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
from zoo.data.reading import read
from zoo.data.tokenizers import MODEL_FILE, Tokenizer
from zoo.data.words import split_words
from zoo.errors import UserError

SIGNATURE_FILE, LABELS_FILE, CHECKSUM_FILE = "signature.json", "labels.json", "model.sha256"
REQUIRED = (MODEL_FILE, SIGNATURE_FILE, CHECKSUM_FILE)
SIGNATURES = {
    "translation": ({"ids"}, ("ids", "score")),
    "classification": ({"ids"}, ("probabilities",)),
    "tagging": ({"token_ids", "character_ids"}, ("tags",)),
    "language_modeling": ({"token_ids", "uniforms"}, ("ids",)),
    "masked_language_modeling": ({"token_ids", "places", "order"}, ("ids", "probabilities")),
}
"""Task -> inputs and outputs of its files; the first output holds the answer."""
REMEDY = "export it again with `zoo export`"

Answer = Translation | Classification | Tagging | Generation | Filling


class TFLiteModel:
    """An exported model with its tokenizer.

    Args:
        content: the whole file.
        origin: its name in error messages.
    """

    def __init__(self, content: bytes, origin: str):
        self._origin = origin
        parts = self._parts(content)
        self.tokenizer = Tokenizer.from_bytes(parts[MODEL_FILE], origin=f"{origin}: {MODEL_FILE}")
        self.signature = self._json(parts, SIGNATURE_FILE, dict)
        self.task, self.max_length = self.signature.get("task"), self.signature.get("max_length")
        if self.task not in SIGNATURES or type(self.max_length) is not int or self.max_length < 2:
            raise self._error(f"{SIGNATURE_FILE} names no task and max_length that this version knows")
        named = self.task in ("classification", "tagging")
        self.labels = self._json(parts, LABELS_FILE, list) if named else None
        self._run = self._runner(content)

    def answer(self, text: str) -> Answer:
        """The answer to one text; `str` of it is what one reads."""
        return self._answer(text)

    def answers(self, texts: Sequence[str]) -> list[Answer]:
        """The answer to each text; of a language model, its continuation."""
        return [self._answer(text, number) for number, text in enumerate(texts)]

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
        return [self._answer(prompt, number, seed, max_length) for number, prompt in enumerate(prompts)]

    def _expect(self, task: str) -> None:
        if self.task != task:
            raise UserError(f"{self._origin}: made for {self.task}, not for {task}")

    @property
    def _longest(self) -> int:
        """Of a language model: the tokens that it adds at most."""
        return int(self._inputs["uniforms"]["shape"][1])

    def _answer(self, text: str, number: int = 0, seed: int = 0, max_length: int | None = None) -> Answer:
        inputs = read(self.task, self.tokenizer, text, self.max_length)
        known = len(inputs["token_ids"])
        if "uniforms" in self._inputs:
            longest = self.signature.get("positions")
            room = room_behind(known, longest)
            if self._longest > room:
                raise UserError(
                    f"{self._origin}: {too_long(self._longest, room, longest)}; {REMEDY} and --max-length"
                )
            inputs["uniforms"] = uniforms_of(number, self._longest, seed)
        if "ids" in self._inputs:
            inputs = {"ids": inputs["token_ids"]}
        outputs = self._run(**{name: np.expand_dims(value, 0) for name, value in inputs.items()})
        output = outputs[SIGNATURES[self.task][1][0]][0]
        if self.task == "classification":
            if len(output) != len(self.labels):
                raise self._error(f"{len(output)} probabilities but {len(self.labels)} labels")
            return Classification.of(output, self.labels)
        if self.task == "tagging":
            self._check(output[output != NO_TAG], len(self.labels), "its labels do not have")
            return Tagging.of(split_words(text), output.tolist(), self.labels)
        self._check(output, self.tokenizer.vocabulary_size, "its tokenizer does not have")
        if self.task == "masked_language_modeling":
            hidden = int(inputs["order"].sum())
            found = (outputs[name][0][:hidden, None] for name in ("ids", "probabilities"))
            return Filling.of(text, *found, self.tokenizer)
        if self.task == "translation":
            return Translation(self.tokenizer.decode(output.tolist()), float(outputs["score"][0]))
        ids = output.tolist()[: None if max_length is None else known + max_length]
        return Generation.of(text, ids, known, self.tokenizer)

    def _check(self, ids: np.ndarray, count: int, otherwise: str) -> None:
        """The interpreter hands out whatever the file computes: a foreign tokenizer shows here first."""
        wrong = ids[(ids < 0) | (ids >= count)]
        if len(wrong):
            raise self._error(f"answered with id {wrong[0]}, which {otherwise}")

    def _parts(self, content: bytes) -> dict[str, bytes]:
        """The appended files, after proving that model and files are as they were written."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                end = min(entry.header_offset for entry in archive.infolist())
                parts = {
                    name: archive.read(name) for name in {*REQUIRED, LABELS_FILE} & {*archive.namelist()}
                }
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError):
            raise self._error("no tokenizer is appended to it, or the file is damaged") from None
        for name in REQUIRED:
            if name not in parts:
                raise self._error(f"{name} is missing in it")
        # A damaged flatbuffer may end the process instead of raising: it is not given to the interpreter.
        if hashlib.sha256(content[:end]).hexdigest() != parts[CHECKSUM_FILE].decode("ascii", "replace"):
            raise self._error("the model in it is damaged")
        return parts

    def _json(self, parts: dict[str, bytes], name: str, kind: type) -> Any:
        try:
            value = json.loads(parts[name])
        except (KeyError, ValueError):
            raise self._error(f"{name} is missing or damaged in it") from None
        if not isinstance(value, kind):
            raise self._error(f"{name} is damaged in it")
        return value

    def _runner(self, content: bytes):
        try:
            with _without_notes():
                interpreter = Interpreter(model_content=content)
                interpreter.allocate_tensors()
                runner = interpreter.get_signature_runner()
            self._inputs, outputs = runner.get_input_details(), set(runner.get_output_details())
        except (ValueError, RuntimeError) as error:
            raise self._error(f"the interpreter refuses it ({str(error).splitlines()[0]})") from None
        wanted, answers = SIGNATURES[self.task]
        if set(self._inputs) != wanted or not outputs.issuperset(answers):
            raise self._error(f"its signature is {sorted(self._inputs)} -> {sorted(outputs)}")
        return runner

    def _error(self, what: str) -> UserError:
        return UserError(f"{self._origin}: {what}; {REMEDY}")


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """The interpreter writes which delegate it made to file descriptor 2, and no setting stops it.

    What it has to complain about comes as an exception.
    """
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def load(path: str | Path) -> TFLiteModel:
    """Read an exported file; raises UserError where a part is missing or damaged."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return TFLiteModel(content, str(path))


def append(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Append files to a .tflite, with a checksum of the model; equal contents make equal files."""
    if zipfile.is_zipfile(path):
        raise ValueError(f"{path} has an archive already")
    checksum = hashlib.sha256(Path(path).read_bytes()).hexdigest().encode()
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in {**files, CHECKSUM_FILE: checksum}.items():
            # A ZipInfo made by hand is dated 1980, not now.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
