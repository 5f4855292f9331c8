"""Normalisation: vectors are brought to one scale, so that deep stacks of layers can be trained.

Layer and RMS normalisation look at one vector at a time; batch normalisation looks at all tokens of a
batch, and therefore must know which of them are padding.

The first two come with their gradient written out. It is what autodiff finds after many steps, in a
handful of operations: the statistics themselves are not differentiated one by one.
"""

from __future__ import annotations

import keras
from keras import ops


def standardize(x, epsilon: float, center: bool = True):
    """Each vector of x divided by its root mean square, after its mean is taken off if `center` says so.

    `y = r c`, `c = x - mean(x)` (or x), `r = 1 / sqrt(mean(c^2) + epsilon)`; with g = dL/dy
    `dL/dx = r (g - mean(g) - y mean(g y))`, without `mean(g)` if nothing is centred.

    Args:
        x: (..., D) float32.
        epsilon: keeps r finite.
        center: whether the mean is taken off.
    """

    def mean(values):
        return ops.mean(values, axis=-1, keepdims=True)

    @ops.custom_gradient
    def function(x):
        c = x - mean(x) if center else x
        r = ops.rsqrt(mean(ops.square(c)) + epsilon)
        y = c * r

        def gradient(upstream):
            g = upstream - y * mean(upstream * y)
            return r * (g - mean(upstream) if center else g)

        return y, gradient

    return function(x)


@keras.saving.register_keras_serializable("zoo")
class LayerNormalization(keras.layers.Layer):
    """Each vector gets mean 0 and variance 1, then a learned scale and offset.

    `y = gamma * (x - mean(x)) / sqrt(var(x) + epsilon) + beta`, mean and variance over the D numbers of
    one vector.

    Args:
        epsilon: keeps the quotient finite for a vector of equal numbers.

    Call arguments:
        inputs: (..., D).

    Returns: (..., D).

    Masking: none needed; positions do not meet.

    Differs from the paper: nothing; computed in float32 under mixed precision. Weights and results are
    those of Keras's layer of the same name.

    Example:
        >>> import numpy as np
        >>> y = LayerNormalization()(np.array([[1.0, 2.0, 3.0]]))
        >>> [round(float(v), 4) for v in y[0]]
        [-1.2247, 0.0, 1.2247]

    Reference: Ba et al. 2016, arXiv:1607.06450, section 3
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, inputs_shape):
        shape = (inputs_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)

    def call(self, inputs):
        normal = standardize(ops.cast(inputs, "float32"), self.epsilon)
        return ops.cast(normal * self.gamma + self.beta, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("zoo")
class RMSNormalization(keras.layers.Layer):
    """Each vector gets a root mean square of 1, then a learned scale; its mean stays.

    `y = scale * x / sqrt(mean(x^2) + epsilon)`, the mean over the D numbers of one vector.

    Args:
        epsilon: keeps the quotient finite for a vector of zeros.

    Call arguments:
        inputs: (..., D).

    Returns: (..., D).

    Masking: none needed; positions do not meet.

    Differs from the paper: nothing; computed in float32 under mixed precision. Weights and results are
    those of Keras's layer of the same name.

    Example:
        >>> import numpy as np
        >>> y = RMSNormalization()(np.array([[3.0, 4.0]]))
        >>> [round(float(v), 4) for v in y[0]]  # 3 and 4, divided by sqrt(25 / 2)
        [0.8485, 1.1314]

    Reference: Zhang and Sennrich 2019, arXiv:1910.07467, section 4
    """

    def __init__(self, epsilon: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, inputs_shape):
        self.scale = self.add_weight(
            name="scale", shape=(inputs_shape[-1],), initializer="ones", autocast=False
        )

    def call(self, inputs):
        normal = standardize(ops.cast(inputs, "float32"), self.epsilon, center=False)
        return ops.cast(normal * self.scale, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("zoo")
class MaskedBatchNormalization(keras.layers.Layer):
    """Each of the D features gets mean 0 and variance 1 over the real tokens of the batch.

    `y = gamma * (x - m) / sqrt(v + epsilon) + beta`. While training, `m = 1/n sum_t x_t` and
    `v = 1/n sum_t (x_t - m)^2`, t over the n real tokens of all texts of the batch; otherwise m and v are
    the moving averages of training, `moving = momentum * moving + (1 - momentum) * batch`.

    Args:
        momentum: of the moving averages.
        epsilon: keeps the quotient finite for a feature that does not vary.

    Call arguments:
        inputs: (B, T, D).
        padding_mask: (B, T) bool, True = is a token; without it all positions count.

    Returns: (B, T, D).

    Masking: padding counts in no average. It is normalised like the rest, and must not be read. A batch
    without a token leaves the moving averages as they are.

    Differs from the paper: the averages leave padding out, so that the same texts give the same result
    in a wider batch; v is the biased variance in the moving average too, as in Keras. In a decoder the
    averages of training see later tokens (and the other sentences); the moving averages do not.

    Example:
        >>> import numpy as np
        >>> x = np.array([[[1.0], [3.0], [99.0]]])
        >>> layer = MaskedBatchNormalization()
        >>> y = layer(x, np.array([[True, True, False]]), training=True)
        >>> [round(float(v), 2) for v in y[0, :2, 0]]
        [-1.0, 1.0]

    Reference: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, inputs_shape):
        shape = (inputs_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)
        # On several devices each replica sees its part of the batch; they agree on the mean.
        moving = dict(shape=shape, trainable=False, autocast=False, aggregation="mean")
        self.moving_mean = self.add_weight(name="moving_mean", initializer="zeros", **moving)
        self.moving_variance = self.add_weight(name="moving_variance", initializer="ones", **moving)

    def call(self, inputs, padding_mask=None, training=None):
        x = ops.cast(inputs, "float32")
        if training and self.trainable:
            mean, variance = self._statistics_of_the_batch(x, padding_mask)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        factor = self.gamma * ops.rsqrt(variance + self.epsilon)
        return ops.cast((x - mean) * factor + self.beta, self.compute_dtype)

    def _statistics_of_the_batch(self, x, padding_mask):
        """Mean and variance of the real tokens (D,); they also move the moving averages."""
        if padding_mask is None:
            padding_mask = ops.ones(ops.shape(x)[:-1], "bool")
        token = ops.expand_dims(padding_mask, -1)
        count = ops.sum(ops.cast(token, "float32"))
        n = ops.maximum(count, 1.0)
        mean = ops.sum(ops.where(token, x, 0.0), axis=(0, 1)) / n
        variance = ops.sum(ops.where(token, ops.square(x - mean), 0.0), axis=(0, 1)) / n
        share = ops.where(count > 0.0, 1.0 - self.momentum, 0.0)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving + share * (ops.stop_gradient(batch) - moving))
        return mean, variance

    def compute_output_shape(self, inputs_shape, *unused):
        return inputs_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}


NORMALIZATIONS = {
    "layer": LayerNormalization,
    "rms": RMSNormalization,
    "batch": MaskedBatchNormalization,
}
"""What `normalization:` of a recipe names."""


def normalization_layer(kind: str, **kwargs):
    """The layer that `normalization: layer | rms | batch` names."""
    if kind not in NORMALIZATIONS:
        raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}, not {kind!r}")
    return NORMALIZATIONS[kind](**kwargs)


def normalize(norm, x, padding_mask=None, training=None):
    """What `norm` makes of x: batch normalisation alone asks which places are tokens."""
    if isinstance(norm, MaskedBatchNormalization):
        return norm(x, padding_mask, training=training)
    return norm(x)
