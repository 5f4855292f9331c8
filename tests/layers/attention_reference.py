"""Attention over a memory and its decoders once more, in NumPy and float64, one sentence and one step after the
other, written from the papers' equations: what test_attention.py compares with."""

from __future__ import annotations

import numpy as np
import reference_rnn


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


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


def decoder(layer, inputs, memory, mask, states):
    """Outputs (B, T, ...), alignments (B, T, S) and last states of an AttentionDecoder.

    What attention gives is more input to the recurrent cell, `[x; c] [W; C]`.
    """
    settings, cell = layer.get_config(), layer.cell
    step = getattr(reference_rnn, settings["cell"])
    kernel, recurrent, bias = (exact(w) for w in cell.recurrent.cell.get_weights())
    if cell.enters:
        kernel = np.concatenate([kernel, exact(cell.context_kernel)])
    states, outputs, alignments = [exact(s) for s in states], [], []
    fed = np.zeros_like(states[0])
    for t in range(inputs.shape[1]):
        x = exact(inputs[:, t])
        if settings["attention"] == "bahdanau":
            context, alpha = attention(cell.attention, states[0], memory, mask)
            states, _ = step(np.concatenate([x, context], -1), states, (kernel, recurrent, bias))
            outputs.append(np.concatenate([states[0], context], -1))
        else:
            x = np.concatenate([x, fed], -1) if settings["input_feeding"] else x
            states, _ = step(x, states, (kernel, recurrent, bias))
            context, alpha = attention(cell.attention, states[0], memory, mask)
            fed = np.tanh(np.concatenate([context, states[0]], -1) @ exact(cell.output_dense.kernel))
            outputs.append(fed)
        alignments.append(alpha)
    states = [*states, fed] if settings["input_feeding"] else states
    return np.stack(outputs, 1), np.stack(alignments, 1), states
