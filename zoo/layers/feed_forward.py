"""The position-wise feed-forward layer of the Transformer, plain or with a gate."""

from __future__ import annotations

import keras

from zoo.layers.dropout import Dropout

GATED = {"geglu": "gelu", "swiglu": "silu"}
"""Activations with a gate -> the function of the gated half."""


@keras.saving.register_keras_serializable("zoo")
class FeedForward(keras.layers.Layer):
    """Two linear layers with a non-linearity between them, the same at every position.

    `FFN(x) = f(x W_1 + b_1) W_2 + b_2`, f = ReLU in the paper. With a gate, a third matrix decides how
    much of each number passes: `FFN(x) = (f(x W_1 + b_1) * (x V + c)) W_2 + b_2`, f = GELU ("geglu") or
    f(z) = z sigmoid(z) ("swiglu").

    Args:
        intermediate_dim: width between the two.
        activation: f ("relu", "gelu", or any that Keras knows), or "geglu" or "swiglu".
        dropout: dropout after f, or after the gate.

    Call arguments:
        inputs: (B, T, D).

    Returns: (B, T, D).

    Masking: none needed; positions do not meet.

    Differs from the paper: optional dropout after f; the gated forms have biases like the others. Shazeer
    takes 2/3 of the width with a gate, so that the number of weights stays: say so in intermediate_dim.

    Example:
        >>> import numpy as np
        >>> FeedForward(16, activation="geglu")(np.ones((2, 3, 8), "float32")).shape
        TensorShape([2, 3, 8])

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.3; gates: Shazeer 2020, arXiv:2002.05202,
    section 2
    """

    def __init__(self, intermediate_dim: int, activation: str = "relu", dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.intermediate_dim, self.activation, self.dropout = intermediate_dim, activation, dropout

    def build(self, input_shape):
        dtype = self.dtype_policy
        function = GATED.get(self.activation, self.activation)
        self.inner = keras.layers.Dense(self.intermediate_dim, activation=function, name="inner", dtype=dtype)
        self.gate = None
        if self.activation in GATED:
            self.gate = keras.layers.Dense(self.intermediate_dim, name="gate", dtype=dtype)
            self.gate.build(input_shape)
        self.outer = keras.layers.Dense(input_shape[-1], name="outer", dtype=dtype)
        self.dropout_layer = Dropout(self.dropout, dtype=dtype)
        self.inner.build(input_shape)
        self.outer.build((*input_shape[:-1], self.intermediate_dim))

    def call(self, inputs, training=None):
        x = self.inner(inputs)
        if self.gate is not None:
            x = x * self.gate(inputs)
        return self.outer(self.dropout_layer(x, training=training))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("intermediate_dim", "activation", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
