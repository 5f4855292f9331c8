"""Relative positions as Transformer-XL and XLNet have them: a term of the scores that the query has a say in."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from zoo.layers.portable import float32


@keras.saving.register_keras_serializable("zoo")
class TransformerXLPositions(keras.layers.Layer):
    """Scores of what a key says and of how far away it stands, each as much as the query asks for it.

    `score(i, j) = ((q_i + u) k_j + (q_i + v) W_R r_{i-j}) / sqrt(K)`,
    `r_d = [sin(d w_1), ..., sin(d w_{D/2}), cos(d w_1), ..., cos(d w_{D/2})]`, `w_m = max_wavelength^(-2(m-1)/D)`.

    The layer gives the two parts that attention needs: `q + u`, and the second term as a bias.

    No vector of a distance is ever made. `r_{i-j}` is r_j turned by the angles of i, so the query's side
    `a = W_R^T (q + v)` is turned instead (as `RotaryEmbedding` turns it) and multiplied with r_j. Queries may
    therefore stand anywhere, also at other places in each row, and there are no rows to be shifted.

    Args:
        num_heads: H.
        width: D, the width of r.
        scale: divide by sqrt(K).
        max_wavelength: 10000 in the paper.

    Call arguments:
        queries: (B, H, T, K).
        num_keys: S; the keys stand at 0..S-1.
        start: position of the first query, an int or a scalar tensor; the others follow it.
        positions: (B, T) int, where the queries stand if not from `start` on.

    Returns: a pair of the queries with u added (B, H, T, K), and the bias (B, H, T, S), float32: the
    `attention_bias` of `ScaledDotProductAttention`.

    Masking: none; distances are signed, so that encoders know left from right.

    Errors: a ValueError for an odd width.

    Differs from the paper: nothing is cut off after a segment and none is remembered; sines and cosines turn
    instead of shifting a matrix (the same numbers). Like XLNet each layer has its own u and v.

    Example:
        >>> import numpy as np
        >>> queries = np.ones((2, 4, 3, 8), "float32")
        >>> queries, bias = TransformerXLPositions(num_heads=4, width=32)(queries, num_keys=5)
        >>> bias.shape
        TensorShape([2, 4, 3, 5])

    Reference: Dai et al. 2019, arXiv:1901.02860, section 3.3; turned: Dai et al. 2020, arXiv:2006.03236, appendix A
    """

    def __init__(
        self, num_heads: int, width: int, scale: bool = True, max_wavelength: float = 10000.0, **kwargs
    ):
        super().__init__(**kwargs)
        if width % 2:
            raise ValueError(f"positions are pairs of sine and cosine: the width {width} must be even")
        self.num_heads, self.width, self.scale = num_heads, width, scale
        self.max_wavelength = max_wavelength

    def build(self, queries_shape):
        heads, head_dim = self.num_heads, queries_shape[-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(self.width, heads * head_dim), initializer="glorot_uniform"
        )
        self.content_bias = self.add_weight(
            name="content_bias", shape=(heads, 1, head_dim), initializer="zeros"
        )
        self.position_bias = self.add_weight(
            name="position_bias", shape=(heads, 1, head_dim), initializer="zeros"
        )

    def call(self, queries, num_keys, start=0, positions=None):
        head_dim = queries.shape[-1]
        kernel = ops.reshape(ops.convert_to_tensor(self.kernel), (1, self.width, self.num_heads, head_dim))
        asked = queries + self.position_bias
        if self.scale:
            asked = asked * head_dim**-0.5
        asked = float32(ops.matmul(asked, ops.transpose(kernel, (0, 2, 3, 1))))  # (B, H, T, D)
        if positions is None:
            positions = ops.expand_dims(ops.arange(ops.shape(queries)[2]) + start, 0)
        here = ops.expand_dims(self._angles(positions), 1)  # (1 or B, 1, T, D/2)
        sin, cos = ops.sin(here), ops.cos(here)
        first, second = ops.split(asked, 2, axis=-1)
        # a sin(i - j) + b cos(i - j) = (b sin(i) - a cos(i)) sin(j) + (a sin(i) + b cos(i)) cos(j)
        turned = ops.concatenate([second * sin - first * cos, first * sin + second * cos], axis=-1)
        there = self._angles(ops.expand_dims(ops.arange(num_keys), 0))
        table = ops.expand_dims(ops.concatenate([ops.sin(there), ops.cos(there)], axis=-1), 1)
        table = ops.cast(ops.transpose(table, (0, 1, 3, 2)), self.compute_dtype)  # (1, 1, D, S)
        bias = ops.matmul(ops.cast(turned, self.compute_dtype), table)
        return queries + self.content_bias, float32(bias)

    def _angles(self, positions):
        """(B, T) int -> (B, T, D/2), in float32 whatever the precision."""
        rates = self.max_wavelength ** (-np.arange(0, self.width, 2, dtype="float64") / self.width)
        return ops.expand_dims(ops.cast(positions, "float32"), -1) * ops.convert_to_tensor(
            rates.astype("float32")
        )

    def get_config(self):
        names = ("num_heads", "width", "scale", "max_wavelength")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
