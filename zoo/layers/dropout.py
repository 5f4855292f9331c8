"""Dropout by multiplicative hashing: random numbers for rows and columns, not for every place.

A random number for each place is a large part of a training step on a CPU. Here the R rows and the C columns of a
tensor have one each, and a place is dropped by the high bits of the product of its two: one multiplication and one
comparison. Over random odd factors such hashes are pairwise independent up to rounding; the tests look at more.
"""

from __future__ import annotations

import math

import keras
from keras import ops


def drop(x, rate: float, drawn):
    """x with each number set to 0 with probability `rate`, the others divided by `1 - rate`.

    Args:
        x: (..., C).
        rate: below 1.
        drawn: what `SeedGenerator.next()` gave; the same draw drops the same places.
    """
    shape, columns = ops.shape(x), x.shape[-1] if x.shape[-1] is not None else ops.shape(x)[-1]
    rows = math.prod(shape[:-1])
    numbers = keras.random.randint((rows + columns,), 0, 2**31 - 1, dtype="int32", seed=_Drawn(drawn))
    odd = 2 * numbers + 1  # of 32 bits: what is above them is lost, as it should be
    hashed = ops.expand_dims(odd[:rows], 1) * ops.expand_dims(odd[rows:], 0)
    kept = ops.greater_equal(hashed, round(rate * 2**32) - 2**31)
    factors = ops.where(kept, ops.cast(1.0 / (1.0 - rate), x.dtype), ops.cast(0.0, x.dtype))
    return ops.reshape(ops.reshape(x, (rows, columns)) * factors, shape)


class _Drawn(keras.random.SeedGenerator):
    """A seed that has been drawn already, where Keras wants the generator."""

    def __init__(self, seed):
        self.seed = seed

    def next(self, ordered=True):
        return self.seed


@keras.saving.register_keras_serializable("zoo")
class Dropout(keras.layers.Layer):
    """In training each number is forgotten with a probability, so that none can be relied upon alone.

    `y = x * m / (1 - rate)`, m = 0 with probability rate, else 1. The m of row i and column j is
    `[r_i c_j mod 2^32 >= rate 2^32]` for random odd r and c.

    Args:
        rate: the probability.
        seed: of the random numbers; None: another one each time.

    Call arguments:
        inputs: (..., D).

    Returns: (..., D), outside training the inputs.

    Masking: none needed; places do not meet.

    Errors: a ValueError for a rate below 0, or of 1 and more.

    Differs from the paper: what is kept is scaled in training and not afterwards; m has R + D random numbers and
    not R D, see the module.

    Example:
        >>> import numpy as np
        >>> y = Dropout(0.5, seed=1)(np.ones((100, 100), "float32"), training=True)
        >>> bool(0.9 < float(y.numpy().mean()) < 1.1)
        True

    Reference: Srivastava et al. 2014, Dropout: A Simple Way to Prevent Neural Networks from Overfitting, JMLR 15;
        the hash: Dietzfelbinger et al. 1997, A Reliable Randomized Algorithm for the Closest-Pair Problem, section 2
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate must be at least 0 and below 1, not {rate}")
        self.rate, self.seed = rate, seed
        if rate:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking, self.built = True, True

    def call(self, inputs, training=None):
        if not (training and self.rate):
            return inputs
        return drop(inputs, self.rate, self.seed_generator.next())

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
