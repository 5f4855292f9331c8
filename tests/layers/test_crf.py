"""The CRF against the enumeration of all sequences of tags, in float64."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise, product

import numpy as np
import pytest
import tensorflow as tf
from model_tools import array, randomize

from zoo.layers import CRF
from zoo.layers.crf import log_likelihood, log_partition, path_score, viterbi
from zoo.training.losses import IGNORE, CRFLoss

TAGS, LENGTHS, LONGEST = 3, (5, 3, 1, 0), 5
MASK = np.arange(LONGEST) < np.array(LENGTHS)[:, None]
RANDOM = np.random.default_rng(0)
EMISSIONS = RANDOM.normal(0.0, 2.0, (len(LENGTHS), LONGEST, TAGS)).astype("float32")
LABELS = np.where(MASK, RANDOM.integers(0, TAGS, MASK.shape), IGNORE)


def make(tags=TAGS, spread=1.5, **keywords):
    layer = CRF(tags, **keywords)
    layer.build((None, None, tags))
    return randomize(layer, spread=spread)


@pytest.fixture(scope="module")
def layer():
    return make()


def all_paths(layer, emissions, length):
    """Every sequence of tags, in the order of the dictionary, and its score."""
    transitions, start, end = (array(w).astype("float64") for w in layer.weights)
    emissions = emissions.astype("float64")
    paths, scores = list(product(range(emissions.shape[-1]), repeat=length)), []
    for path in paths:
        score = sum(emissions[t, tag] for t, tag in enumerate(path))
        score += sum(transitions[a, b] for a, b in pairwise(path))
        scores.append(score + (start[path[0]] + end[path[-1]] if path else 0.0))
    return paths, np.array(scores)


def enumerated(layer, emissions=EMISSIONS, lengths=LENGTHS):
    for row, length in zip(emissions, lengths, strict=True):
        yield all_paths(layer, row, length)


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(array(actual), expected, rtol=tolerance, atol=tolerance)


def test_sum_over_all_sequences(layer):
    expected = [np.log(np.exp(scores).sum()) for _, scores in enumerated(layer)]
    close(log_partition(layer(EMISSIONS, MASK)), expected)


def test_score_and_likelihood_of_one_sequence(layer):
    scores, likelihoods = [], []
    for tags, length, (paths, every) in zip(LABELS, LENGTHS, enumerated(layer), strict=True):
        scores.append(every[paths.index(tuple(tags[:length]))])
        likelihoods.append(scores[-1] - np.log(np.exp(every).sum()))
    potentials, tags = layer(EMISSIONS, MASK), np.maximum(LABELS, 0)
    close(path_score(potentials, tags, MASK), scores)
    close(log_likelihood(potentials, tags, MASK), likelihoods)
    close(layer.log_likelihood(potentials, tags, MASK), likelihoods)


def test_all_likelihoods_together_are_one(layer):
    paths = np.array(list(product(range(TAGS), repeat=4)))
    potentials = np.repeat(array(layer(EMISSIONS[:1, :4])), len(paths), axis=0)
    assert np.exp(array(log_likelihood(potentials, paths))).sum() == pytest.approx(1.0, rel=1e-5)


def test_best_sequence(layer):
    tags, scores = layer.viterbi(layer(EMISSIONS, MASK))
    assert array(tags).dtype == "int32"
    for row, score, (paths, every) in zip(array(tags), array(scores), enumerated(layer), strict=True):
        best = paths[every.argmax()]
        assert tuple(row[: len(best)]) == best
        assert (row[len(best) :] == (best[-1] if best else 0)).all()  # repeated at padding
        assert score == pytest.approx(every.max(), rel=1e-5)


def test_of_equal_sequences_the_first_in_the_dictionary():
    layer, ties = make(), 0
    random = np.random.default_rng(1)
    for w in layer.weights:
        w.assign(random.integers(0, 2, w.shape))
    emissions = random.integers(0, 2, (40, 4, TAGS)).astype("float32")
    tags = array(viterbi(layer(emissions))[0])
    for row, (paths, every) in zip(tags, enumerated(layer, emissions, [4] * 40), strict=True):
        ties += (every == every.max()).sum() > 1
        assert tuple(row) == paths[every.argmax()]
    assert ties > 20


def test_one_tag():
    potentials = make(1)(EMISSIONS[..., :1], MASK)
    close(log_likelihood(potentials, np.zeros_like(LABELS), MASK), np.zeros(len(LENGTHS)))
    assert not array(viterbi(potentials)[0]).any()


def test_padding_changes_nothing(layer):
    longer, mask = (
        np.pad(EMISSIONS, ((0, 0), (0, 6), (0, 0)), constant_values=77.0),
        np.pad(MASK, ((0, 0), (0, 6))),
    )
    potentials = layer(longer, mask)
    np.testing.assert_array_equal(array(potentials)[:, :LONGEST], array(layer(EMISSIONS, MASK)))
    close(log_partition(potentials), array(log_partition(layer(EMISSIONS, MASK))), 1e-6)
    np.testing.assert_array_equal(
        array(viterbi(potentials)[0])[:, :LONGEST], array(viterbi(layer(EMISSIONS, MASK))[0])
    )
    alone = layer(EMISSIONS[1:2, :3])  # no mask: all are words
    np.testing.assert_array_equal(array(alone), array(layer(EMISSIONS, MASK))[1:2, :3])


def loss_and_gradients(layer, emissions, mask, labels):
    with tf.GradientTape() as tape:
        tape.watch(emissions)
        loss = CRFLoss()(labels, layer(emissions, mask))
    return loss, tape.gradient(loss, [emissions, *(w.value for w in layer.weights)])


def test_gradient_is_what_is_expected_less_what_is_there(layer):
    """d(-log p(y)) / d score = how often the model expects it - how often y has it."""
    _, gradients = loss_and_gradients(layer, tf.constant(EMISSIONS), MASK, LABELS)
    expected = [np.zeros(g.shape) for g in gradients]
    for b, (paths, every) in enumerate(enumerated(layer)):
        p = np.exp(every) / np.exp(every).sum()
        truth = [(tuple(LABELS[b, : LENGTHS[b]]), -1.0)]
        for path, weight in [*zip(paths, p, strict=True), *truth]:
            for t, tag in enumerate(path):
                expected[0][b, t, tag] += weight
            for a, b_ in pairwise(path):
                expected[1][a, b_] += weight
            if path:
                expected[2][path[0]] += weight
                expected[3][path[-1]] += weight
    for actual, wanted in zip(gradients, expected, strict=True):
        close(actual, wanted / sum(LENGTHS))
    assert (array(gradients[0])[~MASK] == 0.0).all()


def test_xla_and_open_shapes_give_the_same(layer):
    def step(emissions, mask, labels):
        return loss_and_gradients(layer, emissions, mask, labels), viterbi(layer(emissions, mask))

    given = tf.constant(EMISSIONS), tf.constant(MASK), tf.constant(LABELS, tf.int32)
    signature = [
        tf.TensorSpec([None, None, TAGS], tf.float32),
        *[tf.TensorSpec([None, None], d) for d in (bool, "int32")],
    ]
    plain = tf.nest.flatten(tf.function(step, input_signature=signature, autograph=False)(*given))
    compiled = tf.nest.flatten(tf.function(step, jit_compile=True, autograph=False)(*given))
    eager = tf.nest.flatten(step(*given))
    for a, b, c in zip(plain, compiled, eager, strict=True):
        close(a, array(c), 1e-6)
        close(b, array(c), 1e-6)


def test_a_long_sentence_stays_exact(layer):
    emissions = np.random.default_rng(3).normal(0.0, 3.0, (1, 700, TAGS)).astype("float32")
    transitions, start, end = (array(w).astype("float64") for w in layer.weights)
    alpha = start + emissions[0, 0]
    for row in emissions[0, 1:].astype("float64"):
        alpha = np.logaddexp.reduce(alpha[:, None] + transitions, axis=0) + row
    assert float(log_partition(layer(emissions))[0]) == pytest.approx(
        np.logaddexp.reduce(alpha + end), rel=1e-5
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_log_scores_are_float32_under_every_policy(layer, policy):
    low = CRF(TAGS, dtype=policy)
    low.build((None, None, TAGS))
    low.set_weights([np.round(array(w) * 8) / 8 for w in layer.weights])  # exact in float16
    exact = CRF(TAGS)
    exact.build((None, None, TAGS))
    exact.set_weights([array(w) for w in low.weights])
    np.testing.assert_array_equal(array(low(EMISSIONS, MASK)), array(exact(EMISSIONS, MASK)))
    assert low(EMISSIONS, MASK).dtype == "float32"
    largest = tf.constant(np.full((1, 9, TAGS), 65504.0), tf.float16)
    loss, gradients = loss_and_gradients(low, largest, np.ones((1, 9), bool), np.zeros((1, 9), "int32"))
    assert np.isfinite(float(loss))
    assert all(np.isfinite(array(g)).all() for g in gradients)


def test_a_new_crf_is_a_softmax_of_each_word():
    layer = CRF(TAGS)
    rows = array(log_likelihood(layer(EMISSIONS[:1]), LABELS[:1]))
    log_p = EMISSIONS[0] - np.log(np.exp(EMISSIONS[0]).sum(-1, keepdims=True))
    close(rows, [log_p[np.arange(LONGEST), LABELS[0]].sum()])


def test_learns_what_follows_what():
    """The words say nothing at all: 0, 1, 2, 0, ... from any start can only be learnt as transitions."""
    tags = (np.arange(6) + np.arange(3)[:, None]) % TAGS
    layer, silent = CRF(TAGS), tf.zeros((3, 6, TAGS))
    layer.build(silent.shape)

    @tf.function(autograph=False)
    def step():
        _, gradients = loss_and_gradients(layer, silent, np.ones((3, 6), bool), tags)
        for w, g in zip(layer.weights, gradients[1:], strict=True):
            w.assign_sub(5.0 * g)

    for _ in range(60):
        step()
    hint = np.zeros((3, 6, TAGS), "float32")
    hint[np.arange(3), 0, np.arange(3)] = 5.0  # only the first word tells its tag
    np.testing.assert_array_equal(array(viterbi(layer(hint))[0]), tags)


def test_emissions_for_other_tags():
    with pytest.raises(ValueError, match="emissions have 4 scores a word, not num_tags 3"):
        CRF(3).build((None, None, 4))


def test_tflite_finds_the_same_tags(layer):
    module = tf.Module()
    module.weights = [w.value for w in layer.weights]
    signature = [tf.TensorSpec([1, None, TAGS], tf.float32, name="emissions")]
    function = tf.function(
        lambda emissions: dict(zip(("tags", "score"), viterbi(layer(emissions)), strict=True)),
        input_signature=signature,
        autograph=False,
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=converter.convert()).get_signature_runner()
    for row, length in zip(EMISSIONS, LENGTHS, strict=True):
        if length:
            answer, expected = run(emissions=row[None, :length]), viterbi(layer(row[None, :length]))
            np.testing.assert_array_equal(answer["tags"], array(expected[0]))
            close(answer["score"], array(expected[1]))


ON_JAX = """
import sys, jax, keras, numpy as np
from zoo.layers.crf import CRF, viterbi
from zoo.training.losses import CRFLoss
given = np.load(sys.argv[1])
layer = CRF(3)
layer.build((None, None, 3))
layer.set_weights([given[f"w{i}"] for i in range(3)])

def loss(weights, emissions):
    potentials, _ = layer.stateless_call(weights, [], emissions, given["mask"])
    return CRFLoss()(given["labels"], potentials), viterbi(potentials)

weights = [w.value for w in layer.weights]
(value, (tags, score)), gradients = jax.jit(jax.value_and_grad(loss, (1, 0), has_aux=True))(weights, given["emissions"])
np.savez(sys.argv[2], value, tags, score, gradients[0], *gradients[1])
assert keras.backend.backend() == "jax" and "tensorflow" not in sys.modules
"""


@pytest.mark.jax
def test_jax_gives_the_same(layer, tmp_path):
    weights = {f"w{i}": array(w) for i, w in enumerate(layer.weights)}
    np.savez(tmp_path / "given.npz", emissions=EMISSIONS, mask=MASK, labels=LABELS, **weights)
    process = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(tmp_path / "given.npz"), str(tmp_path / "out.npz")],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    loss, gradients = loss_and_gradients(layer, tf.constant(EMISSIONS), MASK, LABELS)
    expected = [loss, *viterbi(layer(EMISSIONS, MASK)), *gradients]
    with np.load(tmp_path / "out.npz") as actual:
        for key, wanted in zip(actual.files, expected, strict=True):
            close(actual[key], array(wanted))
