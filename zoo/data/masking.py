"""What is hidden in a window of text: a pure function of the seed, the epoch and the place of the window.

Training hides other tokens in every epoch (dynamic masking, Liu et al. 2019); validation always the same ones,
whatever the recipe's seed, so that losses can be compared. K places of each window are asked for, always as many:
what only fills the row up has place 0 and no label.

| objective | the model is given | `order` |
| --- | --- | --- |
| masking (BERT) | hidden tokens replaced: 80 % by MASK, 10 % by any other, 10 % kept | 1 at each place |
| permutation (XLNet) | the text as it is | 1 to K over the places, in an order drawn at random |
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.config import Recipe
from zoo.config.masking import Masking as MaskingSection
from zoo.data import units
from zoo.data.objectives import IGNORE, Batch
from zoo.data.tokenizers import MASK, UNK, Tokenizer
from zoo.data.units import SPECIAL
from zoo.encodings import convert
from zoo.errors import UserError

LONGEST_SPAN = 10
"""Words, as in SpanBERT."""


class Masking:
    """Makes batches of windows: hides tokens and asks for them.

    Args:
        recipe: gives the section `masking`, max_length (T), seed and, by its model, the objective.
        stream: the tokens of a split, (N,).
        tokenizer: its pieces say where words begin.
        training: else the seed does not matter.

    Differs from the papers: whether something is replaced, swapped or kept is drawn once for a unit that is hidden
    whole (as in SpanBERT; BERT draws for each token), since a word half kept gives the other half away.

    Reference: Devlin et al. 2019, arXiv:1810.04805, section 3.1; spans: Joshi et al. 2020, arXiv:1907.10529,
        section 3.1; phrases: Sun et al. 2019, arXiv:1904.09223; partial prediction: Yang et al. 2019,
        arXiv:1906.08237, section 2.3
    """

    ahead = 0
    """Tokens that a window must say beyond those that it reads."""

    def __init__(self, recipe: Recipe, stream: np.ndarray, tokenizer: Tokenizer, training: bool):
        self.config, self.stream, self.length = recipe.masking, stream, recipe.data.max_length
        self.seed = [1, recipe.seed] if training else [0, 0]
        self.permutes = recipe.model.objective == "permutation"
        self.vocabulary_size = tokenizer.vocabulary_size
        self.places = max(1, round(self.config.rate * self.length))
        self.units = {
            "token": lambda: np.arange(len(stream), dtype="int32"),
            "whole_word": lambda: units.words(stream, tokenizer),
            "span": lambda: units.words(stream, tokenizer),
            "phrase": lambda: units.phrases(stream, tokenizer),
        }[self.config.unit]()

    def batch(self, starts: np.ndarray, rows: int, epoch: int) -> Batch:
        """The windows that begin at these places of the stream, and filler rows."""
        token_ids = np.zeros((rows, self.length), "int32")
        token_ids[:, 0] = UNK
        order = np.zeros_like(token_ids)
        places = np.zeros((rows, self.places), "int32")
        labels = np.full((rows, self.places), IGNORE, "int32")
        tokens = 0
        for row, start in enumerate(map(int, starts)):
            window = self.stream[start : start + self.length]
            random = np.random.default_rng([*self.seed, epoch, start])
            seen, asked = self.hide(window, self.units[start : start + self.length], random)
            token_ids[row, : len(window)] = seen
            places[row, : len(asked)] = asked
            labels[row, : len(asked)] = window[asked]
            order[row, asked] = 1 + random.permutation(len(asked)) if self.permutes else 1
            tokens += len(window)
        return Batch({"token_ids": token_ids, "places": places, "order": order}, labels, tokens)

    def hide(self, window: np.ndarray, numbers: np.ndarray, random: np.random.Generator):
        """What the model sees of a window, and the places that it is asked for, rising.

        Units come in random order and are taken where they still fit into the share that is hidden.
        """
        seen, places = window.copy(), np.flatnonzero(window >= SPECIAL)
        if not len(places):
            return seen, places
        left = min(self.places, max(1, round(self.config.rate * len(places))))
        cuts = np.flatnonzero(np.diff(numbers[places])) + 1
        bounds = [0, *cuts.tolist(), len(places)]  # of the units among the places that can be hidden
        named = numbers[places[bounds[:-1]]].tolist()
        asked: list[np.ndarray] = []
        taken = [False] * len(named)
        for i in random.permutation(len(named)).tolist():
            if not left:
                break
            end, last = i, min(i + self._span(random), len(named))
            for j in range(i, last):  # of a span, neighbours as far as they fit
                size = bounds[j + 1] - bounds[j]
                if taken[j] or named[j] - named[i] != j - i or size > left:
                    break
                taken[j], left, end = True, left - size, j + 1
            if end > i:
                asked.append(places[bounds[i] : bounds[end]])
                self._see(seen, asked[-1], random)
        if not asked:  # each is longer than what may be hidden: a piece of one, or they are never asked for
            asked = [random.choice(places, 1)]
            self._see(seen, asked[0], random)
        return seen, np.sort(np.concatenate(asked))

    def _span(self, random: np.random.Generator) -> int:
        """How many units are hidden together."""
        if self.config.unit != "span":
            return 1
        return min(int(random.geometric(1.0 / self.config.span_length)), LONGEST_SPAN)

    def _see(self, seen: np.ndarray, group: np.ndarray, random: np.random.Generator) -> None:
        """What the model sees at the places of one unit."""
        if self.permutes:
            return
        chance = random.random()
        if chance < self.config.replaced:
            seen[group] = MASK
        elif chance < self.config.replaced + self.config.random:
            seen[group] = random.integers(SPECIAL, self.vocabulary_size, len(group))


def phrases_of(config: MaskingSection, texts: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """The phrases of the user's file, else those that the training texts make."""
    if config.phrases is None:
        return units.learn_phrases(texts, tokenizer)
    try:
        content = config.phrases.read_bytes()
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"masking.phrases: {config.phrases} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        command = convert(content, "utf-8", config.phrases)
        raise UserError(
            f"masking.phrases: {config.phrases} is not UTF-8; convert it with `{command}`"
        ) from None
    found = units.read_phrases(lines, tokenizer)
    if not found:
        raise UserError(
            f"masking.phrases: {config.phrases} has no phrase of two tokens or more: write one a line"
        )
    return found
