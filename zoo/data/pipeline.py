"""Batches of a few fixed shapes; each batch is a pure function of (seed, step).

Rows are grouped by length into buckets, so that little is padded; every bucket has one shape, so that
XLA compiles once for each; and the place in the data is one integer, so that a run which was stopped
goes on with exactly the batches it had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.config import Recipe
from zoo.config.tasks import STREAMS
from zoo.data.encoded import Encoded
from zoo.data.masking import Masking
from zoo.data.objectives import OBJECTIVES, Batch
from zoo.data.tokenizers import Tokenizer
from zoo.data.windows import NextToken, Windows
from zoo.errors import UserError


def make_batches(
    recipe: Recipe, encoded: Encoded, training: bool, tokenizer: Tokenizer | None = None
) -> Batches | Windows:
    """The batches of a split, as the recipe's task wants them; a UserError where there would be none.

    The tokenizer, whose pieces say what a word is, is asked only where words are hidden.
    """
    if recipe.task in STREAMS:
        return _windows(recipe, encoded, training, tokenizer)
    batches = Batches(recipe, encoded, training)
    if not len(batches):
        raise UserError(
            f"data: every training row is longer than data.max_length {recipe.data.max_length}: raise it"
        )
    return batches


def _windows(recipe: Recipe, encoded: Encoded, training: bool, tokenizer: Tokenizer | None) -> Windows:
    stream = encoded.sources.ids
    if recipe.task == "masked_language_modeling":
        return Windows(recipe, encoded, Masking(recipe, stream, tokenizer, training), training)
    return Windows(recipe, encoded, NextToken(stream, recipe.data.max_length, training), training)


def one_batch(recipe: Recipe, encoded: Encoded, tokenizer: Tokenizer | None = None) -> Batch:
    """All rows in one batch, in their order and as long as the longest, for `fit` and `evaluate` of Keras."""
    if recipe.task in STREAMS:
        return _windows(recipe, encoded, False, tokenizer).whole()
    objective = OBJECTIVES[recipe.task]
    longest = None if objective.whole else recipe.data.max_length
    lengths = [int(side.max()) for side in objective.lengths(encoded)]
    lengths = [length if longest is None else min(length, longest) for length in lengths]
    return objective.make(encoded, range(len(encoded)), len(encoded), *lengths)


@dataclass(frozen=True)
class Bucket:
    """The rows of one group of lengths, and the shape they are padded to."""

    members: np.ndarray
    rows: int
    source_length: int
    target_length: int


class Batches:
    """All batches of a split of examples.

    Args:
        recipe: gives max_length, buckets, batch_tokens, task and seed.
        encoded: the split.
        training: rows are shuffled for each epoch, and rows longer than max_length are left out; else
            every row comes once, in a fixed order. What is too long is cut then, but a tagger's rows, with
            an answer for each word, stay whole in a bucket of their own.
    """

    def __init__(self, recipe: Recipe, encoded: Encoded, training: bool):
        self.encoded, self.training, self.seed = encoded, training, recipe.seed
        self.objective = OBJECTIVES[recipe.task]
        self.source, self.target = self.objective.lengths(encoded)
        length, longest = np.maximum(self.source, self.target), recipe.data.max_length
        self.too_long = int((length > longest).sum())
        bounds = [*recipe.data.buckets, longest]
        if self.objective.whole and self.too_long and not training:
            bounds.append(_rounded(length.max(), 2**30))
        which = np.searchsorted(bounds, np.minimum(length, bounds[-1]))
        if training:
            which[length > longest] = -1
        self.buckets = []
        for i, bound in enumerate(bounds):
            members = np.flatnonzero(which == i)
            if len(members):
                source_length = _rounded(self.source[members].max(), bound)
                target_length = _rounded(self.target[members].max(), bound) if self.objective.two_sided else 1
                counted = target_length if self.objective.two_sided else source_length
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
            sides = [(self.source, bucket.source_length)]
            if self.objective.two_sided:
                sides.append((self.target, bucket.target_length))
            share = min(1.0, count * bucket.rows / len(bucket.members))
            for lengths, width in sides:
                places += count * bucket.rows * width
                tokens += share * np.minimum(lengths[bucket.members], width).sum()
        return float(1.0 - tokens / places) if places else 0.0

    def batch(self, step: int) -> Batch:
        """The batch of a step; steps go on over the epochs."""
        epoch, index = divmod(step, len(self))
        which, start, order = self._plan_of(epoch)
        bucket = self.buckets[which[index]]
        picked = order[which[index]][start[index] : start[index] + bucket.rows]
        return self.objective.make(
            self.encoded, picked, bucket.rows, bucket.source_length, bucket.target_length
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
