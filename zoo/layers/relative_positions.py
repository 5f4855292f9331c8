"""Where tokens stand to each other: what acts inside attention, and depends on distances only."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

from zoo.layers.portable import float32


@keras.saving.register_keras_serializable("zoo")
class RotaryEmbedding(keras.layers.Layer):
    """Turns queries and keys by angles that grow with their positions.

    `x'_i = x_i cos(t w_i) - x_{i+K/2} sin(t w_i)`, `x'_{i+K/2} = x_{i+K/2} cos(t w_i) + x_i sin(t w_i)`,
    `w_i = max_wavelength^(-2i/K)`, for i < K/2 and the position t. The product of a turned query with a turned
    key depends on the distance of their positions alone.

    Args:
        max_wavelength: 10000 in the paper.

    Call arguments:
        inputs: queries or keys (B, H, T, K); K is even.
        start: position of the first one, an int or a scalar tensor (a step of a decoder).
        positions: (B, T) int, where they stand if not from `start` on.

    Returns: (B, H, T, K), turned; lengths stay as they are.

    Masking: none needed.

    Errors: a ValueError for an odd K.

    Differs from the paper: number i is paired with number i + K/2 (as in GPT-NeoX and KerasHub), not with its
    neighbour. That is the same up to the order of the columns of W^Q and W^K.

    Example:
        >>> import numpy as np
        >>> queries = np.ones((1, 2, 3, 4), "float32")
        >>> turned = RotaryEmbedding()(queries)
        >>> [round(float(v), 6) for v in turned[0, 0, 1]]  # position 1: by 1 and by 0.01
        [-0.301169, 0.98995, 1.381773, 1.00995]

    Reference: Su et al. 2021, arXiv:2104.09864, section 3.2
    """

    def __init__(self, max_wavelength: float = 10000.0, **kwargs):
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength

    def build(self, input_shape):
        if input_shape[-1] % 2:
            raise ValueError(f"rotary positions need an even head width, got {input_shape[-1]}")

    def call(self, inputs, start=0, positions=None):
        width = inputs.shape[-1]
        rates = self.max_wavelength ** (-np.arange(0, width, 2, dtype="float64") / width)
        if positions is None:
            positions = ops.expand_dims(ops.arange(ops.shape(inputs)[2]) + start, 0)
        positions = ops.expand_dims(ops.expand_dims(ops.cast(positions, "float32"), 1), -1)
        angles = positions * ops.convert_to_tensor(rates.astype("float32"))  # (1 or B, 1, T, K/2)
        cos, sin = ops.cos(angles), ops.sin(angles)
        first, second = ops.split(float32(inputs), 2, axis=-1)
        turned = ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return ops.cast(turned, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}


@keras.saving.register_keras_serializable("zoo")
class ALiBi(keras.layers.Layer):
    """Attention with linear biases: the farther a key, the lower its score, in each head at its own rate.

    `bias_h(i, j) = -m_h |i - j|`, `m_h = 2^(-8h/H)` for h = 1..H, added to the scores of query i and key j.

    Args:
        num_heads: H.

    Call arguments:
        query_positions: (T,) int.
        key_positions: (S,) int.

    Returns: (1, H, T, S), float32: the `attention_bias` of `MultiHeadAttention`. No weights.

    Masking: none; under a causal mask the distance |i - j| is the paper's i - j.

    Differs from the paper: |i - j| also serves encoders, which see both sides. Where H is no power of two the
    slopes are those of the paper's code: of the power below, then every other one of the power above.

    Example:
        >>> import numpy as np
        >>> ALiBi(num_heads=8)(np.array([2]), np.arange(3))[0, 0].numpy().tolist()
        [[-1.0, -0.5, 0.0]]

    Reference: Press et al. 2022, arXiv:2108.12409, section 3
    """

    def __init__(self, num_heads: int, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads

    def build(self, query_positions_shape=None, key_positions_shape=None):
        pass

    def call(self, query_positions, key_positions):
        nearness = ops.cast(-ops.abs(_relative(query_positions, key_positions)), "float32")
        slopes = np.reshape(np.array(self.slopes(), "float32"), (1, -1, 1, 1))
        return ops.convert_to_tensor(slopes) * nearness

    def slopes(self) -> list[float]:
        power = 2 ** int(math.log2(self.num_heads))
        powers = [2.0 ** (-8.0 * h / power) for h in range(1, power + 1)]
        between = [2.0 ** (-4.0 * h / power) for h in range(1, 2 * power + 1, 2)]
        return powers + between[: self.num_heads - power]

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}


@keras.saving.register_keras_serializable("zoo")
class T5RelativeBias(keras.layers.Layer):
    """A learned number for each head and each bucket of distances, added to the scores.

    `bias_h(i, j) = B[bucket(j - i), h]`. Of the n buckets of one direction the first n/2 hold one distance
    each, the others ever wider ranges up to max_distance: `bucket(d) = n/2 + floor(n/2 * log(d / (n/2)) /
    log(max_distance / (n/2)))`; the last one holds all that is farther.

    Args:
        num_heads: H.
        num_buckets: of both directions together when bidirectional.
        max_distance: from here on all distances are one.
        bidirectional: half of the buckets for keys after the query; without it they count as distance 0.

    Call arguments:
        query_positions: (T,) int.
        key_positions: (S,) int.

    Returns: (1, H, T, S), float32: the `attention_bias` of `MultiHeadAttention`.

    Masking: none; a decoder (bidirectional=False) masks later keys by its causal mask.

    Errors: a ValueError when there are too few buckets, or max_distance lies among the exact ones.

    Differs from the paper: T5 does not scale its scores by 1/sqrt(K), our attention does. As there, the blocks
    of a stack share one layer.

    Example:
        >>> import numpy as np
        >>> T5RelativeBias(num_heads=4)(np.arange(3), np.arange(5)).shape
        TensorShape([1, 4, 3, 5])

    Reference: Raffel et al. 2020, arXiv:1910.10683, section 2.1
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        exact = num_buckets // (4 if bidirectional else 2)
        if not 1 <= exact < max_distance:
            raise ValueError(
                f"num_buckets {num_buckets} gives {exact} exact distances, "
                f"but 1 at least and less than max_distance {max_distance} are needed"
            )
        self.num_heads, self.num_buckets = num_heads, num_buckets
        self.max_distance, self.bidirectional = max_distance, bidirectional

    def build(self, query_positions_shape=None, key_positions_shape=None):
        self.table = self.add_weight(
            name="table",
            shape=(self.num_buckets, self.num_heads),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, query_positions, key_positions):
        # Distances beyond max_distance are one bucket, so a short table holds the bucket of each of them.
        far = self.max_distance
        relative = ops.clip(-_relative(query_positions, key_positions), -far, far) + far  # (T, S)
        buckets = np.array([self.bucket(offset) for offset in range(-far, far + 1)], "int32")
        biases = ops.take(ops.transpose(float32(ops.convert_to_tensor(self.table))), buckets, axis=1)
        return ops.expand_dims(ops.take(biases, relative, axis=1), 0)

    def bucket(self, offset: int) -> int:
        """Of a key `offset` positions after its query, in whole numbers, so that no rounding decides."""
        count = self.num_buckets // 2 if self.bidirectional else self.num_buckets
        first = count if self.bidirectional and offset > 0 else 0
        distance = abs(offset) if self.bidirectional else max(-offset, 0)
        exact = count // 2
        wide, bucket = count - exact, 0
        if distance < exact:
            return first + distance
        # floor(wide * log(distance / exact) / log(max_distance / exact)), with the logarithms undone
        while (
            bucket + 1 < wide
            and distance**wide * exact ** (bucket + 1) >= self.max_distance ** (bucket + 1) * exact**wide
        ):
            bucket += 1
        return first + exact + bucket

    def get_config(self):
        names = ("num_heads", "num_buckets", "max_distance", "bidirectional")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _relative(query_positions, key_positions):
    """How far each query stands after each key: (T,), (S,) -> (T, S)."""
    return ops.expand_dims(query_positions, 1) - ops.expand_dims(key_positions, 0)
