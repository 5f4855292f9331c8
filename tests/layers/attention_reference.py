"""Attention over a memory and its decoders once more, in NumPy and float64, one sentence and one step after the
other, written from the papers' equations: what test_attention.py compares with."""

from __future__ import annotations

import numpy as np


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def exact(variable):
    return np.asarray(variable, "float64")


def score(layer, query, state):
    """How well one query fits one state of the memory."""
    kind = getattr(layer, "score", "bahdanau")
    if kind == "dot":
        return query @ state
    projected = state @ exact(layer.memory_dense.kernel)
    if kind == "general":
        return query @ projected
    asked = query @ exact(layer.query_dense.kernel)
    if kind == "bahdanau":
        asked = asked + exact(layer.query_dense.bias)
    return exact(layer.v) @ np.tanh(asked + projected)


def attention(layer, query, memory, mask):
    """Context (B, M) and weights (B, S) for queries (B, U)."""
    weights = np.zeros(memory.shape[:2])
    for b in range(len(memory)):
        seen = np.flatnonzero(mask[b])
        weights[b, seen] = softmax(np.array([score(layer, query[b], memory[b, j]) for j in seen]))
    return np.einsum("bs,bsm->bm", weights, memory), weights


def recurrent_step(kind, x, h, recurrent_kernel, recurrent_bias, states):
    """The next states, h first, from what the input gives to the gates (x) and the last states."""
    product = h @ recurrent_kernel + recurrent_bias
    if kind == "simple_rnn":
        return [np.tanh(x + product)]
    if kind == "lstm":
        i, f, g, o = np.split(x + product, 4, axis=-1)
        c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]
    (x_z, x_r, x_n), (h_z, h_r, h_n) = np.split(x, 3, axis=-1), np.split(product, 3, axis=-1)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    return [z * h + (1.0 - z) * np.tanh(x_n + r * h_n)]


def decoder(layer, inputs, memory, mask, states):
    """Outputs (B, T, ...), alignments (B, T, S) and last states of an AttentionDecoder."""
    settings, cell = layer.get_config(), layer.cell
    kind, weights = settings["cell"], cell.recurrent.cell
    bias = exact(weights.bias)
    input_bias, recurrent_bias = bias if kind == "gru" else (bias, 0.0)
    states, outputs, alignments = [exact(s) for s in states], [], []
    fed = np.zeros_like(states[0])
    for t in range(inputs.shape[1]):
        x = inputs[:, t] @ exact(weights.kernel) + input_bias
        if settings["attention"] == "bahdanau":
            context, alpha = attention(cell.attention, states[0], memory, mask)
            x = x + context @ exact(cell.context_kernel)
        elif settings["input_feeding"]:
            x = x + fed @ exact(cell.context_kernel)
        states = recurrent_step(kind, x, states[0], exact(weights.recurrent_kernel), recurrent_bias, states)
        if settings["attention"] == "bahdanau":
            outputs.append(np.concatenate([states[0], context], -1))
        else:
            context, alpha = attention(cell.attention, states[0], memory, mask)
            fed = np.tanh(np.concatenate([context, states[0]], -1) @ exact(cell.output_dense.kernel))
            outputs.append(fed)
        alignments.append(alpha)
    states = [*states, fed] if settings["input_feeding"] else states
    return np.stack(outputs, 1), np.stack(alignments, 1), states
