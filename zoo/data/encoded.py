"""Texts as ids: encoded once, kept as memory-mapped arrays, found again by what they were made of."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.cache import cache_dir
from zoo.data.datasets import Split
from zoo.data.tokenizers import Tokenizer
from zoo.errors import UserError


@dataclass(frozen=True)
class Rows:
    """Rows of different lengths in one flat array: row i is ids[offsets[i]:offsets[i + 1]]."""

    ids: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Encoded:
    """One split: ids of the sources, and ids of the targets or one number of a label a row."""

    sources: Rows
    targets: Rows

    def __len__(self) -> int:
        return len(self.sources)


def encode_split(
    split: Split, tokenizer: Tokenizer, labels: Sequence[str] | None, cache: bool = True
) -> Encoded:
    """Encodes a split, or finds it in the cache under the hash of texts, tokenizer and labels."""
    key = hashlib.sha256("\n".join((tokenizer.fingerprint, fingerprint(split), repr(labels))).encode())
    folder = cache_dir("ids") / key.hexdigest()[:32]
    if cache and folder.is_dir():
        try:
            return _open(folder)
        except (OSError, ValueError, EOFError):  # damaged, by a full disk for instance: made again
            shutil.rmtree(folder, ignore_errors=True)
    sources = _rows([ids or [tokenizer.unk_id] for ids in tokenizer.encode_batch(split.sources)])
    if labels is None:
        targets = _rows(tokenizer.encode_batch(split.targets))
    else:
        number = {label: i for i, label in enumerate(labels)}
        targets = _rows([[number[label]] for label in split.targets])
    encoded = Encoded(sources, targets)
    if not cache:
        return encoded
    _save(encoded, folder)
    return _open(folder)


def fingerprint(split: Split) -> str:
    """A hash of all texts of a split."""
    digest = hashlib.sha256()
    for texts in (split.sources, split.targets):
        for text in texts:
            digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _rows(lists: Sequence[Sequence[int]]) -> Rows:
    offsets = np.zeros(len(lists) + 1, "int64")
    np.cumsum([len(ids) for ids in lists], out=offsets[1:])
    flat = np.fromiter((i for ids in lists for i in ids), "int32", count=int(offsets[-1]))
    return Rows(flat, offsets)


def _save(encoded: Encoded, folder: Path) -> None:
    """Written beside and renamed, so that another process sees all or nothing."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder.parent))
        for side in ("sources", "targets"):
            for part in ("ids", "offsets"):
                np.save(beside / f"{side}.{part}.npy", getattr(getattr(encoded, side), part))
    except OSError as error:
        raise UserError(
            f"cannot write the cache {folder.parent}: {error.strerror}; set ZOO_CACHE to a folder of yours"
        ) from error
    try:
        os.rename(beside, folder)
    except OSError:  # another process was faster
        shutil.rmtree(beside)


def _open(folder: Path) -> Encoded:
    def rows(side):
        ids = folder / f"{side}.ids.npy"
        # An empty file cannot be mapped.
        array = np.load(ids, mmap_mode="r") if ids.stat().st_size > 128 else np.load(ids)
        return Rows(array, np.load(folder / f"{side}.offsets.npy"))

    return Encoded(rows("sources"), rows("targets"))
