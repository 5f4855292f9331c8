"""From the vectors of all tokens to one vector, padding left out."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.portable import mask_scores


@keras.saving.register_keras_serializable("zoo")
class MaskedPooling(keras.layers.Layer):
    """Maximum or mean over the real tokens of a text, or the last one.

    `y = max_t x_t`, `y = 1/n sum_t x_t` or `y = x_n`, t over the n tokens. Keras's GlobalMaxPooling1D also takes
    the maximum over padding.

    Args:
        mode: "max", "mean" or "last".

    Call arguments:
        inputs: (B, T, D).
        padding_mask: (B, T) bool, True = is a token.

    Returns: (B, D).

    Masking: by `padding_mask`. A row without a token gives 0.

    Errors: a ValueError for another mode.

    Differs from the paper: nothing.

    Example:
        >>> import numpy as np
        >>> x = np.array([[[1.0], [3.0], [9.0]]])
        >>> [float(MaskedPooling(mode)(x, np.array([[True, True, False]]))[0, 0]) for mode in ("max", "mean")]
        [3.0, 2.0]

    Reference: Collobert et al. 2011, arXiv:1103.0398, section 3.2
    """

    def __init__(self, mode: str = "max", **kwargs):
        super().__init__(**kwargs)
        if mode not in ("max", "mean", "last"):
            raise ValueError(f"mode must be 'max', 'mean' or 'last', not {mode!r}")
        self.mode = mode

    def call(self, inputs, padding_mask):
        mask = ops.expand_dims(padding_mask, -1)
        if self.mode == "max":
            largest = ops.max(mask_scores(ops.cast(inputs, "float32"), mask), axis=1)
            return ops.where(ops.any(mask, axis=1), largest, 0.0)
        if self.mode == "last":
            places = ops.expand_dims(ops.arange(1, ops.shape(inputs)[1] + 1), -1)  # (T, 1); 0 is no token
            seen = ops.where(mask, places, 0)
            mask = ops.logical_and(mask, ops.equal(seen, ops.max(seen, axis=1, keepdims=True)))
        weights = ops.cast(mask, "float32")
        total = ops.sum(ops.cast(inputs, "float32") * weights, axis=1)
        return total / ops.maximum(ops.sum(weights, axis=1), 1.0)

    def compute_mask(self, inputs, previous_mask):
        return None  # there is no time left to be masked

    def compute_output_shape(self, inputs_shape, mask_shape=None):
        return (inputs_shape[0], inputs_shape[-1])

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
