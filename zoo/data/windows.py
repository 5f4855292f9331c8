"""Batches of a language model: windows of one stream of tokens; each batch is a pure function of (seed, step).

A window reads stream[s : s + T]. What it must say is the business of an objective: one token ahead everywhere,
stream[s + 1 : s + T + 1] (`NextToken`), or what is hidden in it (`zoo.data.masking.Masking`). In training every
epoch cuts the stream at another place and shuffles the windows; validation cuts it once, from its beginning, so
that each token is read exactly once.
"""

from __future__ import annotations

import numpy as np

from zoo.config import Recipe
from zoo.data.encoded import Encoded
from zoo.data.masking import Masking
from zoo.data.objectives import IGNORE, Batch
from zoo.data.tokenizers import EOS, UNK
from zoo.errors import UserError


class NextToken:
    """Makes batches of windows: each token is asked for behind the one before it.

    In training a window that would begin inside a document begins with it instead, where that is less than a window
    ago: short documents, such as a question behind its label, are always read from their beginnings, as a prompt is.
    """

    ahead = 1
    """Tokens that a window must say beyond those that it reads."""

    def __init__(self, stream: np.ndarray, length: int, training: bool = False):
        self.stream, self.length = stream, length
        # Of the first document, which the begin mark opens, nothing is moved: it may be the only one.
        begins = np.flatnonzero(np.asarray(stream) == EOS) + 1 if training else []
        self.begins = np.append(-length, begins).astype(int)

    def batch(self, starts: np.ndarray, rows: int, epoch: int) -> Batch:
        """The windows that begin at these places of the stream, and filler rows."""
        token_ids = np.zeros((rows, self.length), "int32")
        token_ids[:, 0] = UNK
        labels = np.full((rows, self.length), IGNORE, "int32")
        begins = self.begins[np.searchsorted(self.begins, starts, "right") - 1]
        for row, start in enumerate(np.where(starts - begins < self.length, begins, starts)):
            window = self.stream[start : start + self.length + 1]
            token_ids[row, : len(window) - 1] = window[:-1]
            labels[row, : len(window) - 1] = window[1:]
        return Batch({"token_ids": token_ids}, labels, int((labels != IGNORE).sum()))


class Windows:
    """All batches of a split; the same methods as `Batches` has.

    Args:
        recipe: gives max_length (T), batch_tokens and seed.
        encoded: the split, one stream of N tokens.
        objective: a `NextToken` or a `Masking` over that stream.
        training: windows begin at a random offset below T, drawn anew for each epoch; what does not fill a
            window or a batch is left out, other tokens each time. Else nothing is, and the last is padded.
    """

    too_long = 0

    def __init__(self, recipe: Recipe, encoded: Encoded, objective: NextToken | Masking, training: bool):
        self.objective, self.training, self.seed = objective, training, recipe.seed
        self.length = recipe.data.max_length
        self.rows = recipe.train.batch_tokens // self.length
        self.asked = len(encoded.sources.ids) - objective.ahead
        if self.asked < (self.length if training else 1):
            name, least = (
                ("train", f"one window of data.max_length ({self.length})") if training else ("val", "one")
            )
            raise UserError(
                f"data.{name}: the text has {self.asked:,} tokens, fewer than {least}: "
                f"give more text{' or lower data.max_length' if training else ''}"
            )
        if training:  # as many from every offset, so that all epochs are equally long
            self.windows = max(1, (self.asked - self.length + 1) // self.length)
        else:
            self.windows = -(-self.asked // self.length)
        full, rest = divmod(self.windows, self.rows)
        self._batches = full if training and full else full + bool(rest)
        self._epoch, self._starts = -1, np.zeros(0, int)

    def __len__(self) -> int:
        """Batches of one epoch."""
        return self._batches

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """(rows, length, 1): there is one shape."""
        return [(self.rows, self.length, 1)]

    def padding_share(self) -> float:
        """Share of the places of an epoch's batches that hold no token."""
        places = self._batches * self.rows * self.length
        tokens = min(self.windows * self.length, places) if self.training else self.asked
        return 1.0 - tokens / places

    def batch(self, step: int) -> Batch:
        """The batch of a step; steps go on over the epochs."""
        epoch, index = divmod(step, len(self))
        starts = self._starts_of(epoch)[index * self.rows : (index + 1) * self.rows]
        return self.objective.batch(starts, self.rows, epoch if self.training else 0)

    def whole(self) -> Batch:
        """All windows of validation in one batch."""
        return self.objective.batch(self.starts(), self.windows, 0)

    def starts(self) -> np.ndarray:
        """Where the windows of validation begin."""
        return np.arange(0, self.asked, self.length)

    def _starts_of(self, epoch: int) -> np.ndarray:
        if not self.training:
            return self.starts()
        if epoch != self._epoch:
            random = np.random.default_rng([self.seed, epoch])
            spare = self.asked - self.windows * self.length
            offset = random.integers(min(self.length, spare + 1))
            self._epoch = epoch
            self._starts = offset + self.length * random.permutation(self.windows)
        return self._starts
