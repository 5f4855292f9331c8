"""What a model is given and what it must say: rows of ids -> the arrays of one batch.

Padding is 0 and stands on the right; a label of IGNORE counts for nothing. Rows that only fill up a
batch hold one `<unk>` and no label, for GPU kernels refuse rows without any token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNK_ID, BOS_ID, EOS_ID = 1, 2, 3
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


Ids = Sequence[int] | np.ndarray


def translation(sources: Sequence[Ids], targets: Sequence[Ids], rows: int, source_length, target_length):
    """Source with its end mark; target behind a begin mark; labels: target with its end mark."""
    encoder = source_ids(sources, rows, source_length)
    decoder = np.zeros((rows, target_length), "int32")
    labels = np.full((rows, target_length), IGNORE, "int32")
    decoder[:, 0] = BOS_ID
    for i, ids in enumerate(targets):
        ids = ids[: target_length - 1]
        decoder[i, 1 : len(ids) + 1] = ids
        labels[i, : len(ids)] = ids
        labels[i, len(ids)] = EOS_ID
    inputs = {"encoder_token_ids": encoder, "decoder_token_ids": decoder}
    return Batch(inputs, labels, int((labels != IGNORE).sum()))


def classification(sources: Sequence[Ids], targets: Sequence[Ids], rows: int, source_length, _=None):
    """Source with its end mark; labels: one number a row; it is the read tokens that are counted."""
    labels = np.full((rows,), IGNORE, "int32")
    labels[: len(targets)] = [ids[0] for ids in targets]
    token_ids = source_ids(sources, rows, source_length)
    return Batch({"token_ids": token_ids}, labels, int((token_ids[: len(sources)] != 0).sum()))


def source_ids(sources: Sequence[Ids], rows: int, length: int) -> np.ndarray:
    """Texts to read: ids, the end mark, padding: (rows, length) int32. Longer ones are cut."""
    out = np.zeros((rows, length), "int32")
    out[:, 0] = UNK_ID
    for i, ids in enumerate(sources):
        ids = ids[: length - 1]
        out[i, : len(ids)] = ids
        out[i, len(ids)] = EOS_ID
    return out


OBJECTIVES = {"translation": translation, "classification": classification}
