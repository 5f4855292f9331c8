"""Recurrent layers: a cell applied step after step. The story begins here.

Signatures, weights, states, masks and the cuDNN path are Keras's, whose classes these are built on. Ours are the
equations (zoo/layers/cells.py) and the loop: the product of inputs and kernel stands before the loop, one matrix
product for all steps; inside remains what must wait for the last state. XLA and JAX compile the same loop.
"""

from __future__ import annotations

import inspect

import keras
from keras import ops

from zoo.layers.cells import GRUCell, LSTMCell, SimpleRNNCell


def arguments_of(built) -> dict:
    """What a cell or layer was constructed with, read from its attributes, which bear the same names.

    Not from its `get_config`: to serialize an activation Keras imports TensorFlow, whatever the backend.
    """
    names = [name for name in inspect.signature(type(built).__init__).parameters if hasattr(built, name)]
    dtype = {"name": built.name, "trainable": built.trainable, "dtype": built.dtype_policy}
    return {name: getattr(built, name) for name in names} | dtype


def read_once(layer):
    """A scope for a loop: the weights of the layer are read here, before it, and not at every step.

    Else TensorFlow keeps a copy of what it read for the gradient of each step.
    """
    read = [(variable, ops.cast(variable, variable.dtype)) for variable in layer.variables]
    return keras.StatelessScope(state_mapping=read)


class ProjectedRNN(keras.layers.RNN):
    """What the three layers share.

    It stands behind Keras's layer in their line of inheritance: where that hands its cell on, ours takes its
    place, and where that cannot use cuDNN and falls back on the plain loop, it finds ours.
    """

    cell_class: type

    def __init__(self, cell, **kwargs):
        super().__init__(self.cell_class(**arguments_of(cell)), **kwargs)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        # Keras draws masks even if nothing will be dropped; but a graph for inference must not move a seed.
        self.cell.draws = bool(training)
        try:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        finally:
            self.cell.draws = True

    def inner_loop(self, sequences, initial_state, mask, training=False):
        def step(projected, states):
            return self.cell.step(projected, states, training)

        projected = self.cell.project(sequences, training)
        with read_once(self.cell):
            return keras.layers.RNN.inner_loop(_Seen(self, cell=step), projected, initial_state, mask)

    def gates(self, sequences, mask=None, initial_state=None) -> dict:
        """Every gate and state after each step, so that they can be drawn: name -> (B, T, U).

        In the order of reading, that is reversed with go_backwards. A masked step repeats the one before.
        """
        sequences = ops.convert_to_tensor(sequences)
        if not self.built:
            self.build(sequences.shape)
        projected = self.cell.project(sequences)
        mask = None if mask is None else ops.convert_to_tensor(mask, "bool")
        states = self.get_initial_state(ops.shape(projected)[0]) if initial_state is None else initial_state
        states = states if isinstance(states, (list, tuple)) else [states]

        def step(projected, states):
            _, new = self.cell.step(projected, states)
            return ops.concatenate([*self.cell.gates(projected, states), *new], axis=-1), new

        layer = _Seen(self, cell=step, return_sequences=True, zero_output_for_mask=False)
        states = [ops.cast(state, self.compute_dtype) for state in states]
        _, outputs, _ = keras.layers.RNN.inner_loop(layer, projected, states, mask)
        names = self.cell.gate_names + self.cell.state_names
        return dict(zip(names, ops.split(outputs, len(names), axis=-1), strict=True))

    @property
    def seed(self):
        return self.cell.seed

    def get_config(self):
        # What Keras's own leave out; without it a loaded layer would turn XLA off.
        cudnn = {"use_cudnn": self.use_cudnn} if hasattr(self, "use_cudnn") else {}
        return {**super().get_config(), **cudnn}


class _Seen:
    """A layer as Keras's loop is to see it: with some attributes changed, above all the cell."""

    def __init__(self, layer, **changed):
        self.__dict__.update(changed, _layer=layer)

    def __getattr__(self, name):
        return getattr(self._layer, name)


@keras.saving.register_keras_serializable("zoo")
class SimpleRNN(keras.layers.SimpleRNN, ProjectedRNN):
    """The plain recurrent network: its state is all that it knows of what it has read.

    `h_t = tanh(x_t W + h_{t-1} R + b)`.

    Args:
        units: width U of the state.
        activation: tanh by default; None for none.
        use_bias: whether there is a b.
        dropout, recurrent_dropout: shares of x and of h that are dropped, the same places at every step.
        seed: of dropout.
        return_sequences: whether to return h of all steps, or of the last one.
        return_state: whether to return the last states too.
        go_backwards: whether to read from the end; h of all steps are then in that order.
        stateful: whether a batch starts where the last one ended, row by row.
        unroll: whether to write the loop out step by step; T must be known then.
        kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, recurrent_constraint, bias_constraint:
            as in Keras.

    Call arguments:
        sequences: (B, T, E).
        initial_state: h_0, (B, U); zeros by default.
        mask: (B, T) bool, True = is a token.

    Returns: h_T (B, U), or h of all steps (B, T, U); with return_state also h_T.

    Masking: a masked step changes no state. h of all steps repeats there the step before (zeros with Keras's
    zero_output_for_mask).

    Differs from the paper: Elman's units are logistic.

    Example:
        >>> import numpy as np
        >>> SimpleRNN(4, return_sequences=True)(np.ones((2, 5, 3), "float32")).shape
        TensorShape([2, 5, 4])

    Reference: Elman 1990, Finding Structure in Time, Cognitive Science 14
    """

    cell_class = SimpleRNNCell

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}  # Keras's own leaves it out


@keras.saving.register_keras_serializable("zoo")
class LSTM(keras.layers.LSTM, ProjectedRNN):
    """Long short-term memory: a cell beside the state, and gates that decide what it keeps.

    `i, f, o = sigmoid(x_t W + h_{t-1} R + b)`, `g = tanh(x_t W_g + h_{t-1} R_g + b_g)`,
    `c_t = f * c_{t-1} + i * g`, `h_t = o * tanh(c_t)`.

    `gates(sequences, mask=None, initial_state=None)` returns them all, to be looked at: input (i), forget (f),
    candidate (g), output (o), hidden (h), cell (c) -> (B, T, U).

    Args:
        units: width U of the states.
        activation: of g and of c_t, tanh by default; None for none.
        recurrent_activation: of the gates, sigmoid by default.
        use_bias: whether there is a b.
        unit_forget_bias: whether the b of f starts at 1: at first everything is remembered.
        dropout, recurrent_dropout: shares of x and of h that are dropped, the same places at every step.
        seed: of dropout.
        return_sequences: whether to return h of all steps, or of the last one.
        return_state: whether to return the last states too.
        go_backwards: whether to read from the end; h of all steps are then in that order.
        stateful: whether a batch starts where the last one ended, row by row.
        unroll: whether to write the loop out step by step; T must be known then.
        use_cudnn: on a GPU: True, False (a loop that XLA can compile) or "auto" (cuDNN where it can).
        kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, recurrent_constraint, bias_constraint:
            as in Keras.

    Call arguments:
        sequences: (B, T, E).
        initial_state: h_0 and c_0, two of (B, U); zeros by default.
        mask: (B, T) bool, True = is a token.

    Returns: h_T (B, U), or h of all steps (B, T, U); with return_state also h_T and c_T.

    Masking: a masked step changes no state. h of all steps repeats there the step before (zeros with Keras's
    zero_output_for_mask). cuDNN takes padding on the right only, and no row without a token.

    Differs from the paper: the forget gate came later (Gers et al. 2000); no peepholes.

    Example:
        >>> import numpy as np
        >>> layer, x = LSTM(4, return_sequences=True), np.ones((2, 5, 3), "float32")
        >>> layer(x).shape
        TensorShape([2, 5, 4])
        >>> sorted(layer.gates(x))
        ['candidate', 'cell', 'forget', 'hidden', 'input', 'output']

    Reference: Hochreiter and Schmidhuber 1997, Long Short-Term Memory, Neural Computation 9(8)
    """

    cell_class = LSTMCell


@keras.saving.register_keras_serializable("zoo")
class GRU(keras.layers.GRU, ProjectedRNN):
    """Gated recurrent unit: one gate mixes the old state with the new, another hides the old from the new.

    `z = sigmoid(x_t W_z + h_{t-1} R_z + b_z)`, `r = sigmoid(x_t W_r + h_{t-1} R_r + b_r)`,
    `n = tanh(x_t W_n + r * (h_{t-1} R_n + b_Rn) + b_n)` (reset_after) or
    `n = tanh(x_t W_n + (r * h_{t-1}) R_n + b_n)`, `h_t = z * h_{t-1} + (1 - z) * n`.

    `gates(sequences, mask=None, initial_state=None)` returns them all, to be looked at: update (z), reset (r),
    candidate (n), hidden (h) -> (B, T, U).

    Args:
        units: width U of the state.
        activation: of n, tanh by default; None for none.
        recurrent_activation: of the gates, sigmoid by default.
        use_bias: whether there is a b; with reset_after a second one stands beside R.
        reset_after: whether r works after the product with R_n (one product for all gates, as cuDNN does it)
            or before (as the paper does it, two products).
        dropout, recurrent_dropout: shares of x and of h that are dropped, the same places at every step.
        seed: of dropout.
        return_sequences: whether to return h of all steps, or of the last one.
        return_state: whether to return the last states too.
        go_backwards: whether to read from the end; h of all steps are then in that order.
        stateful: whether a batch starts where the last one ended, row by row.
        unroll: whether to write the loop out step by step; T must be known then.
        use_cudnn: on a GPU: True, False (a loop that XLA can compile) or "auto" (cuDNN where it can).
        kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, recurrent_constraint, bias_constraint:
            as in Keras.

    Call arguments:
        sequences: (B, T, E).
        initial_state: h_0, (B, U); zeros by default.
        mask: (B, T) bool, True = is a token.

    Returns: h_T (B, U), or h of all steps (B, T, U); with return_state also h_T.

    Masking: a masked step changes no state. h of all steps repeats there the step before (zeros with Keras's
    zero_output_for_mask). cuDNN takes padding on the right only, and no row without a token.

    Differs from the paper: by default r works after the product.

    Example:
        >>> import numpy as np
        >>> output, state = GRU(4, return_state=True)(np.ones((2, 5, 3), "float32"))
        >>> output.shape, state.shape
        (TensorShape([2, 4]), TensorShape([2, 4]))

    Reference: Cho et al. 2014, arXiv:1406.1078, section 2.3
    """

    cell_class = GRUCell


CELLS = {"simple_rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}


def recurrent_layer(cell: str, units: int, rnn_kernel: str, name: str, dtype, **kwargs):
    """The layer that a recipe names; it returns the states of all steps unless told otherwise.

    On a GPU cuDNN kernels are fast but keep XLA off for the whole model (rnn_kernel cudnn, and auto where
    nothing speaks against them); the loop (xla) is what XLA compiles. There is none for the plain RNN.
    """
    if cell != "simple_rnn":
        kwargs["use_cudnn"] = {"auto": "auto", "cudnn": True, "xla": False}[rnn_kernel]
    return CELLS[cell](units, name=name, dtype=dtype, **{"return_sequences": True, **kwargs})
