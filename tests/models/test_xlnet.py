"""What is particular to XLNet: what each query may know, and what others begin from."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from model_tools import array, small_model

from zoo.layers.masks import causal_mask, key_mask, padding_mask

POSITIONS = ("transformer_xl", "sinusoidal", "rotary", "t5")
TEXT = np.array([[5, 9, 4, 7, 12]], "int32")


def logits(model, token_ids, places, order):
    inputs = {"token_ids": token_ids, "places": places, "order": order}
    return array(model({name: np.asarray(ids, "int32") for name, ids in inputs.items()}))


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_query_knows_what_is_before_it_in_the_order(positions):
    """Of one known token and four that are asked for in all 24 orders, each is changed in turn."""
    model = small_model("xlnet", positions=positions)
    places, known = np.array([0, 1, 3, 4]), 2
    order = np.zeros((24, 5), int)
    order[:, places] = 1 + np.array(list(permutations(range(4))))
    ids, asked = np.repeat(TEXT, 24, axis=0), np.repeat(places[None], 24, axis=0)
    before = logits(model, ids, asked, order)
    for changed in range(5):
        other = ids.copy()
        other[:, changed] = 8
        change = np.abs(logits(model, other, asked, order) - before).max(-1)  # (24, 4)
        seen = order[:, [changed]] < order[:, places]
        assert (change[~seen] <= 1e-6).all()
        assert (change[seen] > 1e-5).all()
        assert seen.all() == (changed == known)


def test_who_is_asked_for_first_knows_nothing():
    """Nothing is given: not the text, not its padding."""
    model, order = small_model("xlnet"), np.array([[2, 1, 3]])
    first = logits(model, [[5, 9, 4]], [[1]], order)
    np.testing.assert_array_equal(logits(model, [[7, 6, 8]], [[1]], order), first)
    padded = logits(model, [[7, 6, 8, 0, 0]], [[1]], np.pad(order, ((0, 0), (0, 2))))
    np.testing.assert_allclose(padded, first, atol=1e-6)


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_query_knows_its_place(positions):
    model = small_model("xlnet", positions=positions)
    one, other = (logits(model, TEXT, [[place]], [[0, 1, 0, 1, 0]]) for place in (1, 3))
    assert np.abs(one - other).max() > 1e-3
    both = logits(model, TEXT, [[3, 1, 0]], [[0, 1, 0, 1, 0]])
    np.testing.assert_allclose(both[:, :2], np.concatenate([other, one], 1), atol=1e-6)


def test_what_nobody_knows_may_stand_for_anything():
    """A text to be filled in has -1 where training has the token."""
    model, order, places = small_model("xlnet"), [[0, 1, 0, 1, 0]], [[1, 3]]
    hidden = np.where(np.array(order) > 0, -1, TEXT)
    expected = logits(model, TEXT, places, order)
    np.testing.assert_array_equal(logits(model, hidden, places, order), expected)


@pytest.mark.parametrize("positions", POSITIONS)
def test_left_to_right_the_contents_are_those_of_a_causal_model(positions):
    model, plain = small_model("xlnet", positions=positions), small_model("bert", positions=positions).encoder
    plain.set_weights(model.encoder.get_weights())
    ids = np.array([[5, 9, 4, 7, 12], [6, 4, 8, 0, 0]], "int32")
    order = np.tile(np.arange(1, 6, dtype="int32"), (2, 1))
    h, _ = model.streams({"token_ids": ids, "places": np.array([[1], [1]], "int32"), "order": order})

    mask = causal_mask(5) & key_mask(padding_mask(ids))
    bias = None if plain.position_bias is None else plain.position_bias(np.arange(5), np.arange(5))
    x = plain.placed(plain.embed(ids))
    for block in plain.blocks:
        x = block(x, attention_mask=mask, attention_bias=bias)
    real = ids != 0
    np.testing.assert_allclose(array(h)[real], array(x)[real], atol=2e-5)


def test_others_begin_from_its_encoder():
    """The names of its weights are those of every text encoder, and it reads a text as they do."""
    model = small_model("xlnet")
    classifier = small_model("transformer_classifier", positions="transformer_xl")
    theirs, ours = (
        {w.path.partition("/")[2]: w for w in m.weights if "/encoder/" in w.path} for m in (model, classifier)
    )
    assert list(theirs) == list(ours)
    for name, weight in ours.items():
        weight.assign(theirs[name])
    np.testing.assert_array_equal(array(classifier.encoder(TEXT)), array(model.encoder(TEXT)))
