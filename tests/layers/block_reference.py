"""Norms, feed-forward and blocks of the Transformer once more, in NumPy and float64, from the papers' equations."""

from __future__ import annotations

import math

import numpy as np


def exact(weight):
    return np.asarray(weight, "float64")


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def dense(layer, x):
    return x @ exact(layer.kernel) + exact(layer.bias)


def gelu(x):
    return x * 0.5 * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))


def silu(x):
    return x / (1.0 + np.exp(-x))


def norm(layer, x, kind="layer"):
    """One vector after the other; batch: with the moving averages."""
    if kind == "batch":
        normal = (x - exact(layer.moving_mean)) / np.sqrt(exact(layer.moving_variance) + layer.epsilon)
        return normal * exact(layer.gamma) + exact(layer.beta)
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape[:-1]):
        v = np.asarray(x[place], "float64")
        if kind == "rms":
            y[place] = exact(layer.scale) * v / math.sqrt((v @ v) / len(v) + layer.epsilon)
        else:
            mean = sum(v) / len(v)
            variance = sum((v - mean) ** 2) / len(v)
            y[place] = exact(layer.gamma) * (v - mean) / math.sqrt(variance + layer.epsilon) + exact(
                layer.beta
            )
    return y


def feed_forward(layer, x):
    functions = {"relu": lambda z: np.maximum(z, 0.0), "gelu": gelu, "geglu": gelu, "swiglu": silu}
    hidden = functions[layer.activation](dense(layer.inner, x))
    if layer.activation in ("geglu", "swiglu"):
        hidden = hidden * dense(layer.gate, x)
    return dense(layer.outer, hidden)


def rotate(vector, position):
    """Pairs (i, i + K/2) as complex numbers, turned by the angle position * 10000^(-2i/K)."""
    half = len(vector) // 2
    turned = (vector[:half] + 1j * vector[half:]) * np.exp(
        1j * position * 10000.0 ** (-2.0 * np.arange(half) / len(vector))
    )
    return np.concatenate([turned.real, turned.imag])


def transformer_xl(layer, head, query, t, keys):
    """((q + u) k_j + (q + v) W_R r_{t-j}) / sqrt(K), one key after the other."""
    width, rates = len(query), 10000.0 ** (-np.arange(0, layer.width, 2) / layer.width)
    kernel = exact(layer.kernel).reshape(layer.width, layer.num_heads, width)[:, head]
    u, v = exact(layer.content_bias)[head, 0], exact(layer.position_bias)[head, 0]
    scores = []
    for j, key in enumerate(keys):
        r = np.concatenate([np.sin((t - j) * rates), np.cos((t - j) * rates)])
        scores.append(((query + u) @ key + (query + v) @ (r @ kernel)) / math.sqrt(width))
    return np.array(scores)


def attention(layer, query, memory, allowed, bias=None):
    """One head after the other, one query after the other; `allowed` (B, T, S), bias (H, T, S)."""
    q, k, v = (
        dense(layer.query_dense, query),
        dense(layer.key_dense, memory),
        dense(layer.value_dense, memory),
    )
    width, group = layer.head_dim, layer.num_heads // layer.num_key_value_heads
    joined, seen = np.zeros(q.shape), np.zeros((len(q), layer.num_heads, q.shape[1], k.shape[1]))
    for b, head, t in np.ndindex(len(q), layer.num_heads, q.shape[1]):
        part = slice(head * width, (head + 1) * width)
        shared = slice(head // group * width, (head // group + 1) * width)
        keys, asked = k[b, :, shared], q[b, t, part]
        if layer.rotary:
            keys = np.stack([rotate(key, s) for s, key in enumerate(keys)])
            asked = rotate(asked, t)
        scores = keys @ asked / (math.sqrt(width) if layer.scale else 1.0)
        if layer.transformer_xl:
            scores = transformer_xl(layer.relative, head, asked, t, keys)
        if bias is not None:
            scores = scores + bias[head, t]
        places = np.flatnonzero(allowed[b, t])
        seen[b, head, t, places] = softmax(scores[places])
        joined[b, t, part] = seen[b, head, t] @ v[b, :, shared]
    return dense(layer.output_dense, joined), seen


def residual(block, name, x, sublayer):
    layer, kind = getattr(block, f"{name}_norm"), block.normalization
    if block.normalize_first:
        return x + sublayer(norm(layer, x, kind))
    return norm(layer, x + sublayer(x), kind)


def encoder_block(block, x, allowed, bias=None):
    x = residual(block, "attention", x, lambda y: attention(block.attention, y, y, allowed, bias)[0])
    return residual(block, "feed_forward", x, lambda y: feed_forward(block.feed_forward, y))


def decoder_block(block, x, memory, allowed, memory_allowed, bias=None):
    x = residual(
        block, "self_attention", x, lambda y: attention(block.self_attention, y, y, allowed, bias)[0]
    )
    x = residual(
        block, "cross_attention", x, lambda y: attention(block.cross_attention, y, memory, memory_allowed)[0]
    )
    return residual(block, "feed_forward", x, lambda y: feed_forward(block.feed_forward, y))
