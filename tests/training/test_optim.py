"""Learning rates by their formulas, and which weights decay."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from model_tools import small_model

from zoo.config.training import Train
from zoo.training.optim import Schedule, make_optimizer


def train(**keys) -> Train:
    return Train(**{"steps": 100, "batch_tokens": 1, "learning_rate": 0.5, **keys})


def rates(steps, **keys):
    schedule = make_optimizer(train(**keys))._learning_rate
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize("name", ["constant", "inverse_sqrt", "cosine"])
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


def test_a_fraction_of_the_steps():
    assert train(warmup=0.25).warmup_steps == 25
    assert rates(range(60), warmup=0.25) == rates(range(60), warmup=25) != rates(range(60), warmup=26)


def test_schedule_config_round_trip():
    schedule = Schedule("cosine", 0.1, 5, 50)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(again(s)) for s in (0, 20)] == [float(schedule(s)) for s in (0, 20)]


@pytest.mark.parametrize("name", ["rnn_seq2seq", "transformer"])
def test_weight_decay_spares_biases_and_norms(name):
    model = small_model(name)
    optimizer = make_optimizer(train(optimizer="adamw", learning_rate=0.1, weight_decay=0.5))
    before = {w.path: w.numpy() for w in model.trainable_variables}
    optimizer.build(model.trainable_variables)
    optimizer.apply([np.zeros(w.shape, "float32") for w in model.trainable_variables])
    spared = 0
    for w in model.trainable_variables:
        if w.path.split("/")[-1] in ("bias", "gamma", "beta"):
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


@pytest.mark.parametrize(("clip", "expected"), [(1.0, 1.0), (None, 10.0)])
def test_clipping_is_of_all_gradients_together(clip, expected):
    """Adam hides the size of a gradient, its first moment does not."""
    variables = [keras.Variable(np.zeros(1, "float32"), name=n) for n in "ab"]
    optimizer = make_optimizer(train(clip_norm=clip))
    optimizer.build(variables)
    optimizer.apply([np.array([6.0], "float32"), np.array([8.0], "float32")])
    moments = [float(m[0]) for m in optimizer._momentums]
    assert moments == pytest.approx([0.1 * 0.6 * expected, 0.1 * 0.8 * expected], rel=1e-5)


def test_moving_average():
    variable = keras.Variable(np.ones(1, "float32"))
    optimizer = make_optimizer(train(ema=0.9))
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([np.ones(1, "float32")])
    average, last = float(optimizer._model_variables_moving_average[0][0]), float(variable[0])
    assert last < average < 1.0 - 1e-3
