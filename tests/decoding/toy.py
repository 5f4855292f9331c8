"""A model whose answers can all be written down, and the searches once more in NumPy."""

from __future__ import annotations

import itertools

import numpy as np
from keras import ops

from zoo.models.base import Decodes

PAD, UNK, BOS, EOS = 0, 1, 2, 3
STATES = 11


class Toy(Decodes):
    """Logits from a table, by the source, the position and all tokens so far (a number carried in the cache).

    Only the end mark and the `words` are likely, so that a beam can hold every likely answer.
    """

    def __init__(self, vocabulary=64, words=(4, 5, 6), seed=0, end_at=None):
        random = np.random.default_rng(seed)
        self.table = np.full((STATES, vocabulary), -40.0, "float32")
        likely = [EOS, *words]
        self.table[:, likely] = random.normal(0.0, 1.5, (STATES, len(likely)))
        self.source = random.normal(0.0, 1.0, (vocabulary, vocabulary)).astype("float32")
        self.end_at, self.words, self.steps = end_at, words, 0

    def encode(self, token_ids):
        vectors = ops.take(ops.convert_to_tensor(self.source), token_ids, axis=0)
        mask = ops.expand_dims(ops.cast(ops.not_equal(token_ids, PAD), "float32"), -1)
        return {"bias": ops.sum(vectors * mask, axis=1)}

    def init_cache(self, memory, length):
        return {"state": ops.cast(ops.zeros_like(memory["bias"][:, 0]), "int32")}

    def step(self, token, position, cache, memory):
        self.steps += 1
        state = ops.mod(cache["state"] * 3 + token + position, STATES)
        logits = ops.take(ops.convert_to_tensor(self.table), state, axis=0) + 0.3 * memory["bias"]
        if self.end_at is not None:
            ends = np.zeros((1, logits.shape[-1]), "float32")
            ends[:, EOS] = 200.0
            logits = logits + ops.where(position >= self.end_at, ends, 0.0)
        return logits, {"state": state}

    def log_p(self, source, answer):
        """Of each token of an answer, in float64: what the searches must add up."""
        bias = self.source[[i for i in source if i != PAD]].astype("float64").sum(0)
        state, token, out = 0, BOS, []
        for position, next_token in enumerate(answer):
            state = (state * 3 + token + position) % STATES
            logits = self.table[state] + 0.3 * bias
            if self.end_at is not None and position >= self.end_at:
                logits[EOS] += 200.0
            logits[[PAD, BOS]] = -np.inf
            out.append(logits[next_token] - np.log(np.exp(logits - logits.max()).sum()) - logits.max())
            token = next_token
        return out

    def score(self, source, answer, length_penalty=0.0):
        """log p / ((5 + n) / 6) ** length_penalty, n counting the end mark."""
        return sum(self.log_p(source, answer)) / ((5 + len(answer)) / 6) ** length_penalty

    def all_answers(self, length):
        """Every likely answer: words and an end mark, or as many words as there are places."""
        for n in range(length):
            yield from ((*words, EOS) for words in itertools.product(self.words, repeat=n))
        yield from itertools.product(self.words, repeat=length)

    def best_of_all(self, source, length, length_penalty):
        scored = [(self.score(source, a, length_penalty), a) for a in self.all_answers(length)]
        return sorted(scored, reverse=True)

    def beam(self, source, length, beams, length_penalty):
        """Beam search over lists: the best `beams` of all continuations, finished answers among them."""
        live = [()]
        for _ in range(length):
            continued = []
            for answer in live:
                if answer and answer[-1] == EOS:
                    continued.append(answer)
                else:
                    continued += [(*answer, token) for token in (EOS, *self.words)]
            live = sorted(continued, key=lambda a: -self.score(source, a, length_penalty))[:beams]
        return live


def trimmed(row) -> tuple[int, ...]:
    """The answer in a row of places: up to its end mark, and nothing but padding after it."""
    row = [int(i) for i in row]
    end = row.index(EOS) + 1 if EOS in row else len(row)
    assert set(row[end:]) <= {PAD}
    return tuple(row[:end])
