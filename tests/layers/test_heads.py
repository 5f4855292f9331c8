"""Feed-forward, embeddings and heads: against their equations in NumPy."""

from __future__ import annotations

import block_reference as reference
import keras
import numpy as np
import pytest
from model_tools import array, randomize

from zoo.layers import (
    ClassifierHead,
    FeedForward,
    LanguageModelHead,
    MaskedLMHead,
    TaggerHead,
    TiedEmbedding,
)

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
X = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")


def built(layer, *shapes):
    layer.build(*(shapes or (X.shape,)))
    return randomize(layer)


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(array(actual), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("activation", ["relu", "gelu", "geglu", "swiglu"])
def test_feed_forward(activation):
    layer = built(FeedForward(10, activation))
    close(layer(X), reference.feed_forward(layer, X))
    gated = activation in ("geglu", "swiglu")
    assert len(layer.weights) == (6 if gated else 4)
    assert {w.path.split("/")[-2] for w in layer.weights} == {"inner", "outer", *(["gate"] if gated else [])}


def test_feed_forward_drops_after_the_gate():
    layer = built(FeedForward(400, "swiglu", dropout=0.5))
    layer.outer.kernel.assign(np.ones((400, 6)) / 400)
    still, dropped = array(layer(X)), array(layer(X, training=True))
    assert np.abs(dropped - still).max() > 0
    np.testing.assert_array_equal(array(layer(X, training=False)), still)


def test_tied_embedding():
    layer = built(TiedEmbedding(10, 4, scale=2.0), None)
    matrix, bias = array(layer.embeddings), array(layer.bias)
    ids = np.array([[1, 9, 0]])
    close(layer(ids), 2.0 * matrix[ids])
    close(layer.logits(X[..., :4]), X[..., :4] @ matrix.T + bias)


def test_scaled_embeddings_start_with_unit_variance():
    keras.utils.set_random_seed(0)
    vectors = array(TiedEmbedding(2000, 64, scale=8.0)(np.arange(2000)))
    assert 0.95 < vectors.std() < 1.05


def test_language_model_head():
    head = built(LanguageModelHead(11))
    close(head(X), reference.dense(head, X))
    close(head(X[:, 0]), reference.dense(head, X[:, 0]))  # one step of a decoder


def test_masked_language_model_head():
    embedding, head = built(TiedEmbedding(11, 6), None), built(MaskedLMHead(11))
    hidden = reference.norm(head.norm, reference.gelu(reference.dense(head.dense, X)))
    expected = hidden @ reference.exact(embedding.embeddings).T + reference.exact(head.bias)
    close(head(X, embedding.embeddings), expected)
    assert not {id(w) for w in head.weights} & {id(w) for w in embedding.weights}  # lent, not owned


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_classifier_head(pooling):
    head = built(ClassifierHead(3, pooling))
    pooled = [getattr(row, pooling)(0) for row in (X[0], X[1, :3])]
    close(head(X, MASK), reference.dense(head, np.stack(pooled)))
    close(head(X, np.zeros((2, 5), bool)), np.tile(array(head.bias), (2, 1)))


def test_classifier_head_knows_its_poolings():
    with pytest.raises(ValueError, match="'median'"):
        ClassifierHead(3, "median")


def test_tagger_head():
    head = built(TaggerHead(3))
    close(head(X), reference.dense(head, X))


@pytest.mark.parametrize(
    "head", [ClassifierHead(3, dropout=0.5), TaggerHead(3, dropout=0.5)], ids=lambda h: h.name
)
def test_heads_drop_in_training_only(head):
    built(head)
    arguments = (X, MASK) if isinstance(head, ClassifierHead) else (X,)
    still = array(head(*arguments))
    np.testing.assert_array_equal(array(head(*arguments, training=False)), still)
    assert np.abs(array(head(*arguments, training=True)) - still).max() > 1e-3


@pytest.mark.parametrize("head", [LanguageModelHead, TaggerHead], ids=lambda h: h.__name__)
def test_logits_are_float32(head):
    low = head(3, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(low(X).dtype) == "float32"
    assert {str(w.dtype) for w in low.weights if "seed" not in w.path} == {"float32"}
