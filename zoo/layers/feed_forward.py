"""The position-wise feed-forward layer of the Transformer."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable("zoo")
class FeedForward(keras.layers.Layer):
    """Two linear layers with a non-linearity between them, the same at every position.

    `FFN(x) = f(x W_1 + b_1) W_2 + b_2`, f = ReLU in the paper.

    Args:
        intermediate_dim: width between the two.
        activation: f.
        dropout: dropout after f.

    Call arguments:
        inputs: (B, T, D).

    Returns: (B, T, D).

    Masking: none needed; positions do not meet.

    Differs from the paper: optional dropout after f.

    Example:
        >>> import numpy as np
        >>> FeedForward(16)(np.ones((2, 3, 8), "float32")).shape
        TensorShape([2, 3, 8])

    Reference: Vaswani et al. 2017, arXiv:1706.03762, section 3.3
    """

    def __init__(self, intermediate_dim: int, activation: str = "relu", dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.intermediate_dim, self.activation, self.dropout = intermediate_dim, activation, dropout

    def build(self, input_shape):
        dtype = self.dtype_policy
        self.inner = keras.layers.Dense(
            self.intermediate_dim, activation=self.activation, name="inner", dtype=dtype
        )
        self.outer = keras.layers.Dense(input_shape[-1], name="outer", dtype=dtype)
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=dtype)
        self.inner.build(input_shape)
        self.outer.build((*input_shape[:-1], self.intermediate_dim))

    def call(self, inputs, training=None):
        return self.outer(self.dropout_layer(self.inner(inputs), training=training))

    def get_config(self):
        names = ("intermediate_dim", "activation", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
