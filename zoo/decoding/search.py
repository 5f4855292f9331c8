"""Greedy and beam search: one compiled loop for every sequence-to-sequence model.

The loop asks the model only for `encode`, `init_cache` and `step` (see zoo/models/base.py), so it
serves recurrent networks and Transformers alike, in eager TensorFlow, XLA, JAX, SavedModel and
TFLite. Its shapes are fixed: the answer has `length` places, filled up with padding, and the loop
ends as soon as every sentence has ended.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from zoo.decoding.tokens import BOS_ID, EOS_ID, NEVER, PAD_ID, forbid
from zoo.layers.portable import put


def greedy_search(model, token_ids, length: int):
    """The most probable token at each step.

    Args:
        model: a `Seq2Seq` model.
        token_ids: source, (B, S) int32.
        length: places of the answer.

    Returns: ids (B, length) int32, the end mark included; their log-probability (B,).
    """
    memory = model.encode(token_ids)
    cache = model.init_cache(memory, length)
    batch = ops.shape(token_ids)[0]

    def more(position, token, answer, done, score, cache):
        return ops.logical_and(position < length, ops.logical_not(ops.all(done)))

    def step(position, token, answer, done, score, cache):
        logits, cache = model.step(token, position, cache, memory)
        best, index = ops.top_k(_log_probabilities(logits), 1)
        token = ops.where(done, PAD_ID, ops.cast(ops.squeeze(index, -1), "int32"))
        score = score + ops.where(done, 0.0, ops.squeeze(best, -1))
        answer = put(answer, position, ops.expand_dims(token, 1), axis=1)
        done = ops.logical_or(done, ops.equal(token, EOS_ID))
        return position + 1, token, answer, done, score, cache

    _, _, answer, _, score, _ = ops.while_loop(
        more,
        step,
        (
            ops.convert_to_tensor(0, "int32"),
            ops.full((batch,), BOS_ID, "int32"),
            ops.zeros((batch, length), "int32"),
            ops.zeros((batch,), "bool"),
            ops.zeros((batch,), "float32"),
            cache,
        ),
    )
    return answer, score


def beam_search(model, token_ids, length: int, beams: int, length_penalty: float):
    """The best of many answers, `beams` of them followed at each step.

    The score of an answer is `log p / ((5 + n) / 6) ** length_penalty`, n its length with the end mark
    (Wu et al. 2016, arXiv:1609.08144, equation 14, without coverage). Finished answers stay in the beam
    with their score frozen and are ranked together with the unfinished ones.

    Args:
        model: a `Seq2Seq` model.
        token_ids: source, (B, S) int32.
        length: places of the answer.
        beams: N, hypotheses followed.
        length_penalty: exponent; 0 compares plain log-probabilities.

    Returns: ids (B, N, length) int32, best first; scores (B, N).
    """
    memory = _repeat(model.encode(token_ids), beams)
    cache = model.init_cache(memory, length)
    batch = ops.shape(token_ids)[0]
    first_row = ops.expand_dims(ops.arange(batch) * beams, 1)  # (B, 1): where a sentence's beams begin

    def penalty(n):
        return ops.power((5.0 + ops.cast(n, "float32")) / 6.0, length_penalty)

    def more(position, token, answer, done, log_p, lengths, cache):
        return ops.logical_and(position < length, ops.logical_not(ops.all(done)))

    def step(position, token, answer, done, log_p, lengths, cache):
        logits, cache = model.step(ops.reshape(token, (-1,)), position, cache, memory)
        # The N best tokens of each hypothesis hold the N best of all: (B*N, N), then N of N*N.
        gain, index = ops.top_k(_log_probabilities(logits), beams)
        gain = ops.reshape(gain, (-1, beams, beams))
        index = ops.reshape(ops.cast(index, "int32"), (-1, beams, beams))
        # A finished answer goes on only as itself: one padding at no cost.
        frozen = ops.expand_dims(done, 2)
        itself = np.full((1, 1, beams), NEVER, "float32")
        itself[..., 0] = 0.0
        gain = ops.where(frozen, ops.convert_to_tensor(itself), gain)
        index = ops.where(frozen, PAD_ID, index)
        new_log_p = ops.expand_dims(log_p, 2) + gain
        new_lengths = ops.expand_dims(ops.where(done, lengths, position + 1), 2)
        ranked = ops.reshape(new_log_p / penalty(new_lengths), (-1, beams * beams))
        chosen = ops.cast(ops.top_k(ranked, beams)[1], "int32")  # (B, N) of N*N
        parent = ops.floor_divide(chosen, beams)

        flat = ops.reshape(first_row + parent, (-1,))
        log_p = ops.take_along_axis(ops.reshape(new_log_p, (-1, beams * beams)), chosen, axis=1)
        token = ops.take_along_axis(ops.reshape(index, (-1, beams * beams)), chosen, axis=1)

        def of_parent(x):  # (B, N, ...), each hypothesis taking its parent's
            rows = ops.take(ops.reshape(x, (-1, *x.shape[2:])), flat, axis=0)
            return ops.reshape(rows, (-1, beams, *x.shape[2:]))

        done, answer, lengths = of_parent(done), of_parent(answer), of_parent(lengths)
        lengths = ops.where(done, lengths, position + 1)
        answer = put(answer, position, ops.expand_dims(token, 2), axis=2)
        done = ops.logical_or(done, ops.equal(token, EOS_ID))
        cache = keras.tree.map_structure(lambda x: ops.take(x, flat, axis=0), cache)
        return position + 1, token, answer, done, log_p, lengths, cache

    # All but the first hypothesis start as impossible, for all are the same.
    start = np.full((1, beams), NEVER, "float32")
    start[:, 0] = 0.0
    _, _, answer, _, log_p, lengths, _ = ops.while_loop(
        more,
        step,
        (
            ops.convert_to_tensor(0, "int32"),
            ops.full((batch, beams), BOS_ID, "int32"),
            ops.zeros((batch, beams, length), "int32"),
            ops.zeros((batch, beams), "bool"),
            ops.zeros((batch, beams), "float32") + ops.convert_to_tensor(start),
            ops.zeros((batch, beams), "int32"),
            cache,
        ),
    )
    return answer, log_p / penalty(lengths)


def _log_probabilities(logits):
    """Log-softmax over what may be said: anything but padding and the begin mark. (B, V) float32."""
    return ops.log_softmax(forbid(logits), axis=-1)


def _repeat(nest, times):
    """Each row `times` times, in a run: (B, ...) -> (B * times, ...)."""
    return keras.tree.map_structure(lambda x: ops.repeat(x, times, axis=0), nest)
