"""The tokenizer in a graph gives what the tokenizer in Python gives, also after saving and loading."""

from __future__ import annotations

import random

import pytest
import tensorflow as tf
from sentencepiece import sentencepiece_model_pb2

from zoo.config.tokenizer import Byte, Character, SentencePiece, Word
from zoo.data.reading import read_words
from zoo.data.tokenizers import train_tokenizer
from zoo.data.tokenizers_graph import GraphTokenizer
from zoo.data.words import split_words

CORPUS = [
    "The dog runs through the park, and two children follow it.",
    "Der Hund läuft durch den Park, und zwei Kinder folgen ihm.",
    "Le chien court à travers le parc ; où est passée la fenêtre ?",
    "狗跑过公园，两个孩子跟着它。",
    "😀 🎉 👩‍👩‍👧 ok",
]
TEXTS = [
    *CORPUS,
    *("", " ", "  two  spaces ", "tab\tand\nline", "▁", "<s> </s> <unk> <pad> <0x41>", "unknown wörds here"),
    *(
        "Ünïcödé ẞ",
        "日本語のテキスト",
        "مرحبا",
        "🦄🇨🇳",
        "e\u0301 é ﬁ Ａ",
        "the dog 🦄 park",
        "long " * 3000,
        "nul\0",
    ),
]
KINDS = [
    SentencePiece(name="sentencepiece", vocabulary_size=335),
    SentencePiece(name="sentencepiece", vocabulary_size=390, model_type="bpe"),
    SentencePiece(name="sentencepiece", vocabulary_size=335, normalization="nmt_nfkc"),
    SentencePiece(name="sentencepiece", vocabulary_size=90, model_type="bpe", byte_fallback=False),
    Character(name="character"),
    Character(name="character", normalization="nmt_nfkc_cf"),
    Byte(name="byte"),
    Word(name="word"),
]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(map(str, kind.model_dump().values())))
def pair(request):
    tokenizer = train_tokenizer(request.param, CORPUS)
    return tokenizer, GraphTokenizer(tokenizer)


def test_the_same_ids(pair):
    tokenizer, graph = pair
    ids = tf.function(graph.tokenize)(tf.constant(TEXTS))
    assert ids.dtype == tf.int32
    assert ids.to_list() == tokenizer.encode_batch(TEXTS)
    assert graph.tokenize(tf.constant([], tf.string)).to_list() == []


def test_the_same_words(pair):
    tokenizer, graph = pair
    texts = [
        *TEXTS,
        "\n \t",
        "10\u00a0000 a\u3000b",
        "\x1c \x85",
        "a▁b ▁",
        "½ ´ \u200b x",
        "ö" * 12,
        "ö" * 13,
    ]
    ids, characters = tf.function(graph.words)(tf.constant(texts))
    assert ids.dtype == characters.dtype == tf.int32
    expected = [read_words(tokenizer, split_words(text)) for text in texts]
    assert ids.to_list() == [row["token_ids"].tolist() for row in expected]
    assert characters.to_list() == [row["character_ids"].tolist() for row in expected]
    assert characters.to_tensor().shape[2] == 24
    ids, characters = graph.words(tf.constant([], tf.string))
    assert ids.to_list() == characters.to_list() == []


def test_the_same_texts(pair):
    tokenizer, graph = pair
    detokenize = tf.function(graph.detokenize)
    numbers = random.Random(1)
    ids = [numbers.randrange(tokenizer.vocabulary_size) for _ in range(30)]
    rows = [*tokenizer.encode_batch(TEXTS), [], [3], [0], [2, 3], [1], [1, 1], [3, *ids], [*ids, 0, 0]]
    # Many specials among the pieces, so that every order of pad, bos, eos and unk is met.
    rows += [[numbers.choice([*range(4), *ids]) for _ in range(numbers.randrange(12))] for _ in range(300)]
    expected = tokenizer.decode_batch(rows)
    found = detokenize(tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1))
    assert [text.decode("utf-8") for text in found.numpy()] == expected
    assert any(expected) and "" in expected
    empty = tf.RaggedTensor.from_row_lengths(tf.constant([], tf.int32), tf.constant([], tf.int64))
    assert detokenize(empty).shape == (0,)


def test_saved_with_its_model(tmp_path):
    tokenizer = train_tokenizer(KINDS[0], CORPUS)

    class Upside(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = GraphTokenizer(tokenizer)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            return self.tokenizer.detokenize(tf.reverse(self.tokenizer.tokenize(texts), axis=[1]))

    tf.saved_model.save(Upside(), str(tmp_path))
    found = tf.saved_model.load(str(tmp_path))(tf.constant(TEXTS[:4])).numpy()
    expected = [tokenizer.decode(tokenizer.encode(text)[::-1]) for text in TEXTS[:4]]
    assert [text.decode("utf-8") for text in found] == expected


def test_equally_good_pieces_are_chosen_alike():
    """`999` is `9 99` or `99 9`: two versions of SentencePiece differ where the scores' sums are rounded."""
    numbers = random.Random(3)
    lines = [f"{numbers.randrange(10**6):,} tokens ... {'=' * numbers.randrange(30)}" for _ in range(300)]
    tokenizer = train_tokenizer(SentencePiece(name="sentencepiece", vocabulary_size=500), lines)
    pieces = [surface for surface in tokenizer.surfaces if surface.strip("\ufffd")]
    texts = ["".join(numbers.choices(pieces, k=12)) for _ in range(3000)]
    texts += [numbers.choice("0123456789.=, ") * numbers.randrange(1, 40) for _ in range(1000)]
    assert GraphTokenizer(tokenizer).tokenize(tf.constant(texts)).to_list() == tokenizer.encode_batch(texts)
    model = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.model_bytes)
    assert all(float(piece.score * 256).is_integer() for piece in model.pieces)
    assert len({piece.score for piece in model.pieces}) > 50
