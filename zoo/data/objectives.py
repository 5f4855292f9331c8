"""What a model is given and what it must say: rows of ids -> the arrays of one batch.

A label of IGNORE counts for nothing; rows that only fill up a batch have no label. How language models cut
their text into batches stands in windows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.data.encoded import Encoded
from zoo.data.reading import ended, first_pieces, pad
from zoo.data.tokenizers import BOS, EOS

IGNORE = -1


@dataclass(frozen=True)
class Batch:
    """Inputs of the model, labels of the loss, and how many tokens were learnt from."""

    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    tokens: int

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        return tuple(x.shape for x in (*self.inputs.values(), self.labels))


Picked = Sequence[int] | np.ndarray
"""Numbers of the rows of a batch."""


def translation(encoded: Encoded, picked: Picked, rows: int, source_length: int, target_length: int):
    """Source with its end mark; target behind a begin mark; labels: target with its end mark."""
    encoder = source_ids([encoded.sources[i] for i in picked], rows, source_length)
    decoder = np.zeros((rows, target_length), "int32")
    labels = np.full((rows, target_length), IGNORE, "int32")
    decoder[:, 0] = BOS
    for row, i in enumerate(picked):
        ids = encoded.targets[i][: target_length - 1]
        decoder[row, 1 : len(ids) + 1] = ids
        labels[row, : len(ids)] = ids
        labels[row, len(ids)] = EOS
    inputs = {"encoder_token_ids": encoder, "decoder_token_ids": decoder}
    return Batch(inputs, labels, int((labels != IGNORE).sum()))


def classification(encoded: Encoded, picked: Picked, rows: int, source_length: int, _: int = 1):
    """Source with its end mark; labels: one number a row; it is the read tokens that are counted."""
    labels = np.full((rows,), IGNORE, "int32")
    labels[: len(picked)] = [encoded.targets[i][0] for i in picked]
    token_ids = source_ids([encoded.sources[i] for i in picked], rows, source_length)
    return Batch({"token_ids": token_ids}, labels, int((token_ids[: len(picked)] != 0).sum()))


def tagging(encoded: Encoded, picked: Picked, rows: int, source_length: int, _: int = 1):
    """The pieces and the characters of each word, no marks; labels: the number of its tag, at its first piece."""
    read = [{"token_ids": encoded.sources[i], "character_ids": encoded.characters[i]} for i in picked]
    labels = np.full((rows, source_length), IGNORE, "int32")
    for row, i in enumerate(picked):
        labels[row, np.flatnonzero(first_pieces(encoded.characters[i]))] = encoded.targets[i]
    return Batch(pad(read, rows, source_length), labels, int((labels != IGNORE).sum()))


def source_ids(sources: Sequence[Picked], rows: int, length: int) -> np.ndarray:
    """Texts to read: ids, the end mark, padding: (rows, length) int32. Longer ones are cut."""
    return pad([{"token_ids": ended(ids, length)} for ids in sources], rows, length)["token_ids"]


@dataclass(frozen=True)
class Objective:
    """How the rows of a task are measured and put together."""

    make: Callable[..., Batch]
    """(encoded, numbers of rows, rows of the batch, source length, target length) -> batch."""
    end_mark: bool = True
    """Whether an end mark follows what is read."""
    two_sided: bool = False
    """Whether targets are sequences of their own length."""
    whole: bool = False
    """Whether validation keeps what is longer than max_length: each word has its own answer."""

    def lengths(self, encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
        """Places that each row needs: of its source, of its target (1 where that has no length of its own)."""
        source = encoded.sources.lengths + int(self.end_mark)
        return source, encoded.targets.lengths + 1 if self.two_sided else np.ones_like(source)


OBJECTIVES = {
    "translation": Objective(translation, two_sided=True),
    "classification": Objective(classification),
    "tagging": Objective(tagging, end_mark=False, whole=True),
}
