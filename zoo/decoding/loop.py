"""The decoder: one compiled loop, greedy, with beams or drawing, for every model that writes text.

It asks a model only for its decoding protocol (see zoo/models/base.py), so it serves recurrent
networks and Transformers, translators and language models alike, in eager TensorFlow, XLA, JAX, SavedModel,
TFLite and ONNX. What is known beforehand, a language model's prompt or the forced beginning of a translation, is
read by the same loop: until it ends, the next token is given instead of chosen. Hypotheses that have ended stay
as they are, and the loop ends with the last of them.

    given, state = begin(model, token_ids, how)
    while more(state):
        state = step(model, how, given, state)
    text, scores = finish(how, state)

`decode` is just that. Who wants to see the tokens as they come runs the four parts himself.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from zoo.decoding.rules import restrict
from zoo.decoding.sampling import choose
from zoo.decoding.settings import Decoding
from zoo.decoding.tokens import BOS_ID, EOS_ID, NEVER, PAD_ID
from zoo.layers.portable import float32, put, top_k


def decode(model, token_ids, how: Decoding, uniforms=None, prefix=None):
    """Answers to sources, or texts that go on from prompts.

    Args:
        model: a `Seq2Seq` or a `LanguageModel`.
        token_ids: sources or prompts, (B, S) int32, padded on the right; a prompt without any token is the begin
            mark alone.
        how: see `Decoding`.
        uniforms: numbers in [0, 1) that decide what is drawn, (B, how.length) float32; the same numbers draw the
            same text on every backend and runtime.
        prefix: how the answers of a `Seq2Seq` begin, (B, P) int32, padded on the right.

    Returns: texts (B, N, W), best first: begin mark and prefix, or prompt; then what was chosen, the end mark if it
        came; padding. Their scores (B, N): the log-probability of what was chosen, normalised as `how` says.
    """
    given, state = begin(model, token_ids, how, uniforms, prefix)
    (state,) = ops.while_loop(more, lambda state: (step(model, how, given, state),), (state,))
    return finish(how, state)


def begin(model, token_ids, how: Decoding, uniforms=None, prefix=None):
    """What stays as it is, and the first state."""
    count, batch = how.hypotheses, ops.shape(token_ids)[0]
    memory = model.encode(token_ids)
    known = memory.get("prompt")
    if known is not None:
        known = _begun(known)
    elif prefix is not None:
        known = ops.concatenate([ops.full((batch, 1), BOS_ID, "int32"), ops.cast(prefix, "int32")], axis=1)
    given = {"uniforms": uniforms, "known": known}
    if known is None:
        text = ops.full((batch, 1), BOS_ID, "int32")
        given["begins"] = 1
    else:
        text = known
        given["begins"] = ops.sum(ops.cast(ops.not_equal(known, PAD_ID), "int32"), axis=1, keepdims=True)
    text = ops.concatenate([text, ops.zeros((batch, how.length), "int32")], axis=1)
    length = _size(text, 1) - 1  # the last token is not read again
    if count == 1:
        given["memory"], cache = memory, model.init_cache(memory, length)
    else:
        given["memory"], cache = model.fan_out(memory, length, count)
    given["bounds"] = _bounds(how, token_ids)
    first = np.full((1, count), NEVER, "float32")
    first[:, 0] = 0.0  # all other hypotheses are impossible, for all are the same
    state = {
        "position": ops.convert_to_tensor(0, "int32"),
        "text": ops.repeat(ops.expand_dims(text, 1), count, axis=1),
        "done": ops.zeros((batch, count), "bool"),
        "log_p": ops.zeros((batch, count), "float32") + ops.convert_to_tensor(first),
        "lengths": ops.zeros((batch, count), "int32"),
        "cache": cache,
    }
    return given, {**state, "token": state["text"][:, :, 0]}


def more(state):
    """Whether there is anything left to say."""
    room = state["position"] < _size(state["text"], 2) - 1
    return ops.logical_and(room, ops.logical_not(ops.all(state["done"])))


def step(model, how: Decoding, given, state):
    """One token more for every hypothesis."""
    count, position, done = how.hypotheses, state["position"], state["done"]
    logits, cache = model.step(ops.reshape(state["token"], (-1,)), position, state["cache"], given["memory"])
    place = position + 1 - given["begins"]  # of the next token among the chosen: (B, 1), or one for all
    least, most = given["bounds"]
    ends = None if least is None else _rows(place >= least, count)
    logits = restrict(float32(logits), _flat(state["text"]), position, ends, how)
    gain, token = _candidates(how, given, logits, place)  # (B, N, K) both
    still, told = done, PAD_ID
    if given["known"] is not None:
        forced = place < 0
        last = _size(given["known"], 1) - 1
        following = ops.take(given["known"], ops.reshape(ops.minimum(position + 1, last), (1,)), axis=1)
        still = ops.logical_or(done, forced)
        told = ops.expand_dims(ops.where(done, PAD_ID, following), 2)
    # What has ended, or is told, goes on in one way at no cost.
    itself = np.full((1, 1, gain.shape[2]), NEVER, "float32")
    itself[..., 0] = 0.0
    gain = ops.where(ops.expand_dims(still, 2), ops.convert_to_tensor(itself), gain)
    token = ops.where(ops.expand_dims(still, 2), told, token)
    log_p = ops.expand_dims(state["log_p"], 2) + gain
    lengths = ops.where(still, state["lengths"], state["lengths"] + 1)
    text = state["text"]
    if count == 1:
        log_p, token = log_p[:, :, 0], token[:, :, 0]
        scores = None
    else:
        ranked = ops.reshape(_normalized(how, log_p, ops.expand_dims(lengths, 2)), (-1, count * count))
        scores, chosen = ops.top_k(ranked, count)
        chosen = ops.cast(chosen, "int32")  # (B, N) of N * N
        parent = ops.floor_divide(chosen, count)
        first = ops.expand_dims(ops.arange(ops.shape(done)[0], dtype="int32") * count, 1)
        rows = ops.reshape(first + parent, (-1,))
        log_p = ops.take_along_axis(ops.reshape(log_p, (-1, count * count)), chosen, axis=1)
        token = ops.take_along_axis(ops.reshape(token, (-1, count * count)), chosen, axis=1)
        done, lengths = (ops.take_along_axis(x, parent, axis=1) for x in (done, lengths))
        text = ops.reshape(ops.take(_flat(text), rows, axis=0), ops.shape(text))
        cache = model.reorder(cache, rows)
    text = put(text, position + 1, ops.expand_dims(token, 2), axis=2)
    done = ops.logical_or(done, ops.equal(token, EOS_ID))
    done = ops.logical_or(done, place >= most - 1)
    if scores is not None and how.early_stopping != "all":
        done = ops.logical_or(done, _settled(how, done, log_p, scores, most))
    return {
        "position": position + 1,
        "token": token,
        "text": text,
        "done": done,
        "log_p": log_p,
        "lengths": lengths,
        "cache": cache,
    }


def finish(how: Decoding, state):
    """Texts (B, N, W) and scores (B, N), best first."""
    return state["text"], _normalized(how, state["log_p"], state["lengths"])


def _candidates(how: Decoding, given, logits, place):
    """The best continuations of each hypothesis, or the drawn one: log-probabilities and tokens (B, N, K)."""
    count = how.hypotheses
    if how.sample:
        uniforms = given["uniforms"]
        places = ops.expand_dims(ops.arange(_size(uniforms, 1), dtype="int32"), 0)
        uniform = ops.sum(ops.where(ops.equal(places, place), uniforms, 0.0), axis=1)
        token = ops.expand_dims(choose(logits, uniform, how.temperature, how.top_k, how.top_p), 1)
        best = ops.take_along_axis(logits, token, axis=1)
        largest = ops.max(logits, axis=1, keepdims=True)
    else:
        # The N best of each hypothesis hold the N best of all.
        best, token = top_k(logits, count)
        largest = ops.max(best, axis=1, keepdims=True)  # a slice of it would make XLA sort everything
    total = largest + ops.log(ops.sum(ops.exp(logits - largest), axis=1, keepdims=True))
    gain = ops.reshape(best - total, (-1, count, count))
    return gain, ops.reshape(ops.cast(token, "int32"), (-1, count, count))


def _normalized(how: Decoding, log_p, lengths):
    """Scores of hypotheses of so many chosen tokens."""
    n = ops.cast(lengths, "float32")
    if how.normalization == "mean":
        return log_p / ops.maximum(n, 1.0)
    return log_p / ops.power((5.0 + n) / 6.0, how.length_penalty)


def _settled(how: Decoding, done, log_p, scores, most):
    """Rows (B, 1) of which no further step is of interest; hypotheses are sorted, best first."""
    if how.early_stopping == "best":
        return done[:, :1]
    ended = ops.all(done[:, : how.n_best], axis=1, keepdims=True)
    # A log-probability can only fall; what it is divided by grows at most to that of the longest answer.
    most = ops.zeros_like(log_p, dtype="int32") + most
    hope = ops.where(done, 2 * NEVER, _normalized(how, log_p, most))
    hope = ops.max(hope, axis=1, keepdims=True)
    asked = ops.convert_to_tensor(np.arange(how.hypotheses)[None] < how.n_best)
    last = ops.min(ops.where(asked, scores, -NEVER), axis=1, keepdims=True)  # no slice: see above
    return ops.logical_and(ended, hope <= last)


def _bounds(how: Decoding, token_ids):
    """Places among the chosen from which a text may end, or None, and chosen tokens at most: (B, 1), or one for all."""
    least = how.min_length or None
    most = how.length
    if how.min_ratio or how.max_ratio is not None:
        tokens = ops.sum(ops.cast(ops.not_equal(token_ids, PAD_ID), "float32"), axis=1, keepdims=True)
        tokens = ops.maximum(tokens - 1.0, 1.0)  # without the end mark
        if how.min_ratio:
            least = ops.maximum(ops.cast(ops.ceil(tokens * how.min_ratio), "int32"), how.min_length)
            least = ops.minimum(least, how.length)
        if how.max_ratio is not None:
            # One more for the end mark.
            most = ops.minimum(ops.cast(ops.ceil(tokens * how.max_ratio), "int32") + 1, how.length)
    return least, most


def _begun(prompt):
    """A row without any token gets the begin mark; the other rows stay."""
    first = ops.equal(ops.arange(ops.shape(prompt)[1], dtype="int32"), 0)
    empty = ops.logical_and(ops.equal(prompt, PAD_ID), ops.expand_dims(first, 0))
    return ops.where(empty, BOS_ID, prompt)


def _size(x, axis: int):
    """Of an axis; a number where it is known."""
    return ops.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]


def _flat(x):
    """(B, N, ...) -> (B * N, ...)"""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def _rows(x, times: int):
    """(B, 1) -> (B * N, 1), or what is one for all."""
    return ops.repeat(x, times, axis=0) if len(x.shape) and times > 1 else x
