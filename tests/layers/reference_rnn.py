"""Recurrent layers once more, in NumPy and float64, step by step, from the equations of zoo/layers/cells.py."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def simple_rnn(x, states, weights):
    kernel, recurrent, bias = weights
    (h,) = states
    return [np.tanh(x @ kernel + h @ recurrent + bias)], {}


def lstm(x, states, weights):
    kernel, recurrent, bias = weights
    h, c = states
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * np.tanh(c)
    return [h, c], {"input": i, "forget": f, "candidate": g, "output": o, "cell": c}


def gru(x, states, weights):
    kernel, recurrent, bias = weights
    (h,) = states
    if bias.ndim == 2:  # reset after the product
        x_z, x_r, x_n = np.split(x @ kernel + bias[0], 3, axis=-1)
        h_z, h_r, h_n = np.split(h @ recurrent + bias[1], 3, axis=-1)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        n = np.tanh(x_n + r * h_n)
    else:
        x_z, x_r, x_n = np.split(x @ kernel + bias, 3, axis=-1)
        r_z, r_r, r_n = np.split(recurrent, 3, axis=-1)
        z, r = sigmoid(x_z + h @ r_z), sigmoid(x_r + h @ r_r)
        n = np.tanh(x_n + (r * h) @ r_n)
    h = z * h + (1.0 - z) * n
    return [h], {"update": z, "reset": r, "candidate": n}


def run(step, weights, sequences, states, mask):
    """All steps of one layer: h (B, T, U), last states, and what each step shows, (B, T, U) by name.

    A masked step changes no state, and shows once more what the step before showed.
    """
    weights = [np.asarray(w, "float64") for w in weights]
    states = [np.asarray(s, "float64") for s in states]
    shown: dict = {}
    for t in range(sequences.shape[1]):
        seen = mask[:, t, np.newaxis]
        new, parts = step(np.asarray(sequences[:, t], "float64"), states, weights)
        states = [np.where(seen, n, old) for n, old in zip(new, states, strict=True)]
        for name, value in {"hidden": new[0], **parts}.items():
            before = shown[name][-1] if name in shown else np.zeros_like(value)
            shown.setdefault(name, []).append(np.where(seen, value, before))
    stacked = {name: np.stack(values, axis=1) for name, values in shown.items()}
    return stacked.pop("hidden"), states, stacked
