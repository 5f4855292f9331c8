"""Ten thousand hostile texts through every kind of tokenizer: no crash, no special id, in Python as in a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
from strings import BROKEN, CLASSES, LONG, counted, strings

from zoo.config.tokenizer import Byte, Character, SentencePiece, Word
from zoo.data.reading import LONGEST_PROMPT, LONGEST_SENTENCE, read_words
from zoo.data.tokenizers import EOS, UNK, Tokenizer, train_tokenizer
from zoo.data.tokenizers_graph import GraphTokenizer, valid
from zoo.data.words import split_words
from zoo.text import valid as valid_text

CORPUS = [
    "The dog runs through the park, and two children follow it.",
    "Der Hund läuft durch den Park; où est passée la fenêtre ?",
    "狗跑过公园，两个孩子跟着它。 😀 🎉 👩‍👩‍👧 ok 3 March 2021",
    "مرحبا بالعالم שלום <s> </s> tab\there\n\nnew line",
]
NORMALIZATIONS = ("identity", "nmt_nfkc", "nmt_nfkc_cf")


def subwords(model_type: str, rule: str, size: int = 335) -> SentencePiece:
    return SentencePiece(
        name="sentencepiece", vocabulary_size=size, model_type=model_type, normalization=rule
    )


KINDS = {
    "byte": Byte(name="byte"),
    "unigram identity": subwords("unigram", "identity"),
    "bpe nmt_nfkc_cf": subwords("bpe", "nmt_nfkc_cf", 400),
    "bpe without bytes": subwords("bpe", "identity", 150).model_copy(update={"byte_fallback": False}),
    "character identity": Character(name="character"),
    "word nmt_nfkc": Word(name="word", normalization="nmt_nfkc"),
}
MORE = {
    "unigram nmt_nfkc": subwords("unigram", "nmt_nfkc"),
    "unigram nmt_nfkc_cf": subwords("unigram", "nmt_nfkc_cf"),
    "bpe identity": subwords("bpe", "identity", 400),
    "bpe nmt_nfkc": subwords("bpe", "nmt_nfkc", 400),
    "character nmt_nfkc": Character(name="character", normalization="nmt_nfkc"),
    "character nmt_nfkc_cf": Character(name="character", normalization="nmt_nfkc_cf"),
    "word identity": Word(name="word"),
    "word nmt_nfkc_cf": Word(name="word", normalization="nmt_nfkc_cf"),
}
TEXTS = [hostile.text for hostile in strings()]


@pytest.fixture(
    scope="module", params=[*KINDS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(name) -> Tokenizer:
    return train_tokenizer({**KINDS, **MORE}[name], CORPUS)


@pytest.fixture(scope="module")
def rows(tokenizer) -> list[list[int]]:
    return tokenizer.encode_batch(TEXTS)


def flat(rows) -> tuple[np.ndarray, np.ndarray]:
    """All ids, and the length of each row."""
    return np.fromiter((i for row in rows for i in row), "int32"), np.array([len(row) for row in rows])


def test_the_texts():
    """Ten thousand, of every class, the same ones each time; some are long, some no text at all."""
    found = strings()
    numbers = counted(found)
    assert len(found) == 10_000 and set(numbers) == {*CLASSES, *BROKEN} and min(numbers.values()) >= 20
    assert found == strings.__wrapped__() != strings.__wrapped__(seed=2)
    assert sum(len(hostile.bytes) > LONG * 0.9 for hostile in found) == 20
    assert sum(valid_text(hostile.text) != hostile.text for hostile in found) >= 200
    no_utf8 = [hostile for hostile in found if hostile.bytes != valid_text(hostile.text).encode()]
    assert len(no_utf8) > 1500 and {hostile.name for hostile in no_utf8} <= set(BROKEN)


def test_the_page_has_the_right_figures():
    page = Path(__file__).parents[2].joinpath("docs", "any-text.md").read_text(encoding="utf-8")
    assert f"of {len({**CLASSES, **BROKEN})} kinds" in page
    assert f"{LONGEST_SENTENCE:,} tokens for a tagger, {LONGEST_PROMPT:,} in a prompt" in page


def test_one_rule_for_what_is_no_text():
    """Python's and the graph's: the same signs of lost characters for the same bytes."""
    content = [hostile.bytes for hostile in strings()]
    expected = [valid_text(hostile.text).encode() for hostile in strings()]
    assert valid(tf.constant(content)).numpy().tolist() == expected
    assert valid_text("a\ud800\udcff狗\ude00\ud83d") == "a\ufffd\ufffd狗\ufffd\ufffd"


def test_no_special_ids(rows, tokenizer):
    """Of no text; <unk> alone is met, and only where there are no bytes to write a character with."""
    ids, _ = flat(rows)
    assert ids.min() >= UNK and not np.isin(ids, [0, 2, EOS]).any() and ids.max() < tokenizer.vocabulary_size
    bytes_stand_in = any(piece == "<0x41>" for piece in tokenizer.pieces)
    assert (UNK in ids) != bytes_stand_in


def test_the_graph_gives_the_same_ids(rows, tokenizer):
    """Of the bytes that a client sends."""
    content = tf.constant([hostile.bytes for hostile in strings()])
    found = GraphTokenizer(tokenizer).tokenize(valid(content))
    ids, lengths = flat(rows)
    np.testing.assert_array_equal(found.row_lengths().numpy(), lengths)
    np.testing.assert_array_equal(found.flat_values.numpy(), ids)


def test_sentencepiece_alone_gives_the_same_ids(rows, tokenizer):
    """As whoever reads the exported file without the zoo has it."""
    alone = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model_bytes)
    assert alone.encode([valid_text(text) for text in TEXTS]) == rows
    some = range(0, len(TEXTS), 97)
    assert [tokenizer.encode(TEXTS[i]) for i in some] == [rows[i] for i in some]


def test_round_trip(rows, tokenizer, name):
    """What comes back is what the tokenizer's docstring promises; the same from a graph."""
    some = len(TEXTS) // 4
    rows, texts = rows[:some], [valid_text(text) for text in TEXTS[:some]]
    found = tokenizer.decode_batch(rows)
    ids, lengths = flat(rows)
    ragged = tf.RaggedTensor.from_row_lengths(ids, lengths)
    assert [text.decode() for text in GraphTokenizer(tokenizer).detokenize(ragged).numpy()] == found
    if name == "byte":
        expected = texts
    elif name in ("unigram identity", "bpe identity"):
        expected = [text.replace("▁", " ") for text in texts]
    elif name == "character identity":
        known = "".join(tokenizer.pieces[4:])
        expected = [_with_unknown(text.replace("▁", " "), known) for text in texts]
    elif name.startswith(("unigram", "bpe nmt")):  # exactly as it was normalised
        alone = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model_bytes)
        expected = [alone.normalize(text).replace("▁", " ").removeprefix(" ") for text in texts]
    else:
        return
    assert found == expected


def _with_unknown(text: str, known: str) -> str:
    """Neighbouring unknown characters as one sign."""
    out = []
    for c in text:
        sign = c if c == " " or c in known else "\u2047"
        if sign != "\u2047" or out[-1:] != [sign]:
            out.append(sign)
    return "".join(out)


def test_words_are_those_of_the_graph(tokenizer):
    """A tagger's: ids and characters of each word."""
    some = strings(1_000)
    ids, characters = GraphTokenizer(tokenizer).words(valid(tf.constant([hostile.bytes for hostile in some])))
    expected = [read_words(tokenizer, split_words(hostile.text)) for hostile in some]
    np.testing.assert_array_equal(ids.row_lengths().numpy(), [len(row["token_ids"]) for row in expected])
    np.testing.assert_array_equal(
        ids.flat_values.numpy(), np.concatenate([row["token_ids"] for row in expected])
    )
    np.testing.assert_array_equal(
        characters.flat_values.numpy(), np.concatenate([row["character_ids"] for row in expected])
    )
    assert not np.isin(ids.flat_values.numpy(), [0, 2, EOS]).any()


def test_text_inside_a_text(tokenizer):
    """Parts between hidden tokens: as in a graph, and without special ids."""
    some = strings(1_000)
    found = GraphTokenizer(tokenizer, inside=True).tokenize_inside(
        valid(tf.constant([hostile.bytes for hostile in some]))
    )
    expected = [tokenizer.encode_inside(hostile.text) for hostile in some]
    ids, lengths = flat(expected)
    np.testing.assert_array_equal(found.row_lengths().numpy(), lengths)
    np.testing.assert_array_equal(found.flat_values.numpy(), ids)
    assert not np.isin(ids, [0, 2, EOS]).any()
