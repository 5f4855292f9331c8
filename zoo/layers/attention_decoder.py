"""Recurrent decoders that look at a memory while they write: one cell, and the layer that repeats it.

Bahdanau looks with the last state and lets what it saw into the step; Luong steps first, looks with the new
state and joins both. Only with input feeding does Luong's result enter the next step: without it, all steps of
the recurrence run first, by the plain layer, and attention is asked once for all of them.
"""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.attention import memory_attention
from zoo.layers.rnn import read_once, recurrent_layer


@keras.saving.register_keras_serializable("zoo")
class AttentionCell(keras.layers.Layer):
    """One step of a recurrent cell with attention over a memory.

    Bahdanau: `c_t = Attention(h_{t-1}, memory)`, `h_t = Cell(x_t W + c_t C, h_{t-1})`; it says `[h_t; c_t]`.
    Luong: `h_t = Cell(x_t W + a_{t-1} C, h_{t-1})`, `c_t = Attention(h_t, memory)`,
    `a_t = tanh(W_c [c_t; h_t])`; it says a_t, the attentional vector. Without input feeding, C = 0.

    The product `x_t W + b` comes in ready made (`recurrent.cell.project`): `AttentionDecoder` computes it for
    all steps at once. The memory is no argument: a loop's body closes over it, which costs less than to hand
    it from step to step.

    Args:
        units: width U of the state.
        attention: "bahdanau", "luong_dot", "luong_general" or "luong_concat".
        cell: "lstm", "gru" or "simple_rnn".
        attention_units: width A of the scoring network of bahdanau and luong_concat, U by default.
        input_feeding: whether a step also sees the attentional vector of the last one (luong_* only).
        recurrent_dropout: share of the state that is dropped, the same places at every step.
        rnn_kernel: "auto", "xla" or "cudnn": for the plain recurrence that luong_* without input feeding has.

    Call arguments:
        inputs: what the input gives to the gates, x_t W + b, (B, G U).
        states: those of the cell, each (B, U), and with input feeding a_{t-1}, (B, U).

    Returns: `[h_t; c_t]` (B, U + M) or a_t (B, U), and the new states.

    Masking: of the memory, through `set_memory`.

    Errors: a ValueError for an unknown attention, and for input feeding with Bahdanau's.

    Differs from the paper: Bahdanau's cell is a GRU, Luong's an LSTM of several layers; here any, of one.

    Example:
        >>> import numpy as np
        >>> cell, memory = AttentionCell(3), np.ones((2, 5, 6), "float32")
        >>> cell.build((2, 4), memory.shape)
        >>> cell.set_memory(cell.attention.project_memory(memory), memory, None)
        >>> zeros, x = np.zeros((2, 3), "float32"), np.ones((2, 4), "float32")
        >>> outputs, (h, c) = cell(cell.recurrent.cell.project(x), [zeros, zeros])
        >>> outputs.shape
        TensorShape([2, 9])

    Reference: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2; Luong et al. 2015, arXiv:1508.04025,
    sections 3 and 3.3
    """

    def __init__(
        self,
        units: int,
        attention: str = "bahdanau",
        cell: str = "lstm",
        attention_units: int | None = None,
        input_feeding: bool = False,
        recurrent_dropout: float = 0.0,
        rnn_kernel: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.attends_first = attention == "bahdanau"
        if self.attends_first and input_feeding:
            raise ValueError("input feeding is Luong's: Bahdanau's context enters every step as it is")
        self.arguments = {
            "units": units,
            "attention": attention,
            "cell": cell,
            "attention_units": attention_units,
            "input_feeding": input_feeding,
            "recurrent_dropout": recurrent_dropout,
            "rnn_kernel": rnn_kernel,
        }
        self.units, self.input_feeding = units, input_feeding
        # Whether what attention gives enters the recurrence, which can then only go step by step.
        self.enters = self.attends_first or input_feeding
        kernel = "xla" if self.enters else rnn_kernel  # cuDNN knows nothing of attention
        dropout = {"recurrent_dropout": recurrent_dropout}
        self.recurrent = recurrent_layer(cell, units, kernel, cell, self.dtype_policy, **dropout)
        self.attention = memory_attention(
            attention, attention_units or units, name="attention", dtype=self.dtype_policy
        )
        self.state_names = self.recurrent.cell.state_names + ("attentional",) * input_feeding
        self.state_size = [units] * len(self.state_names)
        self.forget_memory()

    def build(self, inputs_shape, memory_shape):
        # Built by AttentionDecoder, which knows the memory; layers.RNN only knows the inputs.
        units, memory_width = self.units, memory_shape[-1]
        self.recurrent.build((None, None, inputs_shape[-1]))
        self.attention.build((None, units), memory_shape)
        self.output_size = units + memory_width if self.attends_first else units
        if not self.attends_first:
            self.output_dense = keras.layers.Dense(
                units, activation="tanh", use_bias=False, name="output", dtype=self.dtype_policy
            )
            self.output_dense.build((None, memory_width + units))
        if self.enters:
            width = memory_width if self.attends_first else units
            gates = self.recurrent.cell.kernel.shape[-1]
            self.context_kernel = self.add_weight(name="context_kernel", shape=(width, gates))

    def set_memory(self, keys, memory, memory_mask, return_weights=False):
        """What the steps to come look at; with `return_weights` the weights stand behind their output."""
        # Past Keras, which would track the tensors.
        object.__setattr__(self, "_seen", (keys, memory, memory_mask, return_weights))

    def forget_memory(self):
        """Tensors of a trace must not outlive it."""
        object.__setattr__(self, "_seen", None)

    def call(self, inputs, states, training=None):
        keys, memory, memory_mask, return_weights = self._seen
        cell, states = self.recurrent.cell, list(states)
        if self.attends_first:
            context, weights = self.attention(states[0], keys, memory, memory_mask=memory_mask)
            h, states = cell.step(inputs, states, training, context=(context, self.context_kernel))
            output = ops.concatenate([h, context], axis=-1)
        else:
            fed = (states.pop(), self.context_kernel) if self.input_feeding else None
            h, states = cell.step(inputs, states, training, context=fed)
            output, weights = self.look(h, keys, memory, memory_mask)
            states = [*states, output] if self.input_feeding else states
        return ops.concatenate([output, weights], axis=-1) if return_weights else output, states

    def look(self, h, keys, memory, memory_mask):
        """Luong's `a = tanh(W_c [c; h])` and the weights, for one step (B, U) or all of them (B, T, U)."""
        context, weights = self.attention(h, keys, memory, memory_mask=memory_mask)
        return self.output_dense(ops.concatenate([context, h], axis=-1)), weights

    def get_config(self):
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable("zoo")
class AttentionDecoder(keras.layers.Layer):
    """A recurrent decoder that attends to a memory at every step.

    For all steps at once (training) or one at a time (`step`, decoding), with the same weights:
    `y_t, state_t = AttentionCell(x_t W + b, state_{t-1})`, where `y_t = [h_t; c_t]` for Bahdanau's
    attention and `y_t = tanh(W_c [c_t; h_t])` for Luong's.

    Args:
        units: width U of the state.
        attention: "bahdanau", "luong_dot", "luong_general" or "luong_concat".
        cell: "lstm", "gru" or "simple_rnn".
        attention_units: width A of the scoring network of bahdanau and luong_concat, U by default.
        input_feeding: whether a step also sees the attentional vector of the last one (luong_* only).
        recurrent_dropout: share of the state that is dropped, the same places at every step.
        rnn_kernel: "auto", "xla" or "cudnn": for the plain recurrence that luong_* without input feeding has.

    Call arguments:
        inputs: embeddings of the previous tokens, (B, T, E).
        memory: encoder states, (B, S, M).
        memory_mask: (B, S) bool, True = is a token.
        initial_state: the first states of the recurrent cell, each (B, U): h, for an LSTM h and c; zeros
            by default.
        return_alignments: whether to return the weights of all steps too.

    Returns: y_t of every step, (B, T, U + M) for Bahdanau's attention, (B, T, U) for Luong's; with
    return_alignments also the weights alpha, (B, T, S).

    Masking: of the memory by `memory_mask`. The inputs need none: padding stands at their end.

    Differs from the paper: Bahdanau's cell is a GRU, Luong's an LSTM of several layers; here any, of one.
    What reads y_t is left to the model.

    Example:
        >>> import numpy as np
        >>> inputs, memory = np.ones((2, 3, 4), "float32"), np.ones((2, 5, 6), "float32")
        >>> decoder = AttentionDecoder(8, attention="luong_general", cell="gru", input_feeding=True)
        >>> outputs, alignments = decoder(inputs, memory, return_alignments=True)
        >>> outputs.shape, alignments.shape
        (TensorShape([2, 3, 8]), TensorShape([2, 3, 5]))

    Reference: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2; Luong et al. 2015, arXiv:1508.04025,
    sections 3 and 3.3
    """

    def __init__(
        self,
        units: int,
        attention: str = "bahdanau",
        cell: str = "lstm",
        attention_units: int | None = None,
        input_feeding: bool = False,
        recurrent_dropout: float = 0.0,
        rnn_kernel: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cell = AttentionCell(
            units,
            attention=attention,
            cell=cell,
            attention_units=attention_units,
            input_feeding=input_feeding,
            recurrent_dropout=recurrent_dropout,
            rnn_kernel=rnn_kernel,
            name="cell",
            dtype=self.dtype_policy,
        )
        # layers.RNN and not ops.scan: only it bounds its loop, which XLA needs for the gradient.
        self.rnn = keras.layers.RNN(self.cell, return_sequences=True, name="rnn", dtype=self.dtype_policy)

    def build(self, inputs_shape, memory_shape=None, *unused, **shapes):
        self.cell.build(inputs_shape, memory_shape)
        self.rnn.built = True

    def project_memory(self, memory):
        """The attention's keys, computed once a sentence: (B, S, M) -> (B, S, A)."""
        return self.cell.attention.project_memory(memory)

    def initial_states(self, initial_state):
        """All states before the first step: those given, and with input feeding zeros for a_0."""
        states = list(initial_state)
        return [*states, ops.zeros_like(states[0])] if self.cell.input_feeding else states

    def call(
        self,
        inputs,
        memory,
        memory_mask=None,
        initial_state=None,
        training=None,
        return_alignments=False,
    ):
        cell, keys = self.cell, self.project_memory(memory)
        states = initial_state
        if states is None:
            states = cell.recurrent.get_initial_state(ops.shape(inputs)[0])
        if not cell.enters:
            h = cell.recurrent(inputs, initial_state=list(states), training=training)
            outputs, alignments = cell.look(h, keys, memory, memory_mask)
            return (outputs, alignments) if return_alignments else outputs
        projected = cell.recurrent.cell.project(inputs)  # hoisted out of the loop: one product for all steps
        states = self.initial_states(states)
        with _Looking(cell, keys, memory, memory_mask, return_alignments):
            if training:
                cell.recurrent.cell.recurrent_masks(states[0], training)  # drawn once, before the loop
            with read_once(cell):
                outputs = self.rnn(projected, initial_state=states, training=training)
        if return_alignments:
            return outputs[..., : cell.output_size], outputs[..., cell.output_size :]
        return outputs

    def step(self, inputs, states, keys, memory, memory_mask):
        """One step: (B, E) and all states -> y_t, new states; keys from `project_memory`."""
        with _Looking(self.cell, keys, memory, memory_mask):
            return self.cell(self.cell.recurrent.cell.project(inputs), list(states))

    def compute_output_shape(self, inputs_shape, memory_shape, *unused, **shapes):
        units = self.cell.units
        return (*inputs_shape[:2], units + memory_shape[-1] if self.cell.attends_first else units)

    def get_config(self):
        return {**super().get_config(), **self.cell.arguments}


class _Looking:
    """The cell sees this memory, and afterwards forgets it and its dropout masks."""

    def __init__(self, cell, *seen):
        self.cell, self.seen = cell, seen

    def __enter__(self):
        self.cell.set_memory(*self.seen)

    def __exit__(self, *error):
        self.cell.forget_memory()
        self.cell.recurrent.cell.reset_recurrent_dropout_mask()
