"""What is special about the recurrent classifier and language model; the rest is in test_contract.py."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from model_tools import array, randomize

from zoo.models import RNNClassifier, RNNLanguageModel

IDS = np.array([[4, 7, 5, 9, 6, 8], [5, 6, 7, 0, 0, 0], [0] * 6], "int32")
COMMON = dict(
    vocabulary_size=13, cell="lstm", embedding_dim=4, units=5, num_layers=2, dropout=0.0,
    recurrent_dropout=0.0, rnn_kernel="auto",
)  # fmt: skip
CLASSIFIER = dict(COMMON, num_classes=3, bidirectional=True, pooling="last")
WRITER = dict(COMMON, tie_embeddings=False)


def built(cls, keywords, **changes):
    model = cls(**{**keywords, **changes})
    return randomize(model.build_from_ids(), spread=0.5)


def logits(model, ids=IDS, **call):
    return array(model({"token_ids": ids}, **call))


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_last_is_the_state_after_the_last_token(cell, bidirectional):
    model = built(RNNClassifier, CLASSIFIER, cell=cell, bidirectional=bidirectional)
    text = IDS[1:2, :3]
    x = model.embedding(text)
    for layer in model.recurrent[:-1]:
        x = layer(x)
    top = model.recurrent[-1]
    ends = [(top.forward_layer, x), (top.backward_layer, x[:, ::-1])] if bidirectional else [(top, x)]
    states = []
    for layer, read in ends:  # step by step, without the layer's loop
        state = layer.get_initial_state(1)
        for t in range(text.shape[1]):
            h, state = layer.cell(read[:, t], state)
        states.append(array(h))
    expected = array(model.head(np.concatenate(states, -1)))
    np.testing.assert_allclose(logits(model)[1:2], expected, atol=1e-5)  # there the text is padded


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
def test_classifier_does_not_see_padding(pooling):
    model = built(RNNClassifier, CLASSIFIER, pooling=pooling)
    np.testing.assert_allclose(logits(model)[1:2], logits(model, IDS[1:2, :3]), atol=1e-5)
    assert np.isfinite(logits(model)).all()


@pytest.mark.parametrize("keyword", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("cls, keywords", [(RNNClassifier, CLASSIFIER), (RNNLanguageModel, WRITER)])
def test_dropout_is_for_training(cls, keywords, keyword):
    model = built(cls, keywords, **{keyword: 0.5})
    still = logits(built(cls, keywords))
    np.testing.assert_allclose(logits(model), still, atol=1e-6)
    assert np.abs(logits(model, training=True) - still).max() > 1e-3


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
@pytest.mark.parametrize("tied", [False, True])
def test_language_model_step_by_step(cell, tied):
    model = built(RNNLanguageModel, WRITER, cell=cell, tie_embeddings=tied)
    expected = logits(model)
    memory = model.encode(IDS)
    cache = model.init_cache(memory, length=6)
    for t in range(IDS.shape[1]):
        actual, new_cache = model.step(IDS[:, t], t, cache, memory)
        np.testing.assert_allclose(array(actual), expected[:, t], atol=1e-5)
        keras.tree.assert_same_structure(cache, new_cache)
        cache = new_cache


def test_language_model_reads_from_left_to_right():
    model = built(RNNLanguageModel, WRITER)
    changed = IDS.copy()
    changed[:, 3] = 11
    np.testing.assert_allclose(logits(model, changed)[:, :3], logits(model)[:, :3], atol=1e-6)
    assert (np.abs(logits(model, changed)[:, 3:] - logits(model)[:, 3:]).max(axis=(0, 2)) > 1e-3).all()


def test_tied_embeddings_share_one_matrix():
    large = [w for w in built(RNNLanguageModel, WRITER).weights if 13 in w.shape and len(w.shape) == 2]
    shared = built(RNNLanguageModel, WRITER, tie_embeddings=True)
    assert len(large) == 2
    assert [w.shape for w in shared.weights if 13 in w.shape and len(w.shape) == 2] == [(13, 4)]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_language_model_in_low_precision(policy):
    model = built(RNNLanguageModel, WRITER, dtype=policy, tie_embeddings=True)
    memory = model.encode(IDS)
    cache = model.init_cache(memory, length=1)
    actual, new_cache = model.step(IDS[:, 0], 0, cache, memory)
    assert "float32" in str(actual.dtype)
    assert [s.dtype for s in keras.tree.flatten(cache)] == [s.dtype for s in keras.tree.flatten(new_cache)]
    np.testing.assert_allclose(array(actual), logits(model)[:, 0], atol=0.05)
