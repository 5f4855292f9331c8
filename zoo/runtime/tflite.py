"""A .tflite file: a model with a zip archive behind it.

The interpreter reads a flatbuffer from its beginning, zipfile an archive from its end, so both read the same file
and nothing is ever unpacked. The archive holds

    tokenizer.model   the SentencePiece model
    signature.json    {"task", "kind", "inputs", "outputs", "max_length", "positions"}
    labels.json       the names of a classifier's labels or a tagger's tags, in the order of its outputs
    recipe.yaml       the recipe it was trained with, for people
    model.sha256      checksum of the model in front of the archive

Needed beside numpy and sentencepiece: ai-edge-litert.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from zoo.runtime.model import LABELS_FILE, PARTS, ExportedModel, Refused, broken, content_of

CHECKSUM_FILE = "model.sha256"
LARGEST = 2**27
"""Bytes of an appended file; a vocabulary of a million pieces has a fourth of that."""


def load(path: str | Path) -> ExportedModel:
    """Reads an exported file; raises UserError where a part is missing or damaged."""
    content, origin = content_of(Path(path)), str(path)
    return ExportedModel(origin, parts_of(content, origin), lambda: LiteRT(content))


class LiteRT:
    """The interpreter of LiteRT, which is TensorFlow Lite's new name.

    An interpreter whose memory has to grow answers wrongly now and then, also at its very first call (ai-edge-litert
    2.3, by its delegate XNNPACK): whatever is longer than all before it gets a new one, and is answered twice.
    """

    def __init__(self, content: bytes):
        self._content, self._largest = content, {}
        self._start()
        self.inputs = {
            name: [int(size) if size >= 0 else None for size in details["shape_signature"]]
            for name, details in self._runner.get_input_details().items()
        }
        self.outputs = list(self._runner.get_output_details())

    def __call__(self, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        if any(array.shape[1] > self._largest.get(name, 0) for name, array in arrays.items()):
            if self._largest:
                self._start()
            self._largest = {
                name: max(array.shape[1], self._largest.get(name, 0)) for name, array in arrays.items()
            }
            self._runner(**arrays)
        return self._runner(**arrays)

    def _start(self) -> None:
        try:
            with _without_notes():
                self._interpreter = Interpreter(model_content=self._content)
                self._interpreter.allocate_tensors()
                self._runner = self._interpreter.get_signature_runner("serving_default")
        except (ValueError, RuntimeError) as error:
            raise Refused(f"the interpreter refuses it ({str(error).splitlines()[0]})") from None


def parts_of(content: bytes, origin: str) -> dict[str, bytes]:
    """The appended files, after proving that model and files are as they were written."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            end = min(entry.header_offset for entry in archive.infolist())
            wanted = {*PARTS, LABELS_FILE, CHECKSUM_FILE} & {*archive.namelist()}
            parts = {name: unpacked(archive, name) for name in wanted}
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, RuntimeError):
        raise broken(origin, "no tokenizer is appended to it, or the file is damaged") from None
    if CHECKSUM_FILE not in parts:
        raise broken(origin, f"{CHECKSUM_FILE} is missing in it")
    # A damaged flatbuffer may end the process instead of raising: it is not given to the interpreter.
    if hashlib.sha256(content[:end]).hexdigest() != parts[CHECKSUM_FILE].decode("ascii", "replace"):
        raise broken(origin, "the model in it is damaged")
    return parts


def unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of the archive; zipfile never gives more of it than it says to be long."""
    entry = archive.getinfo(name)
    if entry.file_size > LARGEST or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is none of ours")
    return archive.read(entry)


def append(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Appends files to a .tflite, with a checksum of the model; equal contents make equal files."""
    if zipfile.is_zipfile(path):
        raise ValueError(f"{path} has an archive already")
    checksum = hashlib.sha256(Path(path).read_bytes()).hexdigest().encode()
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in {**files, CHECKSUM_FILE: checksum}.items():
            # A ZipInfo made by hand is dated 1980, not now.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


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
