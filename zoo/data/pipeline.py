"""Batches of a few fixed shapes; each batch is a pure function of (seed, step).

Rows are grouped by length into buckets, so that little is padded; every bucket has one shape, so that
XLA compiles once for each; and the place in the data is one integer, so that a run which was stopped
goes on with exactly the batches it had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.config import Recipe
from zoo.data.encoded import Encoded
from zoo.data.objectives import OBJECTIVES, Batch


@dataclass(frozen=True)
class Bucket:
    """The rows of one group of lengths, and the shape they are padded to."""

    members: np.ndarray
    rows: int
    source_length: int
    target_length: int


class Batches:
    """All batches of a split.

    Args:
        recipe: gives max_length, buckets, batch_tokens, task and seed.
        encoded: the split.
        training: rows are shuffled for each epoch, and rows longer than max_length are left out; else
            every row comes once, in a fixed order, cut where it is too long.
    """

    def __init__(self, recipe: Recipe, encoded: Encoded, training: bool):
        self.encoded, self.training, self.seed = encoded, training, recipe.seed
        self.objective = OBJECTIVES[recipe.task]
        self.longest = recipe.data.max_length
        two_sided = recipe.task == "translation"
        source = encoded.sources.lengths + 1  # the end mark
        target = encoded.targets.lengths + 1 if two_sided else np.ones_like(source)
        length = np.maximum(source, target)
        self.too_long = int((length > self.longest).sum())
        bounds = np.array([*recipe.data.buckets, self.longest])
        which = np.searchsorted(bounds, np.minimum(length, self.longest))
        if training:
            which[length > self.longest] = -1
        self.buckets = []
        for i, bound in enumerate(bounds):
            members = np.flatnonzero(which == i)
            if len(members):
                source_length = _rounded(source[members].max(), bound)
                target_length = _rounded(target[members].max(), bound) if two_sided else 1
                counted = target_length if two_sided else source_length
                rows = max(1, recipe.train.batch_tokens // counted)
                rows = rows // 8 * 8 or rows
                self.buckets.append(Bucket(members, rows, source_length, target_length))
        self._counts = [self._batches_in(bucket) for bucket in self.buckets]
        self._epoch, self._plan = -1, ()

    def __len__(self) -> int:
        """Batches of one epoch."""
        return sum(self._counts)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """(rows, source length, target length) of every bucket: what is compiled."""
        return [(b.rows, b.source_length, b.target_length) for b in self.buckets]

    def padding_share(self) -> float:
        """Share of the places of an epoch's batches, on both sides, that hold no token."""
        places = tokens = 0
        for bucket, count in zip(self.buckets, self._counts, strict=True):
            width = bucket.source_length + (bucket.target_length if bucket.target_length > 1 else 0)
            places += count * bucket.rows * width
            sides = [np.minimum(self.encoded.sources.lengths[bucket.members] + 1, bucket.source_length)]
            if bucket.target_length > 1:
                target = self.encoded.targets.lengths[bucket.members] + 1
                sides.append(np.minimum(target, bucket.target_length))
            share = min(1.0, count * bucket.rows / len(bucket.members))
            tokens += share * sum(side.sum() for side in sides)
        return float(1.0 - tokens / places) if places else 0.0

    def batch(self, step: int) -> Batch:
        """The batch of a step; steps go on over the epochs."""
        epoch, index = divmod(step, len(self))
        which, start, order = self._plan_of(epoch)
        bucket = self.buckets[which[index]]
        picked = order[which[index]][start[index] : start[index] + bucket.rows]
        return self.objective(
            [self.encoded.sources[i] for i in picked],
            [self.encoded.targets[i] for i in picked],
            bucket.rows,
            bucket.source_length,
            bucket.target_length,
        )

    def _batches_in(self, bucket: Bucket) -> int:
        """In training a last, partly filled batch is left out (other rows each epoch), unless it is the only one."""
        full, rest = divmod(len(bucket.members), bucket.rows)
        return full if self.training and full else full + bool(rest)

    def _plan_of(self, epoch: int):
        """For each batch of an epoch its bucket and the place there; and the order within each bucket."""
        if epoch != self._epoch:
            which = np.repeat(np.arange(len(self.buckets)), self._counts)
            start = np.concatenate(
                [np.arange(n) * b.rows for n, b in zip(self._counts, self.buckets, strict=True)]
            )
            order = [b.members for b in self.buckets]
            if self.training:
                random = np.random.default_rng([self.seed, epoch])
                order = [random.permutation(members) for members in order]
                shuffled = random.permutation(len(which))
                which, start = which[shuffled], start[shuffled]
            self._epoch, self._plan = epoch, (which, start, order)
        return self._plan


def _rounded(length: int, bound: int) -> int:
    """Up to a multiple of 4, but not above the bound."""
    return int(min(-(-int(length) // 4) * 4, bound))
