"""Exported .tflite files without TensorFlow: text in, answer out, within a second of starting.

The file is a model with a zip archive behind it: the interpreter reads a flatbuffer from its beginning,
zipfile an archive from its end, so both read the same file and nothing is ever unpacked. The archive holds

    tokenizer.model   the SentencePiece model
    signature.json    {"task", "kind", "inputs", "outputs", "max_length"}
    labels.json       the names of a classifier's labels, in the order of its outputs
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from zoo.data.tokenizers import EOS, MODEL_FILE, UNK, Tokenizer
from zoo.errors import UserError

SIGNATURE_FILE, LABELS_FILE, CHECKSUM_FILE = "signature.json", "labels.json", "model.sha256"
REQUIRED = (MODEL_FILE, SIGNATURE_FILE, CHECKSUM_FILE)
OUTPUTS = {"translation": "ids", "classification": "probabilities"}
REMEDY = "export it again with `zoo export`"


@dataclass(frozen=True)
class Classification:
    """The most probable label, and the probability of every label."""

    label: str
    probability: float
    probabilities: dict[str, float]


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
        if self.task not in OUTPUTS or type(self.max_length) is not int or self.max_length < 2:
            raise self._error(f"{SIGNATURE_FILE} names no task and max_length that this version knows")
        self.labels = self._json(parts, LABELS_FILE, list) if self.task == "classification" else None
        self._run = self._runner(content)

    def answer(self, text: str) -> str | Classification:
        """The answer to one text: a translation, or a `Classification`."""
        output = self._run(ids=np.array([self._ids(text)], "int32"))[OUTPUTS[self.task]][0]
        if self.labels is None:
            return self._say(output.tolist())
        if len(output) != len(self.labels):
            raise self._error(f"{len(output)} probabilities but {len(self.labels)} labels")
        best = int(np.argmax(output))
        probabilities = dict(zip(self.labels, map(float, output), strict=True))
        return Classification(self.labels[best], float(output[best]), probabilities)

    def translate(self, texts: Sequence[str]) -> list[str]:
        return self._answers(texts, "translation")

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        return self._answers(texts, "classification")

    def _answers(self, texts: Sequence[str], task: str) -> list:
        if self.task != task:
            raise UserError(f"{self._origin}: made for {self.task}, not for {task}")
        return [self.answer(text) for text in texts]

    def _ids(self, text: str) -> list[int]:
        """As in training: one <unk> for an empty text, cut to max_length - 1, then the end mark."""
        return [*(self.tokenizer.encode(text) or [UNK])[: self.max_length - 1], EOS]

    def _say(self, ids: list[int]) -> str:
        # The interpreter hands out whatever the file computes: a foreign tokenizer shows here first.
        wrong = [i for i in ids if not 0 <= i < self.tokenizer.vocabulary_size]
        if wrong:
            raise self._error(f"answered with id {wrong[0]}, which its tokenizer does not have")
        return self.tokenizer.decode(ids)

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
            inputs, outputs = set(runner.get_input_details()), set(runner.get_output_details())
        except (ValueError, RuntimeError) as error:
            raise self._error(f"the interpreter refuses it ({str(error).splitlines()[0]})") from None
        if inputs != {"ids"} or OUTPUTS[self.task] not in outputs:
            raise self._error(f"its signature is {sorted(inputs)} -> {sorted(outputs)}")
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
