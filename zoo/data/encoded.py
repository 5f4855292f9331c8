"""Texts as ids: encoded once, kept as memory-mapped arrays, found again by what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from zoo import files
from zoo.cache import cache_dir
from zoo.config import Recipe
from zoo.config.tasks import STREAMS
from zoo.data.datasets import ANSWERS, Split, answers
from zoo.data.reading import read_words
from zoo.data.tokenizers import BOS, EOS, UNK, Tokenizer
from zoo.data.words import WORD_BYTES, split_words
from zoo.errors import UserError

FORMAT = f"3, {WORD_BYTES} bytes a word"
"""Part of every key: raised when the same texts give other arrays."""


WAYS, MOST_IDS = (2, 16), 100_000_000
"""In how many ways a row is cut where ways are drawn: as many as leave all rows together so large at most."""


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
    """One split: ids of the sources, and ids of the targets or numbers of labels.

    A classifier has one label a row, a tagger one for each word; a language model has one row, the stream
    of all documents, and no targets.
    """

    sources: Rows
    targets: Rows
    characters: Rows | None = None
    """Of a tagger: the characters of each word at its first piece, (pieces, W)."""

    def __len__(self) -> int:
        return len(self.sources)


def encode_training(
    recipe: Recipe, split: Split, tokenizer: Tokenizer, labels: Sequence[str] | None
) -> Encoded:
    """The split that is learnt; where the recipe draws how texts are cut, each row stands there in several ways.

    An epoch has all of them: what is read stays a function of seed and step, and is found in the cache.
    """
    sampling = getattr(recipe.tokenizer, "sampling", None)
    drawn = (sampling, recipe.seed) if sampling is not None else None
    return encode_split(split, tokenizer, recipe.task, labels, drawn=drawn)


def encode_split(
    split: Split,
    tokenizer: Tokenizer,
    task: str,
    labels: Sequence[str] | None = None,
    cache: bool = True,
    drawn: tuple[float, int] | None = None,
) -> Encoded:
    """Encodes a split, or finds it in the cache under the hash of all that it is made of.

    Args:
        drawn: `sampling` of the recipe's tokenizer, and a seed: each row several times, in ways drawn at random.
    """
    made_of = (FORMAT, tokenizer.fingerprint, fingerprint(split), task, repr(labels), *map(repr, drawn or ()))
    folder = cache_dir("ids") / hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:32]
    names = ("sources", "targets", "characters") if task == "tagging" else ("sources", "targets")
    if cache and folder.is_dir():
        try:
            return _open(folder, names)
        except (OSError, ValueError, EOFError):  # damaged, by a full disk for instance: made again
            shutil.rmtree(folder, ignore_errors=True)
    if drawn is not None:
        encoded = _drawn(split, tokenizer, task, labels, *drawn)
    else:
        encoded = _stream(split, tokenizer) if task in STREAMS else _examples(split, tokenizer, task, labels)
    if not cache:
        return encoded
    _save(encoded, folder)
    return _open(folder, names)


def _examples(split: Split, tokenizer: Tokenizer, task: str, labels: Sequence[str] | None) -> Encoded:
    """Row by row; an empty text is one <unk>."""
    characters = None
    if task == "tagging":
        read = [read_words(tokenizer, split_words(text)) for text in split.sources]
        sources = _rows([row["token_ids"] for row in read])
        spelled = [np.zeros((0, WORD_BYTES)), *(row["character_ids"] for row in read)]
        characters = Rows(np.concatenate(spelled).astype("uint16"), sources.offsets)
    else:
        sources = _rows([ids or [UNK] for ids in tokenizer.encode_batch(split.sources)])
    if labels is None:
        return Encoded(sources, _rows(tokenizer.encode_batch(split.targets)))
    number = {label: i for i, label in enumerate(labels)}
    check_known(split, task, labels)
    targets = [[number[label] for label in answers(task, target)] for target in split.targets]
    return Encoded(sources, _rows(targets), characters)


def check_known(split: Split, task: str, labels: Sequence[str]) -> None:
    """Raises where a split answers with what the model cannot say."""
    what = ANSWERS[task]
    strange = sorted({label for target in split.targets for label in answers(task, target)} - set(labels))
    if strange:
        more = f" and {len(strange) - 5:,} more" if len(strange) > 5 else ""
        shown = f"{', '.join(map(repr, strange[:5]))}{more}"
        raise UserError(f"{what} {shown}: the model knows {', '.join(map(repr, labels))}")


def _drawn(
    split: Split, tokenizer: Tokenizer, task: str, labels: Sequence[str] | None, sampling: float, seed: int
) -> Encoded:
    """Row by row, and all rows again, each cut in another way."""
    usual = _examples(split, tokenizer, task, labels)
    ways = int(np.clip(MOST_IDS // max(len(usual.sources.ids) + len(usual.targets.ids), 1), *WAYS))
    sides: dict[str, list] = {"sources": [], "targets": []}
    for number in range(2 * ways):
        side, texts = ("sources", split.sources) if number % 2 == 0 else ("targets", split.targets)
        if side == "targets" and labels is not None:
            sides[side] += [usual.targets[i] for i in range(len(usual))]
            continue
        ids = tokenizer.draw_batch(texts, sampling, (seed * 2 * WAYS[1] + number) % 2**32)
        sides[side] += [row or [UNK] for row in ids] if side == "sources" else ids
    return Encoded(*(_rows(rows) for rows in sides.values()))


def _stream(split: Split, tokenizer: Tokenizer) -> Encoded:
    """BOS document EOS document EOS ... document: what a language model reads on and on."""
    parts = [[BOS]]
    for number, ids in enumerate(tokenizer.encode_batch(split.sources)):
        parts += [[EOS], ids] if number else [ids]
    return Encoded(_rows([list(chain.from_iterable(parts))]), _rows([[]]))


def fingerprint(split: Split) -> str:
    """A hash of all texts of a split."""
    digest = hashlib.sha256()
    for texts in (split.sources, split.targets):
        for text in texts:
            digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _rows(lists: Sequence[Sequence[int]]) -> Rows:
    offsets = _offsets([len(ids) for ids in lists])
    return Rows(np.fromiter(chain.from_iterable(lists), "int32", count=int(offsets[-1])), offsets)


def _offsets(lengths: Sequence[int]) -> np.ndarray:
    offsets = np.zeros(len(lengths) + 1, "int64")
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _save(encoded: Encoded, folder: Path) -> None:
    """Written beside and renamed, so that another process sees all or nothing."""
    beside = None
    try:
        files.make_folder(folder.parent)
        # A name of its own, for several processes may want the same ids at once.
        beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=files.LEFTOVER))
        for name, rows in vars(encoded).items():
            for part in ("ids", "offsets") if rows is not None else ():
                with files.new_file(beside / f"{name}.{part}.npy") as file:
                    np.save(file, getattr(rows, part))
        files.sync(beside)
        os.rename(beside, folder)
        _remove_leftovers(folder.parent)
    except OSError as error:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
        if not folder.is_dir():  # else another process was faster
            raise UserError(
                f"cannot write the cache {folder.parent}: {error.strerror}; set ZOO_CACHE to a folder of yours"
            ) from error


def _remove_leftovers(folder: Path) -> None:
    """What processes that were killed have left: nobody writes for a day."""
    for path in folder.glob(f"{files.LEFTOVER}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - 86_400:
                shutil.rmtree(path)


def _open(folder: Path, names: Sequence[str]) -> Encoded:
    def rows(name: str) -> Rows:
        ids = folder / f"{name}.ids.npy"
        # An empty file cannot be mapped.
        array = np.load(ids, mmap_mode="r") if ids.stat().st_size > 128 else np.load(ids)
        return Rows(array, np.load(folder / f"{name}.offsets.npy"))

    return Encoded(*map(rows, names))
