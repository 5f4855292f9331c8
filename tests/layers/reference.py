"""The layers once more, in NumPy and float64, written from the papers' equations: what the tests compare with."""

from __future__ import annotations

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def dense(layer, x):
    y = x @ np.asarray(layer.kernel, "float64")
    return y + np.asarray(layer.bias, "float64") if layer.use_bias else y


def layer_norm(layer, x, epsilon=1e-6):
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
    return normal * np.asarray(layer.gamma, "float64") + np.asarray(layer.beta, "float64")


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


def feed_forward(layer, x):
    return dense(layer.outer, np.maximum(dense(layer.inner, x), 0.0))


def residual(block, norm, x, sublayer):
    if block.normalize_first:
        return x + sublayer(layer_norm(norm, x))
    return layer_norm(norm, x + sublayer(x))


def encoder_block(block, x, allowed):
    x = residual(block, block.attention_norm, x, lambda y: multi_head(block.attention, y, y, allowed))
    return residual(block, block.feed_forward_norm, x, lambda y: feed_forward(block.feed_forward, y))


def decoder_block(block, x, memory, allowed, memory_allowed):
    x = residual(
        block, block.self_attention_norm, x, lambda y: multi_head(block.self_attention, y, y, allowed)
    )
    x = residual(
        block,
        block.cross_attention_norm,
        x,
        lambda y: multi_head(block.cross_attention, y, memory, memory_allowed),
    )
    return residual(block, block.feed_forward_norm, x, lambda y: feed_forward(block.feed_forward, y))


def additive_attention(layer, query, memory, mask):
    """One sentence after the other: context (B, M), weights (B, S)."""
    v, weights = np.asarray(layer.v, "float64"), np.zeros(memory.shape[:2])
    for b in range(len(memory)):
        seen = np.flatnonzero(mask[b])
        scores = [
            v @ np.tanh(dense(layer.query_dense, query[b]) + dense(layer.memory_dense, memory[b, j]))
            for j in seen
        ]
        weights[b, seen] = softmax(np.array(scores))
    return np.einsum("bs,bsm->bm", weights, memory), weights


def attention_lstm_step(cell, gates, h, c, memory, mask):
    """One step from the gate inputs x W + b: `[h; context]`, h, c."""
    context, _ = additive_attention(cell.attention, h, memory, mask)
    gates = gates + h @ np.asarray(cell.recurrent_kernel, "float64")
    gates = gates + context @ np.asarray(cell.context_kernel, "float64")
    i, f, g, o = np.split(gates, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return np.concatenate([h, context], -1), h, c
