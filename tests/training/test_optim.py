"""Learning rates by their formulas, and which weights decay."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from model_tools import small_model

from zoo.config.training import Train
from zoo.training.optim import Schedule, clip_factor, global_norm, make_optimizer


def train(**keys) -> Train:
    return Train(**{"steps": 100, "batch_tokens": 1, "learning_rate": 0.5, **keys})


def rates(steps, **keys):
    schedule = make_optimizer(train(**keys))._learning_rate
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize("name", ["constant", "inverse_sqrt", "linear", "cosine"])
def test_the_warm_up_is_a_straight_line(name):
    assert rates([0, 4, 9], schedule=name, warmup=10) == pytest.approx([0.05, 0.25, 0.5])


def test_constant():
    assert rates([10, 50, 1000], schedule="constant", warmup=10) == pytest.approx([0.5] * 3)
    assert rates([0, 1], schedule="constant") == pytest.approx([0.5, 0.5])  # no warm-up


def test_inverse_square_root():
    found = rates([10, 39, 999], schedule="inverse_sqrt", warmup=10)
    assert found == pytest.approx([0.5 * math.sqrt(10 / 11), 0.25, 0.05])
    assert rates([0, 3], schedule="inverse_sqrt") == pytest.approx([0.5, 0.25])


def test_inverse_square_root_is_the_papers():
    """lrate = d^-0.5 min(s^-0.5, s w^-1.5), with its largest value as our rate."""
    width, warmup = 512, 40
    schedule = Schedule("inverse_sqrt", (width * warmup) ** -0.5, warmup, 1000)
    for s in (1, 7, 40, 41, 500):
        expected = width**-0.5 * min(s**-0.5, s * warmup**-1.5)
        assert float(schedule(s - 1)) == pytest.approx(expected, rel=1e-5)


def test_cosine():
    found = rates([9, 31, 54, 99, 150], schedule="cosine", warmup=10)
    half = [0.25 * (1 + math.cos(math.pi * (s - 10) / 90)) for s in (10, 32, 55, 100, 100)]
    assert found == pytest.approx(half, abs=1e-6)
    assert found[2] == pytest.approx(0.25)
    assert found[3] == found[4] == pytest.approx(0.0, abs=1e-6)


def test_linear():
    found = rates([9, 31, 54, 99, 150], schedule="linear", warmup=10)
    assert found == pytest.approx([0.5 * (100 - s) / 90 for s in (10, 32, 55, 100, 100)], abs=1e-6)
    assert found[-1] == 0.0 and found[2] == pytest.approx(0.25)


def test_a_fraction_of_the_steps():
    assert train(warmup=0.25).warmup_steps == 25
    assert rates(range(60), warmup=0.25) == rates(range(60), warmup=25) != rates(range(60), warmup=26)


def test_schedule_config_round_trip():
    schedule = Schedule("cosine", 0.1, 5, 50)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(again(s)) for s in (0, 20)] == [float(schedule(s)) for s in (0, 20)]


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "lion", "sgd"])
@pytest.mark.parametrize("changes", [{}, {"normalization": "rms"}])
def test_weight_decay_spares_biases_and_norms(optimizer, changes):
    model = small_model("transformer" if changes else "rnn_seq2seq", **changes)
    optimizer = make_optimizer(train(optimizer=optimizer, learning_rate=0.1, weight_decay=0.5))
    before = {w.path: w.numpy() for w in model.trainable_variables}
    optimizer.build(model.trainable_variables)
    optimizer.apply([np.zeros(w.shape, "float32") for w in model.trainable_variables])
    spared = 0
    for w in model.trainable_variables:
        if w.path.split("/")[-1] in ("bias", "gamma", "beta", "scale"):
            np.testing.assert_array_equal(w.numpy(), before[w.path], err_msg=w.path)
            spared += 1
        else:  # lr x decay: a zero gradient moves nothing else
            np.testing.assert_allclose(w.numpy(), 0.95 * before[w.path], rtol=1e-5, err_msg=w.path)
    assert 0 < spared < len(before)


def test_adam_does_not_decay():
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer = make_optimizer(train(optimizer="adam", weight_decay=0.5))
    optimizer.build([variable])
    optimizer.apply([np.zeros(3, "float32")])
    np.testing.assert_array_equal(variable.numpy(), 1.0)


@pytest.mark.parametrize(("clip", "expected"), [(1.0, 0.1), (20.0, 1.0), (None, 1.0)])
def test_clipping_is_of_all_gradients_together(clip, expected):
    norm = global_norm([np.array([6.0], "float32"), None, np.array([[8.0]], "float32")])
    assert float(norm) == pytest.approx(10.0)
    assert float(clip_factor(norm, clip)) == pytest.approx(expected)


def test_the_norm_of_no_finite_gradient_is_not_finite():
    for bad in (np.inf, np.nan):
        assert not np.isfinite(float(global_norm([np.ones(3, "float32"), np.array([1.0, bad], "float32")])))


def steps(gradients, **keys) -> list[np.ndarray]:
    """The weights after each gradient, from (1, -2)."""
    variable = keras.Variable(np.array([1.0, -2.0], "float32"), name="kernel")
    optimizer = make_optimizer(train(learning_rate=0.1, **keys))
    optimizer.build([variable])
    found = []
    for gradient in gradients:
        optimizer.apply([np.asarray(gradient, "float32")])
        found.append(variable.numpy().copy())
    return found


GRADIENTS = [np.array([0.5, -1.0]), np.array([-0.2, -3.0]), np.array([0.1, 4.0])]


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd(momentum, decay):
    w, m = np.array([1.0, -2.0]), 0.0
    for gradient, found in zip(
        GRADIENTS, steps(GRADIENTS, optimizer="sgd", momentum=momentum, weight_decay=decay), strict=True
    ):
        w = w * (1 - 0.1 * decay)
        m = momentum * m - 0.1 * gradient
        w = w + m
        np.testing.assert_allclose(found, w, rtol=1e-6)


@pytest.mark.parametrize(("given", "beta_2"), [(None, 0.99), (0.9, 0.9)])
def test_lion(given, beta_2):
    """Chen et al. 2023, algorithm 2."""
    w, m = np.array([1.0, -2.0]), np.zeros(2)
    found = steps(GRADIENTS, optimizer="lion", beta_2=given, weight_decay=0.3)
    for gradient, weights in zip(GRADIENTS, found, strict=True):
        w = w * (1 - 0.1 * 0.3) - 0.1 * np.sign(0.9 * m + 0.1 * gradient)
        m = beta_2 * m + (1 - beta_2) * gradient
        np.testing.assert_allclose(weights, w, rtol=1e-6)


@pytest.mark.parametrize(("given", "beta_2"), [(None, 0.999), (0.5, 0.5)])
@pytest.mark.parametrize(("name", "decay"), [("adam", 0.0), ("adamw", 0.3)])
def test_adam(name, decay, given, beta_2):
    w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    found = steps(GRADIENTS, optimizer=name, beta_2=given, weight_decay=decay)
    for t, (gradient, weights) in enumerate(zip(GRADIENTS, found, strict=True), 1):
        m = 0.9 * m + 0.1 * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        w = w * (1 - 0.1 * decay) - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - beta_2**t)) + 1e-7)
        np.testing.assert_allclose(weights, w, rtol=1e-5)


def test_adafactor():
    """Shazeer and Stern 2018, algorithm 4 for a vector, and the row and the column of a matrix."""
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    for t, (gradient, found) in enumerate(
        zip(GRADIENTS, steps(GRADIENTS, optimizer="adafactor"), strict=True), 1
    ):
        beta = 1 - t**-0.8
        v = beta * v + (1 - beta) * (gradient**2 + 1e-30)
        u = gradient / np.sqrt(v)
        u = u / max(1.0, np.sqrt(np.mean(u**2)))
        w = w - max(1e-3, np.sqrt(np.mean(w**2))) * min(0.1, t**-0.5) * u
        np.testing.assert_allclose(found, w, rtol=1e-4)
    matrix = keras.Variable(np.ones((6, 4), "float32"), name="kernel")
    optimizer = make_optimizer(train(optimizer="adafactor"))
    optimizer.build([matrix])
    assert {tuple(v.shape) for v in optimizer.variables} >= {(6,), (4,)}


def test_moving_average():
    variable = keras.Variable(np.ones(1, "float32"))
    optimizer = make_optimizer(train(ema=0.9))
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([np.ones(1, "float32")])
    average, last = float(optimizer._model_variables_moving_average[0][0]), float(variable[0])
    assert last < average < 1.0 - 1e-3
