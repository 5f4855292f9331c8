"""Text that goes on from a prompt: each token is drawn from what the model says about it.

One compiled loop for every model with the protocol of zoo/models/base.py. It draws no random numbers: they
come in as `uniforms`, so the same numbers give the same text in eager TensorFlow, XLA, JAX, SavedModel and
TFLite.
"""

from __future__ import annotations

from keras import ops

from zoo.decoding.tokens import BOS_ID, EOS_ID, PAD_ID, forbid
from zoo.layers.portable import float32

COLDEST = 1e-6
"""Temperatures below it are 0: logits divided by it are still finite."""


def sample(
    model, token_ids, uniforms, length: int, temperature: float, top_k: int | None, top_p: float | None
):
    """Reads the prompt token by token, then draws.

    Args:
        model: a `LanguageModel`, or a `Seq2Seq` model, whose text begins with the begin mark alone.
        token_ids: prompts, (B, S) int32, padded on the right; a row without any token begins with the
            begin mark. Of a `Seq2Seq` model the source.
        uniforms: (B, length) float32 in [0, 1), a number for each token that is drawn.
        length: tokens drawn at most.
        temperature, top_k, top_p: see `choose`.

    Returns: what follows the prompt, (B, length) int32: tokens, the end mark if it came, padding.
    """
    memory = model.encode(token_ids)
    batch = ops.shape(token_ids)[0]
    begin = ops.full((batch, 1), BOS_ID, "int32")
    prompt = memory.get("prompt")
    prompt = begin if prompt is None else _begun(prompt)
    last = ops.sum(ops.cast(ops.not_equal(prompt, PAD_ID), "int32"), axis=1) - 1
    width = prompt.shape[1] if prompt.shape[1] is not None else ops.shape(prompt)[1]
    cache = model.init_cache(memory, width + length)
    places = ops.expand_dims(ops.arange(length, dtype="int32"), 0)  # (1, length)

    def more(position, token, answer, done, cache):
        return ops.logical_not(ops.all(done))

    def step(position, token, answer, done, cache):
        logits, cache = model.step(token, position, cache, memory)
        place = position - last  # (B,): where the next token stands behind the prompt; below 0 it is known
        here = ops.equal(places, ops.expand_dims(place, 1))
        uniform = ops.sum(ops.where(here, uniforms, 0.0), axis=1)
        drawn = ops.where(done, PAD_ID, choose(logits, uniform, temperature, top_k, top_p))
        answer = ops.where(here, ops.expand_dims(drawn, 1), answer)
        known = ops.take(prompt, ops.minimum(position + 1, width - 1), axis=1)
        writes = place >= 0
        ended = ops.logical_or(ops.equal(drawn, EOS_ID), place >= length - 1)
        done = ops.logical_or(done, ops.logical_and(writes, ended))
        return position + 1, ops.where(writes, drawn, known), answer, done, cache

    start = (
        ops.convert_to_tensor(0, "int32"),
        ops.take(prompt, 0, axis=1),
        ops.zeros((batch, length), "int32"),
        ops.zeros((batch,), "bool"),
        cache,
    )
    return ops.while_loop(more, step, start)[2]


def choose(logits, uniform, temperature: float, top_k: int | None, top_p: float | None):
    """The token at which the cumulated probability first exceeds `uniform`: (B,) int32.

    The probabilities are softmax(logits / temperature), cut down to the `top_k` most probable tokens, then to
    the fewest most probable ones that together have at least `top_p`, and scaled to 1 again. They are cumulated
    in the order of the ids, or, where something was cut, of the probabilities; of equal ones the lower id
    comes first. Padding and the begin mark are never chosen.

    Args:
        logits: (B, V).
        uniform: (B,) float32 in [0, 1).
        temperature: 0 takes the most probable token, whatever `uniform` is.
        top_k, top_p: None cuts nothing.
    """
    logits = forbid(float32(logits))
    size = logits.shape[-1]
    if temperature < COLDEST or top_k == 1:
        return ops.cast(ops.squeeze(ops.top_k(logits, 1)[1], -1), "int32")
    logits = forbid((logits - ops.max(logits, axis=-1, keepdims=True)) / temperature)
    index = None
    if top_k is not None or top_p is not None:
        size = min(top_k or size, size)
        logits, index = ops.top_k(logits, size)
    p = ops.softmax(logits, axis=-1)
    if top_p is not None:  # a token stays if those before it have not got so far
        p = ops.where(ops.cumsum(p, axis=-1) - p < top_p, p, 0.0)
    cumulated = ops.cumsum(p, axis=-1)
    target = ops.expand_dims(uniform, 1) * ops.sum(p, axis=-1, keepdims=True)
    places = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
    possible = p > 0.0
    found = ops.min(ops.where(ops.logical_and(possible, cumulated > target), places, size), axis=-1)
    # Rounding may leave nothing above the target: then it is the last that is possible.
    found = ops.minimum(found, ops.max(ops.where(possible, places, 0), axis=-1))
    if index is None:
        return found
    found = ops.take_along_axis(ops.cast(index, "int32"), ops.expand_dims(found, 1), axis=1)
    return ops.squeeze(found, 1)


def join(token_ids, continuation):
    """Prompts (B, S) and what follows them (B, L), without the gap of the padding: (B, S + L) int32."""
    prompt = _begun(token_ids)
    width, length = ops.shape(prompt)[1], continuation.shape[1]
    used = ops.sum(ops.cast(ops.not_equal(prompt, PAD_ID), "int32"), axis=1, keepdims=True)
    places = ops.expand_dims(ops.arange(width + length, dtype="int32"), 0)
    source = ops.where(places < used, places, places - used + width)
    beyond = source >= width + length
    both = ops.concatenate([prompt, continuation], axis=1)
    both = ops.take_along_axis(both, ops.minimum(source, width + length - 1), axis=1)
    return ops.where(beyond, PAD_ID, both)


def _begun(prompt):
    """A row without any token gets the begin mark; the other rows stay."""
    first = ops.equal(ops.arange(ops.shape(prompt)[1], dtype="int32"), 0)
    empty = ops.logical_and(ops.equal(prompt, PAD_ID), ops.expand_dims(first, 0))
    return ops.where(empty, BOS_ID, prompt)
