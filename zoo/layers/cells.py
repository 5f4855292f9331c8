"""One step of a recurrent network: what each cell does with an input and its last state.

The weights, and what the constructors take, are Keras's, so that weights interchange. The equations are here,
in two parts: `project` is what the inputs give to the gates (it needs no state, so that a layer does it for
all steps at once, outside of its loop), `step` is the rest, with one product of the state for all gates.
"""

from __future__ import annotations

import keras
from keras import ops


class ProjectedCell:
    """What the three cells share. W, R, b stand for the kernels and biases of all G gates side by side."""

    gate_names: tuple[str, ...] = ()
    state_names: tuple[str, ...] = ("hidden",)
    draws = True
    """Whether dropout masks may be drawn; the layer says no when it is not training."""

    def call(self, inputs, states, training=False):
        """As Keras's cells: one step from inputs (B, E)."""
        one = not isinstance(states, (list, tuple))
        output, states = self.step(self.project(inputs, training), [states] if one else states, training)
        return output, states[0] if one else states

    def project(self, inputs, training=None):
        """What the inputs give to all gates, `x W + b`: one step (B, E) or all (B, T, E) -> (B, [T,] G U)."""
        x, kernel = ops.cast(inputs, self.compute_dtype), self.weight(self.kernel)
        if training and self.dropout:
            # The same mask at all steps, so that it does not hinder the one product for all of them.
            masks = self.get_dropout_mask(x if len(x.shape) == 2 else x[:, 0, :])
            gates = ops.split(kernel, len(masks), axis=-1) if isinstance(masks, list) else [kernel]
            masks = masks if isinstance(masks, list) else [masks]
            masks = masks if len(x.shape) == 2 else [ops.expand_dims(m, 1) for m in masks]
            parts = [ops.matmul(x * m, gate) for m, gate in zip(masks, gates, strict=True)]
            projected = ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
        else:
            projected = ops.matmul(x, kernel)
        return projected + self.weight(self.input_bias) if self.use_bias else projected

    def gates(self, projected, states, training=None, context=None):
        """The gates of one step, in the order of `gate_names`; the plain network has none."""
        return ()

    def recurrent_masks(self, h, training):
        """Recurrent dropout: None, a mask (B, U), or one for each gate (so Keras does it if there are gates)."""
        return self.get_recurrent_dropout_mask(h) if training and self.recurrent_dropout else None

    def get_dropout_mask(self, step_input):
        return super().get_dropout_mask(step_input) if self.draws else None

    def get_recurrent_dropout_mask(self, step_input):
        return super().get_recurrent_dropout_mask(step_input) if self.draws else None

    @property
    def input_bias(self):
        return self.bias

    def weight(self, variable):
        """In the dtype of the computation, also where no layer is being called (decoding)."""
        return ops.cast(variable, self.compute_dtype)


def recurrent_product(h, kernel, masks=None):
    """`h R` for all gates in one product: (B, U) by (U, G U), with dropout masks on h or without."""
    if masks is None:
        return ops.matmul(h, kernel)
    if not isinstance(masks, list):
        return ops.matmul(h * masks, kernel)
    # Each gate sees its own masked h: one product in G layers.
    gates = len(masks)
    kernels = ops.transpose(ops.reshape(kernel, (kernel.shape[0], gates, -1)), (1, 0, 2))
    products = ops.matmul(h * ops.stack(masks), kernels)  # (G, B, U)
    return ops.concatenate([products[gate] for gate in range(gates)], axis=-1)


def with_context(projected, context):
    """More input to all gates, `x W + b + c C`, from the pair of c (B, M) and C (M, G U)."""
    if context is None:
        return projected
    vector, kernel = context
    return projected + ops.matmul(vector, ops.cast(kernel, projected.dtype))


@keras.saving.register_keras_serializable("zoo")
class SimpleRNNCell(ProjectedCell, keras.layers.SimpleRNNCell):
    """One step of the plain recurrent network.

    `h_t = tanh(x_t W + h_{t-1} R + b)`.

    `project(inputs)` is `x W + b`; `step(projected, states, training=None, context=None)` the rest. `context`
    is a pair (c, C) that adds `c C` to the sum.

    Args:
        units: width U of the state.
        activation: tanh by default; None for none.
        use_bias: whether there is a b.
        dropout, recurrent_dropout: shares of x and of h that are dropped, the same places at every step.
        seed: of dropout.
        kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.

    Call arguments:
        inputs: x_t, (B, E).
        states: a list of h_{t-1}, (B, U).

    Returns: h_t (B, U), and the list of new states.

    Masking: none; the layer around it carries the states over masked steps.

    Differs from the paper: Elman's units are logistic.

    Example:
        >>> import numpy as np
        >>> h, states = SimpleRNNCell(4)(np.ones((2, 3), "float32"), [np.zeros((2, 4), "float32")])
        >>> h.shape
        TensorShape([2, 4])

    Reference: Elman 1990, Finding Structure in Time, Cognitive Science 14
    """

    def step(self, projected, states, training=None, context=None):
        h = states[0]
        recurrent = recurrent_product(
            h, self.weight(self.recurrent_kernel), self.recurrent_masks(h, training)
        )
        h = self.activation(with_context(projected, context) + recurrent)
        return h, [h]


@keras.saving.register_keras_serializable("zoo")
class LSTMCell(ProjectedCell, keras.layers.LSTMCell):
    """One step of a long short-term memory: gates decide what its cell forgets, takes in and shows.

    `i, f, o = sigmoid(x_t W + h_{t-1} R + b)`, `g = tanh(x_t W_g + h_{t-1} R_g + b_g)`,
    `c_t = f * c_{t-1} + i * g`, `h_t = o * tanh(c_t)`.

    The kernels hold i, f, g, o side by side. What a gate lets through is multiplied, not squashed, so that
    the error flows back through c over many steps. `project(inputs)` is `x W + b`;
    `step(projected, states, training=None, context=None)` the rest, `gates(...)` i, f, g and o alone.
    `context` is a pair (c, C) that adds `c C` to the sums.

    Args:
        units: width U of the states.
        activation: of g and of c_t, tanh by default; None for none.
        recurrent_activation: of the gates, sigmoid by default.
        use_bias: whether there is a b.
        unit_forget_bias: whether the b of f starts at 1: at first everything is remembered.
        dropout, recurrent_dropout: shares of x and of h that are dropped, the same places at every step.
        seed: of dropout.
        kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.

    Call arguments:
        inputs: x_t, (B, E).
        states: h_{t-1} and c_{t-1}, two of (B, U).

    Returns: h_t (B, U), and the list of new states.

    Masking: none; the layer around it carries the states over masked steps.

    Differs from the paper: the forget gate came later (Gers et al. 2000); no peepholes.

    Example:
        >>> import numpy as np
        >>> zeros = np.zeros((2, 4), "float32")
        >>> h, (h, c) = LSTMCell(4)(np.ones((2, 3), "float32"), [zeros, zeros])
        >>> h.shape, c.shape
        (TensorShape([2, 4]), TensorShape([2, 4]))

    Reference: Hochreiter and Schmidhuber 1997, Long Short-Term Memory, Neural Computation 9(8)
    """

    gate_names = ("input", "forget", "candidate", "output")
    state_names = ("hidden", "cell")

    def gates(self, projected, states, training=None, context=None):
        """Input gate i, forget gate f, candidate g, output gate o."""
        h = states[0]
        recurrent = recurrent_product(
            h, self.weight(self.recurrent_kernel), self.recurrent_masks(h, training)
        )
        i, f, g, o = ops.split(with_context(projected, context) + recurrent, 4, axis=-1)
        gate, squash = self.recurrent_activation, self.activation
        return gate(i), gate(f), squash(g), gate(o)

    def step(self, projected, states, training=None, context=None):
        i, f, g, o = self.gates(projected, states, training, context)
        c = f * states[1] + i * g
        h = o * self.activation(c)
        return h, [h, c]


@keras.saving.register_keras_serializable("zoo")
class GRUCell(ProjectedCell, keras.layers.GRUCell):
    """One step of a gated recurrent unit: one gate mixes old and new, another hides the old.

    `z = sigmoid(x_t W_z + h_{t-1} R_z + b_z)`, `r = sigmoid(x_t W_r + h_{t-1} R_r + b_r)`,
    `n = tanh(x_t W_n + r * (h_{t-1} R_n + b_Rn) + b_n)` (reset_after) or
    `n = tanh(x_t W_n + (r * h_{t-1}) R_n + b_n)`, `h_t = z * h_{t-1} + (1 - z) * n`.

    The kernels hold z, r, n side by side. `project(inputs)` is `x W + b`;
    `step(projected, states, training=None, context=None)` the rest, `gates(...)` z, r and n alone.
    `context` is a pair (c, C) that adds `c C` to the sums, beside x W.

    Args:
        units: width U of the state.
        activation: of n, tanh by default; None for none.
        recurrent_activation: of the gates, sigmoid by default.
        use_bias: whether there is a b; with reset_after a second one stands beside R.
        reset_after: whether r works after the product with R_n (one product for all gates, as cuDNN does it)
            or before (as the paper does it, two products).
        dropout, recurrent_dropout: shares of x and of h that are dropped, the same places at every step.
        seed: of dropout.
        kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.

    Call arguments:
        inputs: x_t, (B, E).
        states: a list of h_{t-1}, (B, U).

    Returns: h_t (B, U), and the list of new states.

    Masking: none; the layer around it carries the states over masked steps.

    Differs from the paper: by default r works after the product.

    Example:
        >>> import numpy as np
        >>> h, states = GRUCell(4)(np.ones((2, 3), "float32"), [np.zeros((2, 4), "float32")])
        >>> h.shape
        TensorShape([2, 4])

    Reference: Cho et al. 2014, arXiv:1406.1078, section 2.3
    """

    gate_names = ("update", "reset", "candidate")

    @property
    def input_bias(self):
        return self.bias[0] if self.reset_after else self.bias

    def gates(self, projected, states, training=None, context=None):
        """Update gate z, reset gate r, candidate n."""
        h, gate = states[0], self.recurrent_activation
        projected, kernel = with_context(projected, context), self.weight(self.recurrent_kernel)
        masks = self.recurrent_masks(h, training)
        x_z, x_r, x_n = ops.split(projected, 3, axis=-1)
        if self.reset_after:
            recurrent = recurrent_product(h, kernel, masks)
            recurrent = recurrent + self.weight(self.bias[1]) if self.use_bias else recurrent
            h_z, h_r, h_n = ops.split(recurrent, 3, axis=-1)
            z, r = gate(x_z + h_z), gate(x_r + h_r)
            return z, r, self.activation(x_n + r * h_n)
        kernel, candidate_kernel = ops.split(kernel, [2 * self.units], axis=-1)
        h_z, h_r = ops.split(recurrent_product(h, kernel, masks and masks[:2]), 2, axis=-1)
        z, r = gate(x_z + h_z), gate(x_r + h_r)
        h_n = recurrent_product(r * h, candidate_kernel, masks and masks[2])
        return z, r, self.activation(x_n + h_n)

    def step(self, projected, states, training=None, context=None):
        z, _, n = self.gates(projected, states, training, context)
        h = z * states[0] + (1.0 - z) * n
        return h, [h]
