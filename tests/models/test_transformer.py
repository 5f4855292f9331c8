"""What is particular to the Transformers: positions, batch statistics, and the names of their weights.

What they promise like every model, also with each of their choices, is in test_contract.py.
"""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import tensorflow as tf
from model_tools import array

from zoo.config.transformer import Transformer as Section
from zoo.config.transformer import TransformerClassifier as ClassifierSection
from zoo.contract.cases import case, randomize
from zoo.contract.models import decodes_as_it_trains, ignores_padding, never_looks_ahead
from zoo.models import Transformer, TransformerClassifier

POSITIONS = ("sinusoidal", "learned", "rotary", "alibi", "t5", "transformer_xl", "none")
TOGETHER = [
    dict(positions="sinusoidal", normalization="batch", activation="geglu", normalize_first=False),
    dict(positions="learned", normalization="rms", activation="swiglu", num_key_value_heads=1),
    dict(positions="rotary", normalization="rms", activation="swiglu", num_key_value_heads=2),
    dict(positions="alibi", normalization="layer", activation="gelu", normalize_first=False),
    dict(positions="t5", normalization="rms", activation="geglu", num_key_value_heads=1),
    dict(positions="transformer_xl", normalization="rms", activation="gelu", num_key_value_heads=2),
    dict(positions="none", normalization="batch", activation="relu", num_key_value_heads=2),
]
"""Every choice once more, several at a time; four heads, so that two groups are possible."""


def translator(**changes):
    return case("transformer", Transformer, Section, **{"num_heads": 4, "hidden_dim": 16, **changes})


def classifier(**changes):
    return case("transformer_classifier", TransformerClassifier, ClassifierSection, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("changes", TOGETHER, ids=lambda changes: changes["positions"])
def test_choices_together(changes):
    made = translator(**changes)
    ignores_padding(made)
    never_looks_ahead(made)
    decodes_as_it_trains(made)


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_order_of_the_words(positions):
    """It is seen, but for `none`: then the text is a bag of words."""
    model = classifier(positions=positions, normalize_first=True).make()
    ids = np.array([[4, 5, 6, 7, 8, 0], [8, 4, 7, 5, 6, 0]], "int32")
    one, other = array(model({"token_ids": ids}))
    if positions == "none":
        np.testing.assert_allclose(one, other, atol=1e-5)
    else:
        assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("positions", ["rotary", "alibi", "t5", "transformer_xl"])
def test_relative_positions_are_relative(positions):
    """Padding put before the words moves them all, and changes nothing else than that."""
    model = classifier(positions=positions, pooling="mean").make()
    ids = np.array([[4, 5, 6, 7, 0, 0], [0, 0, 4, 5, 6, 7]], "int32")
    one, other = array(model({"token_ids": ids}))
    np.testing.assert_allclose(one, other, atol=2e-5)


def test_the_blocks_of_a_stack_share_one_t5_table():
    model = translator(positions="t5", num_encoder_layers=2, num_decoder_layers=3).make()
    tables = [w.path.split("/")[-2] for w in model.weights if w.name == "table"]
    assert tables == ["encoder_position_bias", "decoder_position_bias"]


def test_no_more_learned_positions_than_there_are():
    made = translator(positions="learned", max_sequence_length=6)
    model, inputs = made.make(), made.inputs(source=6)
    memory = model.encode(inputs["encoder_token_ids"])
    model.init_cache(memory, 6)
    with pytest.raises(ValueError, match="max_sequence_length is 6"):
        model.init_cache(memory, 7)
    with pytest.raises(ValueError, match="max_sequence_length is 6"):
        model.encode(made.inputs(source=7)["encoder_token_ids"])


@pytest.mark.parametrize("normalize_first", [False, True], ids=["post", "pre"])
def test_batch_statistics_leave_padding_out(normalize_first):
    """In training too: wider batches of the same texts give the same logits and the same moving averages."""
    made = translator(normalization="batch", normalize_first=normalize_first)
    inputs = made.inputs()
    inputs["encoder_token_ids"][1, 3:] = inputs["decoder_token_ids"][1, 2:] = 0
    real = inputs["decoder_token_ids"] != 0
    wider = {name: np.pad(ids, ((0, 0), (0, 5))) for name, ids in inputs.items()}
    seen = []
    for batch in (inputs, wider):
        model = made.make()
        logits = array(model(batch, training=True))[:, : real.shape[1]][real]
        seen.append((logits, [array(w) for w in model.non_trainable_variables if "moving" in w.name]))
    np.testing.assert_allclose(seen[1][0], seen[0][0], atol=1e-4, rtol=1e-4)
    assert len(seen[0][1]) == 2 * (2 + 2 * 3 + (2 if normalize_first else 0))
    for a, b in zip(seen[0][1], seen[1][1], strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5, rtol=1e-4)


def test_a_batch_of_nothing_but_padding_trains_nothing_wrong():
    model = classifier(normalization="batch").make()
    before = [array(w) for w in model.non_trainable_variables if "moving" in w.name]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model({"token_ids": np.zeros((2, 4), "int32")}, training=True))
    gradients = tape.gradient(total, [w.value for w in model.trainable_variables])
    assert all(np.isfinite(array(g)).all() for g in gradients if g is not None)
    after = [array(w) for w in model.non_trainable_variables if "moving" in w.name]
    assert before and all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_names_in_a_file_of_weights_stay(tmp_path):
    """Or the weights of earlier runs could not be loaded."""
    translator(num_encoder_layers=1, num_decoder_layers=1).make().save_weights(tmp_path / "m.weights.h5")
    names = set()
    with h5py.File(tmp_path / "m.weights.h5") as file:
        file.visititems(lambda name, node: names.add(name) if isinstance(node, h5py.Dataset) else None)
    attention = {f"{part}_dense/vars/{i}" for part in ("query", "key", "value", "output") for i in (0, 1)}
    feed_forward = {f"feed_forward/{part}/vars/{i}" for part in ("inner", "outer") for i in (0, 1)}
    expected = {f"embedding/vars/{i}" for i in (0, 1)}
    for kind, parts in (("encoder", ("attention",)), ("decoder", ("self_attention", "cross_attention"))):
        block = f"{kind}/transformer_{kind}_block"
        expected |= {f"{block}/{part}/{name}" for part in parts for name in attention}
        expected |= {f"{block}/{name}" for name in feed_forward}
        norms = (*parts, "feed_forward")
        expected |= {f"{block}/{part}_norm/vars/{i}" for part in norms for i in (0, 1)}
    for norm in ("layer_normalization", "layer_normalization_1"):
        expected |= {f"final_norms/{norm}/vars/{i}" for i in (0, 1)}
    assert {name for name in names if "seed" not in name} == expected


def test_the_paper_s_base_model_builds():
    """6+6, 512, 2048, 8: the weights that the paper's table 3 counts, 65 million with 37000 sub-words."""
    made = translator(
        vocabulary_size=1000,
        num_encoder_layers=6,
        num_decoder_layers=6,
        hidden_dim=512,
        intermediate_dim=2048,
        num_heads=8,
    )
    model = made.make(spread=None)
    attention, feed_forward, norm = 4 * (512 * 512 + 512), 2 * 512 * 2048 + 2048 + 512, 2 * 512
    encoder = 6 * (attention + feed_forward + 2 * norm)
    decoder = 6 * (2 * attention + feed_forward + 3 * norm)
    count = encoder + decoder + 2 * norm + 1000 * 513
    assert sum(np.prod(w.shape) for w in model.trainable_variables) == count
    assert 62e6 < count + 36000 * 513 < 66e6
    assert np.isfinite(array(model(made.inputs()))).all()


def test_gradients_reach_everything_with_dropout_and_groups():
    made = translator(dropout=0.1, attention_dropout=0.1, positions="t5", num_key_value_heads=2)
    model = randomize(made.make(), spread=0.3)
    with tf.GradientTape() as tape:
        logits = model(made.inputs(batch=8), training=True)
        total = tf.reduce_sum(logits * np.random.default_rng(0).normal(size=logits.shape))
    gradients = tape.gradient(total, [w.value for w in model.trainable_variables])
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, weight.path
