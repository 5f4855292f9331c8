"""What may be said next: scores of the tokens that may not become `NEVER`."""

from __future__ import annotations

import numpy as np
from keras import ops

from zoo.decoding.settings import Decoding
from zoo.decoding.tokens import BOS_ID, EOS_ID, NEVER, PAD_ID


def restrict(logits, text, position, ends, how: Decoding):
    """Scores after all rules.

    Args:
        logits: scores of the next token, (R, V) float32.
        text: all tokens so far, (R, W) int32, the last one at `position`.
        ends: which rows may end here, (R, 1) bool; None where all may.
    """
    vocabulary = logits.shape[-1]
    if how.repetition_penalty != 1.0:
        held = _marked(text, vocabulary)  # padding behind the text is never said anyway
        penalty = how.repetition_penalty
        logits = ops.where(held, ops.where(logits > 0, logits / penalty, logits * penalty), logits)
    never = np.zeros((1, vocabulary), "float32")
    never[0, [run[0] for run in how.forbidden if len(run) == 1]] = NEVER
    never[0, [PAD_ID, BOS_ID]] = 2 * NEVER  # lower than all that is forbidden otherwise
    logits = logits + ops.convert_to_tensor(never)
    for run in how.forbidden:
        if len(run) > 1:
            last = np.zeros((1, vocabulary), bool)
            last[0, run[-1]] = True
            comes = ops.logical_and(_stands(text, position, run[:-1]), ops.convert_to_tensor(last))
            logits = ops.where(comes, NEVER, logits)
    if how.no_repeat_ngram:
        logits = ops.where(_repeats(text, position, how.no_repeat_ngram, vocabulary), NEVER, logits)
    if ends is not None:
        mark = np.zeros((1, vocabulary), bool)
        mark[0, EOS_ID] = True
        early = ops.logical_and(ops.logical_not(ends), ops.convert_to_tensor(mark))
        logits = ops.where(early, NEVER, logits)
    return logits


def allowed(logits):
    """Which tokens no rule forbids: (R, V) bool."""
    return logits > NEVER / 2


def _token(text, place):
    """The tokens at a place, (R, 1); where it lies before the text, padding."""
    found = ops.take(text, ops.reshape(ops.maximum(place, 0), (1,)), axis=1)
    return ops.where(place >= 0, found, PAD_ID)


def _stands(text, position, run):
    """Whether the text so far ends with these tokens: (R, 1) bool."""
    same = True
    for back, token in enumerate(reversed(run)):
        same = ops.logical_and(ops.equal(_token(text, position - back), token), same)
    return same


def _repeats(text, position, n: int, vocabulary: int):
    """Tokens that would say n tokens again: (R, V) bool."""
    width = ops.shape(text)[1]
    most = max if isinstance(width, int) else ops.maximum
    count = most(width - n + 1, 0)  # runs of n tokens that begin at 0, 1, ...
    starts = ops.arange(count, dtype="int32")
    whole = ops.expand_dims(starts + n - 1 <= position, 0)
    for i in range(n - 1):
        here = ops.take(text, starts + i, axis=1)
        whole = ops.logical_and(whole, ops.equal(here, _token(text, position - (n - 2 - i))))
    lasts = ops.take(text, starts + n - 1, axis=1)
    return _marked(ops.where(whole, lasts, PAD_ID), vocabulary)


def _marked(ids, vocabulary: int):
    """Which tokens are among the ids: (R, n) -> (R, V) bool. The same token twice is written twice the same, for
    runtimes differ in what they make of that; padding, which nobody says, may be among them or not."""
    rows = ops.shape(ids)[0]
    first = ops.expand_dims(ops.arange(rows, dtype="int32") * vocabulary, 1)
    places = ops.reshape(ids + first, (-1, 1))
    ones = ops.ones_like(places[:, 0], dtype="float32")
    found = ops.scatter(places, ones, (rows * vocabulary,))
    return ops.reshape(found, (-1, vocabulary)) > 0.0
