"""The tagger reads words and their bytes, and answers with tags; with a CRF with whole sequences of them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo.contract.cases import array, randomize
from zoo.errors import UserError
from zoo.layers.crf import log_likelihood
from zoo.models.rnn_tagger import RNNTagger
from zoo.training.losses import IGNORE, CRFLoss, MaskedCrossEntropy

KEYWORDS = dict(
    vocabulary_size=30,
    num_classes=4,
    cell="lstm",
    embedding_dim=6,
    units=5,
    num_layers=1,
    bidirectional=True,
    character_dim=7,
    crf=True,
    dropout=0.0,
    recurrent_dropout=0.0,
    rnn_kernel="xla",
)
WORDS = [["I", "went", "homeward", "."], ["你好", "🙂"]]


def make(**changes):
    return randomize(RNNTagger(**{**KEYWORDS, **changes}).build_from_ids())


def bytes_of(rows, width=12, length=None):
    """UTF-8 bytes + 4, 0 behind the end of a word and of a sentence."""
    out = np.zeros((len(rows), length or max(map(len, rows)), width), "int32")
    for b, row in enumerate(rows):
        for t, word in enumerate(row):
            content = list(word.encode())[:width]
            out[b, t, : len(content)] = np.array(content) + 4
    return out


def inputs_of(rows, **sizes):
    characters = bytes_of(rows, **sizes)
    ids = 4 + characters.sum(-1) % 20
    return {"token_ids": np.where(characters[..., 0] == 0, 0, ids), "character_ids": characters}


def spelling(model, word, width=12):
    return array(model.read_bytes(bytes_of([[word]], width=width)))[0, 0]


def test_bytes_by_hand():
    """Every place of begin, bytes and end gets the filters; each filter keeps its largest answer."""
    model = make()
    ids = [2, *(np.array(list("你a".encode())) + 4), 3]
    rows = np.pad(array(model.byte_embedding.embeddings)[ids], ((1, 1), (0, 0)))
    kernel, bias = array(model.convolution.kernel), array(model.convolution.bias)
    answers = [np.einsum("kd,kdf->f", rows[t : t + 3], kernel) + bias for t in range(len(ids))]
    np.testing.assert_allclose(spelling(model, "你a"), np.max(answers, axis=0), atol=1e-5)


def test_bytes_do_not_depend_on_the_width():
    model = make()
    for word in ("a", "homeward", "你好", ""):
        expected = spelling(model, word)
        np.testing.assert_allclose(spelling(model, word, width=24), expected, atol=1e-6)
        exact = max(1, len(word.encode()))  # no room for padding at all
        np.testing.assert_allclose(spelling(model, word, width=exact), expected, atol=1e-6)


def test_order_and_ends_of_bytes_matter():
    model = make()
    words = ["on", "no", "ono", "non", "nono", "one"]
    read = np.stack([spelling(model, word) for word in words])
    distances = np.abs(read[:, None] - read[None]).max(-1) + np.eye(len(words))
    assert distances.min() > 1e-3


@pytest.mark.parametrize("crf", [True, False])
def test_words_of_one_id_are_told_apart_by_their_bytes(crf):
    inputs = inputs_of(WORDS)
    other = {**inputs, "character_ids": inputs["character_ids"].copy()}
    other["character_ids"][0, 1, 3] += 1  # went, wenu
    for character_dim, differs in ((7, True), (None, False)):
        model = make(crf=crf, character_dim=character_dim)
        change = np.abs(array(model(other)) - array(model(inputs))).max()
        assert (change > 1e-3) == differs


@pytest.mark.parametrize("crf", [True, False])
def test_tags_do_not_depend_on_padding_or_neighbours(crf):
    model = make(crf=crf)
    tags = array(model.best_tags(model(inputs_of(WORDS))))
    wide = array(model.best_tags(model(inputs_of(WORDS, width=20, length=9))))
    for b, row in enumerate(WORDS):
        alone = array(model.best_tags(model(inputs_of([row]))))
        assert alone[0].tolist() == tags[b, : len(row)].tolist() == wide[b, : len(row)].tolist()


def test_best_tags_are_the_likeliest():
    inputs = inputs_of([["a", "b", "c"]])
    plain = make(crf=False)
    np.testing.assert_array_equal(array(plain.best_tags(plain(inputs))), array(plain(inputs)).argmax(-1))
    model = make()
    every = np.stack(np.meshgrid(*[range(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    potentials = array(model(inputs))
    rows = array(log_likelihood(np.repeat(potentials, len(every), 0), every))
    assert array(model.best_tags(potentials))[0].tolist() == every[rows.argmax()].tolist()


def test_losses():
    assert isinstance(make().make_loss(), CRFLoss)
    plain = make(crf=False).make_loss(0.1)
    assert (type(plain), plain.label_smoothing) == (MaskedCrossEntropy, 0.1)
    with pytest.raises(UserError, match="label_smoothing must be 0"):
        make().make_loss(0.1)


def test_learns_what_only_spelling_and_neighbours_tell():
    """All words are unknown; capitals are tag 1, what stands behind one is 2, all else is 0."""
    keras.utils.set_random_seed(0)
    rows = [["a", "B", "c", "d"], ["E", "f", "g"], ["h", "i", "J", "k", "l"], ["m", "N", "o"]]
    inputs = inputs_of(rows)
    inputs["token_ids"] = np.where(inputs["token_ids"] == 0, 0, 1)
    labels = np.full(inputs["token_ids"].shape, IGNORE)
    for b, row in enumerate(rows):
        for t, word in enumerate(row):
            labels[b, t] = 1 if word.isupper() else 2 if t and row[t - 1].isupper() else 0
    light = dict(cell="simple_rnn", bidirectional=False)  # less to trace
    model = RNNTagger(**{**KEYWORDS, **light}).build_from_ids()
    model.compile(keras.optimizers.Adam(0.03), model.make_loss(), jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # made inside `fit`, they have the step traced twice
    model.fit(inputs, labels, epochs=40, batch_size=4, verbose=0)
    tags = array(model.best_tags(model(inputs)))
    assert (tags == labels)[labels != IGNORE].all()


@pytest.mark.parametrize("crf", [True, False])
def test_tflite_reads_a_sentence_of_any_length(crf):
    model = make(crf=crf)
    module = tf.Module()
    module.weights = [w.value for w in model.variables]
    function = tf.function(
        lambda token_ids, character_ids: {
            "tags": model.best_tags(model({"token_ids": token_ids, "character_ids": character_ids}))
        },
        input_signature=[
            tf.TensorSpec([1, None], tf.int32, name="token_ids"),
            tf.TensorSpec([1, None, 12], tf.int32, name="character_ids"),
        ],
        autograph=False,
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_content=converter.convert()).get_signature_runner()
    for row in (*WORDS, ["one"], ["to"] * 11):
        inputs = {name: ids.astype("int32") for name, ids in inputs_of([row]).items()}
        np.testing.assert_array_equal(run(**inputs)["tags"], array(model.best_tags(model(inputs))))
