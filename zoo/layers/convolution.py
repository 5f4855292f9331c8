"""Convolution over the tokens of a text, padding left out."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("zoo")
class MaskedConv1D(keras.layers.Conv1D):
    """Filters that slide over a text and see zeros wherever it has no token.

    `y_t = f(sum_k x_{t+k-p} W_k + b)`, k = 0 ... K-1, x = 0 outside the text and at padding; p = (K-1)//2 with
    "same" padding and K-1 with "causal". Keras's Conv1D reads whatever vectors stand at padding, so that
    the last tokens of a text depend on its neighbours in the batch.

    The weights are those of Keras's Conv1D: kernel (K, D, F), bias (F,).

    Args:
        filters: F.
        kernel_size: K, in tokens.
        padding: "same" (as much context on either side, one more on the right if K is even) or "causal" (the
            past alone). One place out for each place in.
        activation: f; None for none.
        dilation_rate: distance between the tokens that a filter sees together; p grows with it.
        kwargs: use_bias, initializers, regularizers and constraints as in Keras.

    Call arguments:
        inputs: (B, T, D).
        padding_mask: (B, T) bool, True = is a token; all by default.

    Returns: (B, T, F).

    Masking: by `padding_mask`. What stands at padding in the output must not be read; the next layer of this
    class takes zeros instead.

    Errors: a ValueError for another padding, or with strides, which would need another mask behind it.

    Differs from the paper: Kim's filters also stand half outside the text, as far as one token reaches in; here
    the middle of a filter stands on a token.

    Example:
        >>> import numpy as np
        >>> layer = MaskedConv1D(1, kernel_size=3, kernel_initializer="ones")
        >>> x, mask = np.ones((1, 4, 1), "float32"), np.array([[True, True, True, False]])
        >>> layer(x, mask).numpy()[0, :3, 0].tolist()
        [2.0, 3.0, 2.0]

    Reference: Collobert et al. 2011, arXiv:1103.0398, section 3.2; Kim 2014, arXiv:1408.5882, section 2
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        padding: str = "same",
        activation=None,
        dilation_rate=1,
        **kwargs,
    ):
        super().__init__(
            filters,
            kernel_size,
            padding=padding,
            activation=activation,
            dilation_rate=dilation_rate,
            **kwargs,
        )
        if self.padding not in ("same", "causal"):
            raise ValueError(f"padding must be 'same' or 'causal', not {padding!r}")
        if max(self.strides) > 1:
            raise ValueError(f"strides must be 1, not {self.strides[0]}")

    def build(self, inputs_shape, padding_mask_shape=None):
        super().build(inputs_shape)

    def call(self, inputs, padding_mask=None):
        if padding_mask is not None:
            inputs = ops.where(ops.expand_dims(padding_mask, -1), inputs, ops.zeros_like(inputs))
        return super().call(inputs)

    def compute_output_shape(self, inputs_shape, padding_mask_shape=None):
        return (*inputs_shape[:-1], self.filters)
