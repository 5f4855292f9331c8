"""Exported .tflite files without TensorFlow: text in, answer out, within a second of starting.

The file is a model with a zip archive behind it: the interpreter reads a flatbuffer from its beginning, zipfile an
archive from its end, so both read the same file and nothing is ever unpacked. The archive holds

    tokenizer.model   the SentencePiece model
    signature.json    {"task", "kind", "inputs", "outputs", "max_length"}
    labels.json       the names of a classifier's labels, in the order of its outputs
    recipe.yaml       the recipe it was trained with, for people

Needed: numpy, sentencepiece, ai-edge-litert.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from zoo.data.tokenizers import EOS, MODEL_FILE, UNK, Tokenizer
from zoo.errors import UserError

SIGNATURE_FILE, LABELS_FILE = "signature.json", "labels.json"
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
            raise self._error(f"{SIGNATURE_FILE} names no task or max_length that this version knows")
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
        return (self.tokenizer.encode(text) or [UNK])[: self.max_length - 1] + [EOS]

    def _say(self, ids: list[int]) -> str:
        # The interpreter hands out whatever the file computes: a foreign tokenizer shows here first.
        wrong = [i for i in ids if not 0 <= i < self.tokenizer.vocabulary_size]
        if wrong:
            raise self._error(f"answered with id {wrong[0]}, which its tokenizer does not have")
        return self.tokenizer.decode(ids)

    def _parts(self, content: bytes) -> dict[str, bytes]:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return {name: archive.read(name) for name in (MODEL_FILE, *self._described(archive))}
        except KeyError as error:
            raise self._error(str(error.args[0]).replace("in the archive", "in the file")) from None
        except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError, ValueError):
            raise self._error("no tokenizer is appended to it, or the file is damaged") from None
