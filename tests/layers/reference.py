"""The layers once more, in NumPy and float64, written from the papers' equations: what the tests compare with."""

from __future__ import annotations

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def dense(layer, x):
    y = x @ np.asarray(layer.kernel, "float64")
    return y + np.asarray(layer.bias, "float64") if layer.use_bias else y


def multi_head(layer, query, memory, allowed):
    """One head after the other, one query after the other; `allowed` (B, T, S)."""
    q, k, v = (
        dense(layer.query_dense, query),
        dense(layer.key_dense, memory),
        dense(layer.value_dense, memory),
    )
    width = q.shape[-1] // layer.num_heads
    joined = np.zeros_like(q)
    for b in range(q.shape[0]):
        for head in range(layer.num_heads):
            part = slice(head * width, (head + 1) * width)
            for t in range(q.shape[1]):
                seen = np.flatnonzero(allowed[b, t])
                weights = softmax(k[b, seen, part] @ q[b, t, part] / np.sqrt(width))
                joined[b, t, part] = weights @ v[b, seen, part]
    return dense(layer.output_dense, joined)
