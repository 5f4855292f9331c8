"""Recurrent layers against NumPy and against Keras's own with the same weights; zoo/layers/rnn.py and cells.py."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import reference_rnn
import tensorflow as tf
from model_tools import array, randomize

import zoo.layers
from zoo.layers.rnn import recurrent_layer

LAYERS = {
    "simple_rnn": ("SimpleRNN", {}, reference_rnn.simple_rnn),
    "lstm": ("LSTM", {}, reference_rnn.lstm),
    "gru": ("GRU", {}, reference_rnn.gru),
    "gru_before": ("GRU", {"reset_after": False}, reference_rnn.gru),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0], [0] * 6], bool)
X = np.random.default_rng(0).normal(size=(4, 6, 5)).astype("float32")
UNITS = 7


def ours(name, **options):
    layer_name, fixed, _ = LAYERS[name]
    return getattr(zoo.layers, layer_name)(UNITS, **fixed, **options)


def twins(name, wrap=None, **options):
    """Our layer with random weights, Keras's with the same."""
    layer_name, fixed, _ = LAYERS[name]
    layer = ours(name, **options)
    other = getattr(keras.layers, layer_name)(UNITS, **fixed, **options)
    if wrap is not None:
        layer, other = zoo.layers.Bidirectional(layer, **wrap), keras.layers.Bidirectional(other, **wrap)
    for each in (layer, other):
        each.build(X.shape)
    random = np.random.default_rng(1)
    for a, b in zip(weights_of(layer), weights_of(other), strict=True):
        a.assign(random.normal(scale=0.4, size=a.shape))
        b.assign(a)
    return layer, other


def weights_of(layer):
    return layer.trainable_weights


def states_for(layer, seed=2):
    both = isinstance(layer, zoo.layers.Bidirectional)
    count = 2 * len(layer.forward_layer.cell.state_names) if both else len(layer.cell.state_names)
    random = np.random.default_rng(seed)
    return [random.normal(size=(len(X), UNITS)).astype("float32") for _ in range(count)]


def flat(outputs):
    return [array(x) for x in keras.tree.flatten(outputs)]


def close(actual, expected, tolerance=1e-5):
    for a, b in zip(flat(actual), flat(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def gradients(layer, **call):
    """Of a sum with different weights for all outputs: by the inputs, and by every weight."""
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = keras.tree.flatten(layer(x, **call))
        loss = sum(
            tf.reduce_sum(o * tf.cos(tf.reshape(tf.range(float(tf.size(o))), o.shape))) for o in outputs
        )
    found = tape.gradient(loss, [x, *(w.value for w in weights_of(layer))])
    assert all(g is not None for g in found)
    return [array(g) for g in found]


@every_layer
@pytest.mark.parametrize("mask", [None, MASK])
def test_equations(name, mask):
    layer = randomize_built(ours(name, return_sequences=True, return_state=True))
    states = states_for(layer)
    seen = np.ones(X.shape[:2], bool) if mask is None else mask
    h, last, shown = reference_rnn.run(LAYERS[name][2], layer.get_weights(), X, states, seen)
    close(layer(X, initial_state=states, mask=mask), [h, *last])
    gates = layer.gates(X, mask=mask, initial_state=states)
    assert set(gates) == {"hidden", *shown}
    for part, value in {"hidden": h, **shown}.items():
        close(gates[part], value)


def randomize_built(layer):
    layer.build(X.shape)
    return randomize(layer, spread=0.5)


def test_gates_that_are_shut_forget_nothing():
    """What the gates are for: with i = 0 and f = 1 the cell stays as it is, whatever comes in."""
    layer = ours("lstm")
    layer.build(X.shape)
    bias = np.repeat([-50.0, 50.0, 0.0, 0.0], UNITS)
    layer.cell.bias.assign(bias)
    states = states_for(layer)
    gates = layer.gates(X, initial_state=states)
    close(gates["input"], np.zeros((*X.shape[:2], UNITS)))
    close(gates["forget"], np.ones((*X.shape[:2], UNITS)))
    close(gates["cell"], np.repeat(states[1][:, np.newaxis], X.shape[1], axis=1))


OPTIONS = [
    {},
    {"return_sequences": True, "return_state": True},
    {"go_backwards": True, "return_sequences": True},
    {"unroll": True},
    {"activation": "relu", "use_bias": False},
    {"return_sequences": True, "zero_output_for_mask": True},
]


@every_layer
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "plain")
def test_as_keras(name, options):
    layer, other = twins(name, **options)
    assert [w.path.split("/")[1:] for w in layer.weights] == [w.path.split("/")[1:] for w in other.weights]
    other.set_weights(layer.get_weights())
    layer.set_weights(other.get_weights())
    states = states_for(layer)
    for call in ({}, {"mask": MASK}, {"mask": MASK, "initial_state": states}):
        close(layer(X, **call), other(X, **call))
    close(gradients(layer, mask=MASK), gradients(other, mask=MASK), 1e-4)
    assert layer.compute_output_shape(X.shape) == other.compute_output_shape(X.shape)


@pytest.mark.parametrize(
    "name, merge_mode",
    [*((name, "concat") for name in LAYERS), *(("lstm", mode) for mode in ("sum", "mul", "ave", None))],
)
def test_bidirectional_as_keras(name, merge_mode):
    for options in ({}, {"return_sequences": True, "return_state": True}):
        layer, other = twins(name, wrap={"merge_mode": merge_mode}, **options)
        states = states_for(layer)
        for call in ({}, {"mask": MASK, "initial_state": states}):
            close(layer(X, **call), other(X, **call))
        close(gradients(layer, mask=MASK), gradients(other, mask=MASK), 1e-4)
        expected = keras.tree.map_structure(lambda x: tuple(x.shape), layer(X))
        assert layer.compute_output_shape(X.shape) == expected


def test_bidirectional_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"'concat'.*not 'median'"):
        zoo.layers.Bidirectional(ours("gru"), merge_mode="median")
    with pytest.raises(ValueError, match="must read forwards"):
        zoo.layers.Bidirectional(ours("gru", go_backwards=True))
    with pytest.raises(ValueError, match="same return_sequences"):
        zoo.layers.Bidirectional(
            ours("gru"), backward_layer=ours("gru", go_backwards=True, return_sequences=True)
        )


@every_layer
@pytest.mark.parametrize("rates", [(0.4, 0.0), (0.0, 0.4), (0.4, 0.3)])
def test_dropout_as_keras(name, rates):
    """With one seed the same numbers are drawn, so that the same places are dropped."""
    layer, other = twins(name, dropout=rates[0], recurrent_dropout=rates[1], seed=5, return_sequences=True)
    for _ in range(2):
        close(layer(X, mask=MASK, training=True), other(X, mask=MASK, training=True))
    still = array(layer(X))
    close(still, other(X))
    assert np.abs(array(layer(X, training=True)) - still).max() > 1e-2


@every_layer
def test_nothing_is_drawn_unless_training(name):
    """Keras moves its seed at every call; a graph for inference must change nothing."""
    layer = zoo.layers.Bidirectional(ours(name, dropout=0.4, recurrent_dropout=0.3))
    layer.build(X.shape)
    graph = tf.function(lambda x: layer(x, training=False)).get_concrete_function(tf.constant(X)).graph
    assert not [o.type for o in graph.get_operations() if "Assign" in o.type or "Random" in o.type]


def test_dropout_statistics():
    """Without bias, recurrence and squashing, h of each step is the input with some places dropped."""
    layer = zoo.layers.SimpleRNN(50, activation=None, use_bias=False, dropout=0.3, return_sequences=True)
    ones = np.ones((40, 3, 50), "float32")
    layer.build(ones.shape)
    layer.set_weights([np.eye(50), np.zeros((50, 50)), *layer.get_weights()[2:]])
    h = array(layer(ones, training=True))
    assert set(np.round(np.unique(h), 4)) == {0.0, np.float32(np.round(1 / 0.7, 4))}
    assert abs((h == 0).mean() - 0.3) < 0.04
    assert (h[:, 0] == h[:, 1]).all() and (h[:, 0] == h[:, 2]).all()  # the same places at every step


@every_layer
def test_states_kept_from_batch_to_batch(name):
    layer, other = twins(name, stateful=True)
    first = array(layer(X))
    close(first, other(X))
    close(layer(X), other(X))
    assert np.abs(array(layer(X)) - first).max() > 1e-3
    layer.reset_state()
    close(layer(X), first)


@every_layer
def test_a_step_of_the_cell_is_a_step_of_the_layer(name):
    layer = randomize_built(ours(name, return_sequences=True))
    expected, states = array(layer(X)), layer.get_initial_state(len(X))
    projected = layer.cell.project(X)
    assert projected.shape == (*X.shape[:2], layer.cell.kernel.shape[-1])
    for t in range(X.shape[1]):
        output, _ = layer.cell(X[:, t], states)
        close(output, expected[:, t])
        output, states = layer.cell.step(projected[:, t], states)
        close(output, expected[:, t])


@every_layer
def test_context_is_more_input(name):
    """`x W + c C` is what one kernel [W; C] gives for [x; c]."""
    cell = randomize_built(ours(name)).cell
    wide = type(cell).from_config(cell.get_config())
    wide.build((None, X.shape[-1] + 3))
    random = np.random.default_rng(3)
    context, kernel = random.normal(size=(4, 3)), random.normal(size=(3, cell.kernel.shape[-1]))
    context, kernel = context.astype("float32"), kernel.astype("float32")
    rest = [array(w) for w in cell.trainable_weights[1:]]
    for weight, value in zip(
        wide.trainable_weights, [np.concatenate([array(cell.kernel), kernel]), *rest], strict=True
    ):
        weight.assign(value)
    states = [random.normal(size=(4, UNITS)).astype("float32") for _ in cell.state_names]
    expected = wide(np.concatenate([X[:, 0], context], -1), states)
    close(cell.step(cell.project(X[:, 0]), states, context=(context, kernel)), expected)


@every_layer
def test_xla_and_unknown_lengths(name):
    """A training step in a graph of unknown length, and compiled by XLA, gives what eager gives."""
    layer = randomize_built(
        ours(name, return_sequences=True, return_state=True, use_cudnn=False)
        if name != "simple_rnn"
        else ours(name, return_sequences=True, return_state=True)
    )

    def loss(x, mask):
        h, *states = layer(x, mask=mask, training=True)
        return tf.reduce_sum(tf.square(h)) + sum(tf.reduce_sum(s) for s in states)

    def step(x, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(x, mask)
        return [value, *tape.gradient(value, [x, *(w.value for w in weights_of(layer))])]

    unknown = [tf.TensorSpec((None, None, X.shape[-1])), tf.TensorSpec((None, None), tf.bool)]
    expected = step(tf.constant(X), tf.constant(MASK))
    close(tf.function(step, input_signature=unknown)(X, MASK), expected, 1e-4)
    close(tf.function(step, jit_compile=True)(tf.constant(X), tf.constant(MASK)), expected, 1e-4)


@every_layer
def test_comes_back_from_a_file(name, tmp_path):
    x = keras.Input((None, X.shape[-1]))
    mask = keras.Input((None,), dtype="bool")
    options = {"dropout": 0.1, "recurrent_dropout": 0.2, "seed": 3, "return_sequences": True}
    y = zoo.layers.Bidirectional(ours(name, **options), merge_mode="sum")(x, mask=mask)
    last = ours(name, **({} if name == "simple_rnn" else {"use_cudnn": False}))
    model = keras.Model([x, mask], last(y, mask=mask))
    randomize(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    close(again([X, MASK]), model([X, MASK]))
    before, after = model.layers[2], again.layers[2]
    assert isinstance(before, zoo.layers.Bidirectional) and type(after) is type(before)
    assert type(after.forward_layer) is type(before.forward_layer)
    for key, value in options.items():
        assert getattr(after.backward_layer, key) == value
    assert again.layers[-1].get_config() == last.get_config()


@every_layer
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_low_precision(name, policy):
    exact, _ = twins(name, wrap={}, return_sequences=True)
    layer = zoo.layers.Bidirectional(ours(name, return_sequences=True, dtype=policy), dtype=policy)
    layer.build(X.shape)
    for a, b in zip(weights_of(layer), weights_of(exact), strict=True):
        a.assign(b)
    actual = layer(X, mask=MASK)
    assert str(actual.dtype).endswith(policy.removeprefix("mixed_") + "'>")
    close(array(actual), exact(X, mask=MASK), 0.06)
    cell = layer.forward_layer.cell  # outside of a layer's call, as in decoding
    output, _ = cell.step(cell.project(X[:, 0]), cell.get_initial_state(4))
    assert output.dtype == actual.dtype


def test_the_layer_that_a_recipe_names():
    for kernel, expected in (("auto", "auto"), ("cudnn", True), ("xla", False)):
        layer = recurrent_layer("gru", 4, kernel, "gru_0", "mixed_bfloat16", recurrent_dropout=0.1)
        assert (layer.use_cudnn, layer.return_sequences, layer.name) == (expected, True, "gru_0")
        assert layer.cell.recurrent_dropout == 0.1
        assert layer.dtype_policy.name == layer.cell.dtype_policy.name == "mixed_bfloat16"
    assert not recurrent_layer(
        "simple_rnn", 4, "xla", "a", "float32", return_sequences=False
    ).return_sequences


ON_JAX = """
import sys
import numpy as np, jax
from keras import ops
from zoo.layers.bidirectional import Bidirectional
from zoo.layers.rnn import CELLS

x = np.random.default_rng(0).normal(size=(3, 6, 5)).astype("float32")
mask = np.array([[1] * 6, [1, 1, 1, 0, 0, 0], [0] * 6], bool)
for name in ("lstm",):
    layer = Bidirectional(CELLS[name](4, return_sequences=True, recurrent_dropout=0.1))
    layer.build(x.shape)
    trainable = [w.value for w in layer.trainable_variables]
    fixed = [w.value for w in layer.non_trainable_variables]

    def run(trainable, x, mask, training=False):
        return layer.stateless_call(trainable, fixed, x, mask=mask, training=training)[0]

    def loss(trainable):
        return ops.sum(ops.square(run(trainable, x, mask, training=True)))

    gradient = jax.jit(jax.grad(loss))(trainable)
    assert all(float(abs(g).max()) > 0 for g in gradient), name
    h, short = jax.jit(run)(trainable, x, mask), jax.jit(run)(trainable, x[1:2, :3], mask[1:2, :3])
    assert float(abs(h[1, :3] - short[0]).max()) < 1e-6
    gates = jax.jit(layer.forward_layer.gates)(x)
    assert float(abs(gates["hidden"][:1] - h[:1, :, :4]).max()) < 1e-6
assert "tensorflow" not in sys.modules, "TensorFlow was imported"
"""


@pytest.mark.jax
def test_on_jax_without_tensorflow():
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", ON_JAX], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
