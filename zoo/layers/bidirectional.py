"""Reading in both directions."""

from __future__ import annotations

import keras
from keras import ops

from zoo.layers.rnn import ProjectedRNN, arguments_of

MERGE = {
    "concat": lambda forward, backward: ops.concatenate([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "ave": lambda forward, backward: (forward + backward) / 2,
    "mul": lambda forward, backward: forward * backward,
    None: lambda forward, backward: (forward, backward),
}


@keras.saving.register_keras_serializable("zoo")
class Bidirectional(keras.layers.Layer):
    """Two recurrent layers, one of which reads from the end: each place knows what follows, too.

    `y_t = [h_t; h'_t]`, `h_t = RNN(x_t, h_{t-1})`, `h'_t = RNN'(x_t, h'_{t+1})`.

    Args:
        layer: what reads forwards, a recurrent layer; both directions are made as it was.
        merge_mode: "concat", "sum", "ave" or "mul"; None for both results apart.
        backward_layer: what reads backwards, if it is to differ.

    Call arguments:
        sequences: (B, T, E).
        initial_state: the states of the forward layer, then those of the backward layer.
        mask: (B, T) bool, True = is a token.

    Returns: (B, T, 2U), or (B, 2U) if the layers do not return sequences: then each gives the state in which
        it ends, the backward layer that at the first token. With return_state also all states, in the order
        of initial_state.

    Masking: a masked step changes no state; results are 0 there.

    Errors: a ValueError for an unknown merge_mode, or two layers that do not fit together.

    Differs from the paper: nothing. From Keras's: it is built without being serialized, for which Keras
    imports TensorFlow whatever the backend.

    Example:
        >>> import numpy as np
        >>> from zoo.layers import LSTM
        >>> Bidirectional(LSTM(4, return_sequences=True))(np.ones((2, 5, 3), "float32")).shape
        TensorShape([2, 5, 8])

    Reference: Schuster and Paliwal 1997, IEEE Transactions on Signal Processing 45(11), section II
    """

    def __init__(self, layer, merge_mode="concat", backward_layer=None, **kwargs):
        super().__init__(**kwargs)
        if merge_mode not in MERGE:
            raise ValueError(f"merge_mode must be one of {list(MERGE)}, not {merge_mode!r}")
        self.merge_mode, self.supports_masking = merge_mode, True
        self.forward_layer = _again(layer, name=f"forward_{layer.name.removeprefix('forward_')}")
        self.backward_layer = backward_layer or _again(
            layer, name=f"backward_{layer.name.removeprefix('forward_')}", go_backwards=True
        )
        if self.forward_layer.go_backwards or not self.backward_layer.go_backwards:
            raise ValueError("layer must read forwards, backward_layer backwards: see go_backwards")
        for name in ("return_sequences", "return_state", "stateful"):
            if getattr(self.forward_layer, name) != getattr(self.backward_layer, name):
                raise ValueError(f"layer and backward_layer must have the same {name}")
            setattr(self, name, getattr(self.forward_layer, name))
        for each in (self.forward_layer, self.backward_layer):
            each.zero_output_for_mask = self.return_sequences

    def build(self, sequences_shape, initial_state_shape=None):
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def call(self, sequences, initial_state=None, mask=None, training=None):
        half = None if initial_state is None else len(initial_state) // 2
        states = (None, None) if half is None else (initial_state[:half], initial_state[half:])
        forward, backward = (
            layer(sequences, initial_state=state, mask=mask, training=training)
            for layer, state in zip((self.forward_layer, self.backward_layer), states, strict=True)
        )
        states = ()
        if self.return_state:
            states = (*forward[1:], *backward[1:])
            forward, backward = forward[0], backward[0]
        if self.return_sequences:
            backward = ops.flip(backward, axis=1)
        output = MERGE[self.merge_mode](*(ops.cast(y, self.compute_dtype) for y in (forward, backward)))
        if not states:
            return output
        return (*output, *states) if self.merge_mode is None else (output, *states)

    def compute_mask(self, sequences, previous_mask):
        mask = previous_mask if self.return_sequences else None
        outputs = [mask] * (2 if self.merge_mode is None else 1)
        states = [None] * (2 * len(self.forward_layer.state_size) if self.return_state else 0)
        return [*outputs, *states] if len(outputs) + len(states) > 1 else mask

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        shape = self.forward_layer.compute_output_shape(sequences_shape)
        output, *states = shape if self.return_state else (shape,)
        if self.merge_mode == "concat":
            output = (*output[:-1], 2 * output[-1])
        outputs = (output, output) if self.merge_mode is None else (output,)
        return (*outputs, *states, *states) if len(outputs) + len(states) > 1 else output

    @property
    def states(self):
        """The states kept from batch to batch, if stateful and built."""
        states = (self.forward_layer.states, self.backward_layer.states)
        return None if None in states else (*states[0], *states[1])

    def reset_state(self):
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def get_config(self):
        layers = {"layer": self.forward_layer, "backward_layer": self.backward_layer}
        serialized = {name: keras.saving.serialize_keras_object(layer) for name, layer in layers.items()}
        return {**super().get_config(), "merge_mode": self.merge_mode, **serialized}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        layers = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("layer", "backward_layer")
            if config.get(name)
        }
        return cls(**{**config, **layers})


def _again(layer, **changes):
    """A new layer made as this one was, with some arguments changed: no weight is shared."""
    if isinstance(layer, ProjectedRNN):
        return type(layer)(**{**arguments_of(layer), **changes})
    return type(layer).from_config({**layer.get_config(), **changes})
