"""Attention of a recurrent decoder over a memory."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.portable import float32, mask_scores


@keras.saving.register_keras_serializable("zoo")
class BahdanauAttention(keras.layers.Layer):
    """Additive attention: a small network scores how well each memory fits the query.

    `e_j = v^T tanh(W_a s + U_a h_j)`, `alpha = softmax(e)`, `c = sum_j alpha_j h_j`.

    `U_a h_j` does not depend on the query: `project_memory` computes it once for a whole sentence.

    Args:
        units: width A of the scoring network.

    Call arguments:
        query: decoder state s, (B, U).
        keys: `project_memory(memory)`, (B, S, A).
        memory: encoder states h, (B, S, M).
        memory_mask: (B, S) bool, True = is a token.

    Returns: context c (B, M) and weights alpha (B, S).

    Masking: masked places get weight 0. A row without any token gets equal weights, never NaN.

    Differs from the paper: a bias beside W_a.

    Example:
        >>> import numpy as np
        >>> layer, memory = BahdanauAttention(4), np.ones((2, 5, 6), "float32")
        >>> layer.build((2, 3), (2, 5, 6))
        >>> context, weights = layer(np.ones((2, 3), "float32"), layer.project_memory(memory), memory)
        >>> context.shape, weights.shape
        (TensorShape([2, 6]), TensorShape([2, 5]))

    Reference: Bahdanau et al. 2015, arXiv:1409.0473, section 3.1 and appendix A.1.2
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, query_shape, memory_shape, *unused):
        self.query_dense = keras.layers.Dense(self.units, name="query", dtype=self.dtype_policy)
        self.memory_dense = keras.layers.Dense(
            self.units, use_bias=False, name="memory", dtype=self.dtype_policy
        )
        self.query_dense.build(query_shape)
        self.memory_dense.build(memory_shape)
        self.v = self.add_weight(name="v", shape=(self.units,), initializer="glorot_uniform")

    def project_memory(self, memory):
        """The keys U_a h: (B, S, M) -> (B, S, A)."""
        return self.memory_dense(memory)

    def call(self, query, keys, memory, memory_mask=None):
        hidden = ops.tanh(ops.expand_dims(self.query_dense(query), 1) + keys)  # (B, S, A)
        # A sum, not a matrix product: XLA cannot train a 3-D product inside a loop of unknown shape.
        scores = float32(ops.sum(hidden * ops.cast(self.v, hidden.dtype), axis=-1))
        weights = ops.cast(ops.softmax(mask_scores(scores, memory_mask)), memory.dtype)
        return ops.einsum("bs,bsm->bm", weights, memory), weights

    def compute_output_shape(self, query_shape, keys_shape, memory_shape):
        return (query_shape[0], memory_shape[-1]), tuple(memory_shape[:2])

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("zoo")
class AttentionLSTMCell(keras.layers.Layer):
    """One step of an LSTM that first looks at a memory with its previous state.

    `c_t = Attention(h_{t-1}, memory)`,
    `i, f, g, o = x_t W + h_{t-1} R + c_t C + b`, then the LSTM's equations. It outputs `[h_t; c_t]`.

    The product `x_t W + b` comes in ready made: `AttentionDecoder` computes it for all steps at once.

    Args:
        units: width U of the state.
        attention_units: width A of the attention's scoring network.

    Call arguments:
        inputs: gate inputs x_t W + b, (B, 4U), in Keras's order i, f, g, o.
        states: h and the cell state, two of (B, U).

    Returns: `[h_t; c_t]` (B, U + M), and the new states.

    Masking: of the memory, through `set_memory`.

    Differs from the paper: an LSTM where the paper has a GRU.

    Example:
        >>> import numpy as np
        >>> cell, memory = AttentionLSTMCell(3, attention_units=4), np.ones((2, 5, 6), "float32")
        >>> cell.build(memory.shape)
        >>> cell.set_memory((cell.attention.project_memory(memory), memory, None))
        >>> zeros = np.zeros((2, 3), "float32")
        >>> outputs, (h, c) = cell(np.ones((2, 12), "float32"), [zeros, zeros])
        >>> outputs.shape
        TensorShape([2, 9])

    Reference: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2
    """

    def __init__(self, units: int, attention_units: int, **kwargs):
        super().__init__(**kwargs)
        self.units, self.attention_units = units, attention_units
        self.state_size = [units, units]
        self.set_memory(None)

    def build(self, memory_shape):
        # Built by AttentionDecoder, which knows the memory; layers.RNN only knows the inputs.
        self.attention = BahdanauAttention(self.attention_units, name="attention", dtype=self.dtype_policy)
        self.attention.build((None, self.units), memory_shape)
        self.output_size = self.units + memory_shape[-1]
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.units, 4 * self.units), initializer="orthogonal"
        )
        self.context_kernel = self.add_weight(name="context_kernel", shape=(memory_shape[-1], 4 * self.units))

    def set_memory(self, arguments):
        """(keys, memory, mask) for the steps to come; the loop's body closes over them."""
        object.__setattr__(self, "_memory", arguments)  # past Keras, which would track the tensors

    def call(self, inputs, states, training=None):
        h, cell = states
        keys, memory, mask = self._memory
        context, _ = self.attention(h, keys, memory, memory_mask=mask)
        kernel = ops.concatenate([self.recurrent_kernel, self.context_kernel], axis=0)
        gates = inputs + ops.matmul(ops.concatenate([h, context], axis=-1), ops.cast(kernel, inputs.dtype))
        i, f, g, o = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(cell)
        return ops.concatenate([h, context], axis=-1), [h, cell]

    def get_config(self):
        config = {"units": self.units, "attention_units": self.attention_units}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("zoo")
class AttentionDecoder(keras.layers.Layer):
    """An LSTM decoder that attends to a memory at every step.

    For all steps at once (training) or one at a time (`step`, decoding), with the same weights:
    `[h_t; c_t] = AttentionLSTMCell(x_t, h_{t-1})`.

    Args:
        units: width U of the state.
        attention_units: width A of the attention's scoring network, U by default.

    Call arguments:
        inputs: embeddings of the previous tokens, (B, T, E).
        memory: encoder states, (B, S, M).
        memory_mask: (B, S) bool, True = is a token.
        initial_state: two of (B, U).

    Returns: `[h_t; c_t]` of every step, (B, T, U + M).

    Masking: of the memory by `memory_mask`. The inputs need none: padding stands at their end.

    Differs from the paper: an LSTM where the paper has a GRU; the readout is left to the model.

    Example:
        >>> import numpy as np
        >>> inputs, memory = np.ones((2, 3, 4), "float32"), np.ones((2, 5, 6), "float32")
        >>> state = [np.zeros((2, 8), "float32")] * 2
        >>> AttentionDecoder(8)(inputs, memory, np.ones((2, 5), bool), initial_state=state).shape
        TensorShape([2, 3, 14])

    Reference: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2
    """

    def __init__(self, units: int, attention_units: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.attention_units = units, attention_units

    def build(self, inputs_shape, memory_shape=None, *unused, **shapes):
        self.input_dense = keras.layers.Dense(
            4 * self.units,
            bias_initializer=_unit_forget_bias,
            name="input",
            dtype=self.dtype_policy,
        )
        self.input_dense.build(inputs_shape)
        self.cell = AttentionLSTMCell(
            self.units, self.attention_units or self.units, name="cell", dtype=self.dtype_policy
        )
        self.cell.build(memory_shape)
        # layers.RNN and not ops.scan: only it bounds its loop, which XLA needs for the gradient.
        self.rnn = keras.layers.RNN(self.cell, return_sequences=True, name="rnn", dtype=self.dtype_policy)
        self.rnn.built = True

    def project_memory(self, memory):
        """The attention's keys, computed once a sentence: (B, S, M) -> (B, S, A)."""
        return self.cell.attention.project_memory(memory)

    def call(self, inputs, memory, memory_mask=None, initial_state=None):
        gates = self.input_dense(inputs)  # hoisted out of the loop: one product for all steps
        with _memory_of(self.cell, (self.project_memory(memory), memory, memory_mask)):
            return self.rnn(gates, initial_state=list(initial_state))

    def step(self, inputs, states, keys, memory, memory_mask):
        """One step: (B, E), two of (B, U) -> (B, U + M), new states."""
        with _memory_of(self.cell, (keys, memory, memory_mask)):
            return self.cell(self.input_dense(inputs), list(states))

    def compute_output_shape(self, inputs_shape, memory_shape, *unused, **shapes):
        return (*inputs_shape[:2], self.units + memory_shape[-1])

    def get_config(self):
        config = {"units": self.units, "attention_units": self.attention_units}
        return {**super().get_config(), **config}


class _memory_of:
    """The cell sees this memory, and forgets it afterwards: tensors of a trace must not outlive it."""

    def __init__(self, cell, arguments):
        self.cell, self.arguments = cell, arguments

    def __enter__(self):
        self.cell.set_memory(self.arguments)

    def __exit__(self, *error):
        self.cell.set_memory(None)


def _unit_forget_bias(shape, dtype=None):
    """Zeros, and ones for the forget gate: memory is kept at the start (Jozefowicz et al. 2015)."""
    units = shape[0] // 4
    return ops.concatenate([ops.zeros(units, dtype), ops.ones(units, dtype), ops.zeros(2 * units, dtype)])
