"""Where a token stands: added to its embedding, for attention itself has no order."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class SinusoidalPositionalEncoding(keras.layers.Layer):
    """Adds sines and cosines of geometrically growing wavelengths to the embeddings.

    `PE(pos, 2i) = sin(pos / 10000^(2i/D))`, `PE(pos, 2i+1) = cos(pos / 10000^(2i/D))`. The values are
    computed, not stored, so there is no longest sequence.

    Args:
        max_wavelength: 10000 in the paper.

    Call arguments:
        inputs: embeddings (B, T, D); D is even.
        start: position of the first token, an int or a scalar tensor (a step of a decoder).

    Returns: (B, T, D), inputs + PE.

    Masking: none needed; padding receives positions too and is masked where it is attended to.

    Errors: a ValueError for an odd D.

    Differs from the paper: nothing.

    Example:
        >>> import numpy as np
        >>> table = SinusoidalPositionalEncoding()(np.zeros((1, 2, 512), "float32"))
        >>> [round(float(v), 6) for v in table[0, 1, :2]]
        [0.841471, 0.540302]

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.5
    """

    def __init__(self, max_wavelength: float = 10000.0, **kwargs):
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength

    def build(self, input_shape):
        if input_shape[-1] % 2:
            raise ValueError(f"sinusoidal positions need an even width, got {input_shape[-1]}")

    def call(self, inputs, start=0):
        width, length = inputs.shape[-1], ops.shape(inputs)[1]
        rates = self.max_wavelength ** (-np.arange(0, width, 2, dtype="float64") / width)
        positions = ops.cast(ops.arange(length) + start, "float32")
        angles = ops.expand_dims(positions, 1) * ops.convert_to_tensor(rates.astype("float32"))
        table = ops.reshape(ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1), (1, length, width))
        return inputs + ops.cast(table, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}


@keras.saving.register_keras_serializable("zoo")
class LearnedPositionalEncoding(keras.layers.Layer):
    """Adds a learned vector for each position to the embeddings.

    `y_t = x_t + P_t`, with `P` a matrix (max_sequence_length, D).

    Args:
        max_sequence_length: how many positions there are; nothing longer can be read.

    Call arguments:
        inputs: embeddings (B, T, D).
        start: position of the first token, an int or a scalar tensor (a step of a decoder).

    Returns: (B, T, D), inputs + P[start : start + T].

    Masking: none needed; padding receives positions too and is masked where it is attended to.

    Errors: a ValueError where a length that is known when the graph is made exceeds max_sequence_length.
    A length known only at run time is not looked at: TensorFlow's CPU kernel refuses it, XLA, JAX and a GPU
    read other positions. `check` says it beforehand.

    Differs from the paper: nothing; the paper makes them as wide as the words, and adds them as here.

    Example:
        >>> import numpy as np
        >>> layer = LearnedPositionalEncoding(max_sequence_length=16)
        >>> layer(np.zeros((2, 5, 8), "float32")).shape
        TensorShape([2, 5, 8])

    Reference: Gehring et al. 2017, arXiv:1705.03122, section 3.1
    """

    def __init__(self, max_sequence_length: int, **kwargs):
        super().__init__(**kwargs)
        self.max_sequence_length = max_sequence_length

    def build(self, input_shape):
        self.table = self.add_weight(
            name="table",
            shape=(self.max_sequence_length, input_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, inputs, start=0):
        width, length = inputs.shape[-1], ops.shape(inputs)[1]
        if isinstance(length, int):
            self.check(length + start if isinstance(start, int) else length)
        rows = ops.slice(ops.convert_to_tensor(self.table), (start, 0), (length, width))
        return inputs + ops.cast(ops.expand_dims(rows, 0), inputs.dtype)

    def check(self, length: int):
        """A ValueError when there are fewer positions than `length`."""
        if length > self.max_sequence_length:
            raise ValueError(
                f"a sequence of {length} positions, but max_sequence_length is {self.max_sequence_length}: "
                "shorten the text or raise max_sequence_length and train again"
            )

    def get_config(self):
        return {**super().get_config(), "max_sequence_length": self.max_sequence_length}
