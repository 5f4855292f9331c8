"""The recurrent encoder-decoder with every cell and attention: the contract tests change one choice at a time."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.config.rnn import RNNSeq2Seq as Section
from zoo.contract.cases import array, case
from zoo.contract.models import decodes_as_it_trains, ignores_padding
from zoo.errors import UserError
from zoo.models.seq2seq import RNNSeq2Seq

CHOICES = [
    (cell, attention, feeding)
    for cell in ("lstm", "gru", "simple_rnn")
    for attention in ("none", "bahdanau", "luong_dot", "luong_general", "luong_concat")
    for feeding in (False, True)
    if not feeding or attention.startswith("luong")
]


def small(cell="lstm", attention="bahdanau", input_feeding=False, **changes):
    choices = {"cell": cell, "attention": attention, "input_feeding": input_feeding}
    return case("rnn_seq2seq", RNNSeq2Seq, Section, **choices, **changes)


def padded(made):
    """Inputs whose second source is shorter."""
    inputs = made.inputs()
    inputs["encoder_token_ids"][1, 3:] = 0
    return inputs


@pytest.mark.parametrize(("cell", "attention", "input_feeding"), CHOICES)
def test_padding_changes_nothing_and_steps_give_the_whole(cell, attention, input_feeding):
    made = small(cell, attention, input_feeding)
    ignores_padding(made)
    decodes_as_it_trains(made)


@pytest.mark.parametrize("attention", ["none", "bahdanau", "luong_general", "luong_concat"])
def test_the_encoder_may_have_another_width(attention):
    made = small(attention=attention, encoder_units=12)
    memory = made.make().build_from_ids().encode(made.inputs()["encoder_token_ids"])
    assert memory["context" if attention == "none" else "states"].shape[-1] == 12
    ignores_padding(made)
    decodes_as_it_trains(made)


@pytest.mark.parametrize(("cell", "attention", "input_feeding"), CHOICES)
def test_alignments(cell, attention, input_feeding):
    made = small(cell, attention, input_feeding)
    model, inputs = made.make(), padded(made)
    if attention == "none":
        with pytest.raises(UserError, match="`attention: none` has no alignments"):
            model.alignments(inputs)
        assert model.alignments_are is None
        return
    assert model.alignments_are == f"{attention.replace('_', ' ').capitalize()} attention"
    weights = array(model.alignments(inputs))
    assert weights.shape == (2, 4, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-6)
    assert (weights[1, :, 3:] == 0.0).all()
    assert weights[0].std(-1).max() > 1e-3  # it looks somewhere


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_without_attention_one_vector_holds_the_sentence(cell):
    made = small(cell, "none")
    model, inputs = made.make(), padded(made)
    memory = model.encode(inputs["encoder_token_ids"])
    names = {"context", "hidden", "cell"} if cell == "lstm" else {"context", "hidden"}
    assert set(memory) == names
    assert all(tuple(x.shape) == (2, 8) for x in memory.values())
    # Each place sees the context directly, not only through the first state.
    logits, cache = [], model.init_cache(memory, 4)
    for context in (memory["context"], 0.0 * memory["context"]):
        said, _ = model.step(inputs["decoder_token_ids"][:, 0], 0, cache, {**memory, "context": context})
        logits.append(array(said))
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


def test_input_feeding_is_seen_from_the_second_step_on():
    fed, plain = (small("gru", "luong_dot", feeding) for feeding in (True, False))
    fed, plain, inputs = fed.make(), plain.make(), padded(plain)
    by_path = {w.path.split("/", 1)[1]: w for w in fed.weights}
    for w in plain.weights:
        by_path[w.path.split("/", 1)[1]].assign(w)
    one, other = array(fed(inputs)), array(plain(inputs))
    np.testing.assert_allclose(one[:, 0], other[:, 0], atol=1e-5)
    assert (np.abs(one - other).max(-1)[:, 1:] > 1e-3).all()


def test_dropout_in_training_only():
    for attention in ("none", "bahdanau"):
        made = small("gru", attention, dropout=0.2, recurrent_dropout=0.3)
        model, inputs = made.make(), padded(made)
        still = array(model(inputs))
        np.testing.assert_array_equal(array(model(inputs, training=False)), still)
        one, two = array(model(inputs, training=True)), array(model(inputs, training=True))
        assert np.abs(one - still).max() > 1e-3
        assert np.abs(one - two).max() > 1e-3
