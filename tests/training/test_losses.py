"""The loss, against NumPy: its weights come from the labels, and smoothing is a smoothed distribution."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.layers.crf import log_likelihood
from zoo.training.losses import IGNORE, CRFLoss, MaskedCrossEntropy, cross_entropy

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0.0, 3.0, (3, 4, 7)).astype("float32")
LABELS = np.array([[1, 6, 0, 3], [2, IGNORE, 5, IGNORE], [IGNORE] * 4])


def by_hand(labels, logits, smoothing):
    """Cross-entropy of each counted place with `(1 - e) one_hot + e / V`."""
    size, losses = logits.shape[-1], []
    for label, z in zip(labels.reshape(-1), logits.reshape(-1, size).astype("float64"), strict=True):
        if label != IGNORE:
            log_p = z - np.log(np.exp(z).sum())
            target = (1 - smoothing) * np.eye(size)[label] + smoothing / size
            losses.append(-(target * log_p).sum())
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_sum_and_count(smoothing):
    total, count = cross_entropy(LABELS, LOGITS, smoothing)
    expected = by_hand(LABELS, LOGITS, smoothing)
    assert float(count) == len(expected) == 6
    assert float(total) == pytest.approx(sum(expected), rel=1e-5)


def test_validation_leaves_smoothing_out():
    loss = MaskedCrossEntropy(0.3)
    for total, smoothing in (
        (loss.total(LABELS, LOGITS), 0.3),
        (loss.total(LABELS, LOGITS, smoothing=False), 0.0),
    ):
        expected = by_hand(LABELS, LOGITS, smoothing)
        assert [float(x) for x in total] == pytest.approx([sum(expected), 6], rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_of_what_counts(smoothing):
    loss = MaskedCrossEntropy(smoothing)
    assert float(loss(LABELS, LOGITS)) == pytest.approx(np.mean(by_hand(LABELS, LOGITS, smoothing)), rel=1e-5)
    one = float(loss(LABELS[:, 0], LOGITS[:, 0]))  # a classifier's (B,) and (B, C)
    assert one == pytest.approx(np.mean(by_hand(LABELS[:, 0], LOGITS[:, 0], smoothing)), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_gradient_is_zero_where_nothing_counts(smoothing):
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = MaskedCrossEntropy(smoothing)(LABELS, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient[LABELS == IGNORE] == 0.0).all()
    assert (np.abs(gradient[LABELS != IGNORE]).max(-1) > 1e-4).all()
    # d loss / d z = (softmax - target) / n
    p = np.exp(LOGITS[0, 1]) / np.exp(LOGITS[0, 1]).sum()
    target = (1 - smoothing) * np.eye(7)[6] + smoothing / 7
    np.testing.assert_allclose(gradient[0, 1], (p - target) / 6, atol=1e-6)


def test_padding_and_filled_up_rows_change_nothing():
    loss = MaskedCrossEntropy(0.1)
    labels = np.pad(LABELS, ((0, 2), (0, 3)), constant_values=IGNORE)
    logits = np.pad(LOGITS, ((0, 2), (0, 3), (0, 0)), constant_values=50.0)
    assert float(loss(labels, logits)) == pytest.approx(float(loss(LABELS, LOGITS)), rel=1e-6)


def test_nothing_counts():
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = MaskedCrossEntropy(0.1)(np.full((3, 4), IGNORE), logits)
    assert float(loss) == 0.0
    assert (tape.gradient(loss, logits).numpy() == 0.0).all()


def test_large_logits_stay_finite():
    logits = np.array([[1e4, -1e4, 0.0]], "float32")
    assert float(MaskedCrossEntropy()(np.array([1]), logits)) == pytest.approx(2e4)


def test_config_round_trip():
    loss = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(MaskedCrossEntropy(0.3, name="x"))
    )
    assert (type(loss), loss.label_smoothing, loss.name) == (MaskedCrossEntropy, 0.3, "x")
    assert float(loss(LABELS, LOGITS)) == pytest.approx(np.mean(by_hand(LABELS, LOGITS, 0.3)), rel=1e-5)


def test_a_misspelt_argument_is_an_error():
    with pytest.raises(TypeError):
        MaskedCrossEntropy(smoothing=0.1)


TAGS = np.array([[1, 0, 2], [2, 1, IGNORE], [IGNORE] * 3])
POTENTIALS = RANDOM.normal(0.0, 2.0, (3, 3, 3, 3)).astype("float32")
POTENTIALS[1, 2] = np.where(np.eye(3, dtype=bool), 0.0, -1e9)  # padding, as the CRF gives it


def test_crf_loss_is_the_likelihood_of_rows_over_the_number_of_tags():
    rows = np.concatenate(
        [log_likelihood(POTENTIALS[:1], TAGS[:1]), log_likelihood(POTENTIALS[1:2, :2], TAGS[1:2, :2])]
    )
    total, count = CRFLoss().total(TAGS, POTENTIALS)
    assert (float(total), float(count)) == pytest.approx((-rows.sum(), 5.0), rel=1e-5)
    assert [float(x) for x in CRFLoss().total(TAGS, POTENTIALS, smoothing=False)] == [float(total), 5.0]
    assert float(CRFLoss()(TAGS, POTENTIALS)) == pytest.approx(-rows.sum() / 5, rel=1e-5)


def test_crf_loss_of_rows_that_only_fill_up():
    potentials = tf.constant(POTENTIALS)
    with tf.GradientTape() as tape:
        tape.watch(potentials)
        loss = CRFLoss()(TAGS, potentials)
    assert not tape.gradient(loss, potentials).numpy()[2].any()
    assert float(CRFLoss()(np.full((3, 3), IGNORE), POTENTIALS)) == 0.0


def test_crf_loss_comes_back_from_its_config():
    loss = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(CRFLoss(name="x")))
    assert (type(loss), loss.name) == (CRFLoss, "x")
