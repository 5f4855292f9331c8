"""What a tagger reads: words, their characters and their tags, which never lose each other."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from zoo.config import Recipe
from zoo.config.tokenizer import Byte, Character, SentencePiece, Word
from zoo.data.datasets import Dataset, Report, Split, _check_tags_of_words
from zoo.data.encoded import encode_split
from zoo.data.objectives import IGNORE
from zoo.data.pipeline import make_batches, one_batch
from zoo.data.reading import first_pieces, pad, read, read_words
from zoo.data.tokenizers import BOS, EOS, UNK, train_tokenizer
from zoo.data.words import WORD_BYTES, character_ids, split_words
from zoo.errors import UserError

TAGS = ["A", "B", "C"]
WORDS = train_tokenizer(Word(name="word"), ["the dog runs", "the cat", "三月 🙂"])
BYTES = train_tokenizer(Byte(name="byte"), [])


def recipe(max_length: int = 8, buckets=(4,), batch_tokens: int = 32) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "test/tags",
            "task": "tagging",
            "data": {"name": "ud_ewt", "max_length": max_length, "buckets": list(buckets)},
            "tokenizer": {"name": "word"},
            "model": {"name": "rnn_tagger", "embedding_dim": 4, "units": 4},
            "train": {"steps": 1, "batch_tokens": batch_tokens, "learning_rate": 1e-3},
        }
    )


def sentences(*lengths: int) -> Split:
    """The i-th has words "i-0", "i-1" ... whose tags are A, B, C, A ..."""
    return Split(
        [" ".join(f"{row}-{i}" for i in range(length)) for row, length in enumerate(lengths)],
        [" ".join(TAGS[i % 3] for i in range(length)) for length in lengths],
    )


def encode(split: Split):
    return encode_split(split, WORDS, "tagging", TAGS, cache=False)


def test_words_stand_between_ascii_white_space() -> None:
    assert split_words(" the\t dog\n\v\f\r runs ") == ["the", "dog", "runs"]
    assert split_words("10\u00a0000 a\u3000b \x1c") == ["10\u00a0000", "a\u3000b", "\x1c"]
    assert split_words("") == split_words(" \n") == []


def test_characters_are_bytes() -> None:
    found = character_ids(["dog", "é", "", "\0"])
    assert found.dtype == np.int32 and found.shape == (4, WORD_BYTES)
    assert found[0, :4].tolist() == [*BYTES.encode("dog"), 0]
    assert found[1, :3].tolist() == [*BYTES.encode("é"), 0]
    assert not found[2].any()
    assert found[3, :2].tolist() == [4, 0]  # the byte 0 is no padding
    assert character_ids([]).shape == (0, WORD_BYTES)
    assert character_ids(["\udcff"]).tolist() == character_ids(["\ufffd"]).tolist()


def test_of_long_words_both_ends_are_seen() -> None:
    word = "antidisestablishmentarianism"  # 28 letters
    (found,) = character_ids([word])
    assert BYTES.decode(found.tolist()) == word[:12] + word[-12:]
    assert BYTES.decode(character_ids([word[:24]])[0].tolist()) == word[:24]


STRANGE = [
    "the",
    "strange",
    "unknown",
    "words",
    "",
    "▁",
    "a▁b",
    "10\u00a0000",
    "</s>",
    "dog",
    "\u200b",
    "½",
    "´",
]
SUBWORDS = train_tokenizer(
    SentencePiece(name="sentencepiece", vocabulary_size=270, model_type="bpe"), ["the dog", "dog 三月"] * 9
)
FOLDED = train_tokenizer(
    SentencePiece(name="sentencepiece", vocabulary_size=270, normalization="nmt_nfkc_cf"),
    ["The dog sees the cat"] * 9,
)


@pytest.mark.parametrize(
    "tokenizer",
    [
        WORDS,
        train_tokenizer(Word(name="word", normalization="nmt_nfkc_cf"), ["the dog", "The 10\u00a0000"]),
    ],
    ids=["word", "folded"],
)
def test_a_word_tokenizer_gives_one_id_for_each_word(tokenizer) -> None:
    ids = tokenizer.encode_words(STRANGE)
    assert tokenizer.whole_words and [len(row) for row in ids] == [1] * len(STRANGE)
    for word, (i,) in zip(STRANGE, ids, strict=True):
        assert i not in (0, BOS, EOS)
        assert tokenizer.encode(word) == [i] or i == UNK


@pytest.mark.parametrize(
    "tokenizer",
    [BYTES, train_tokenizer(Character(name="character"), ["the dog"]), SUBWORDS, FOLDED],
    ids=["byte", "character", "sub-words", "folded sub-words"],
)
def test_other_tokenizers_give_the_pieces_that_the_text_has(tokenizer) -> None:
    """Word by word it is what the whole text gives, but for <unk>, which become one there."""
    pieces = tokenizer.encode_words(STRANGE)
    assert not tokenizer.whole_words and len(pieces) == len(STRANGE) and all(pieces)
    assert not {0, BOS, EOS} & {i for row in pieces for i in row}
    for text in ("the dog", "dog 三月 the 🙂 x", "strange words", "the"):
        together = [i for row in tokenizer.encode_words(text.split()) for i in row]
        if UNK not in together:
            assert together == tokenizer.encode(text)
    assert tokenizer.encode_words([]) == []


def test_a_word_without_pieces_is_unknown() -> None:
    assert FOLDED.encode("\u200b") == []
    assert FOLDED.encode_words(["\u200b", "dog", "\u3000"]) == [[UNK], FOLDED.encode("dog"), [UNK]]


@pytest.mark.parametrize("tokenizer", [SUBWORDS, FOLDED, BYTES], ids=["identity", "folded", "byte"])
def test_characters_stand_at_the_first_piece(tokenizer) -> None:
    words = ["the", "strange", "三月", "\u200b", "🙂", "x" * 40]
    row = read_words(tokenizer, words)
    pieces = tokenizer.encode_words(words)
    assert len(row["token_ids"]) == len(row["character_ids"]) == sum(map(len, pieces)) > len(words)
    first = first_pieces(row["character_ids"])
    assert np.flatnonzero(first).tolist() == [sum(map(len, pieces[:i])) for i in range(len(words))]
    np.testing.assert_array_equal(row["character_ids"][first], character_ids(words))
    for nothing in (read_words(tokenizer, []), read("tagging", tokenizer, " \n", 8)):
        assert nothing["token_ids"].tolist() == [UNK] and not nothing["character_ids"].any()
    assert first_pieces(read_words(tokenizer, ["", "a", ""])["character_ids"]).sum() == 3, (
        "an empty word among others is one too"
    )


def test_tags_stand_at_the_first_piece_too() -> None:
    split = Split(["the 三月", "strange dog the"], ["A B", "C A B"])
    encoded = encode_split(split, SUBWORDS, "tagging", TAGS, cache=False)
    batch = one_batch(recipe(max_length=64), encoded)
    for i, (text, tags) in enumerate(split):
        first = first_pieces(batch.inputs["character_ids"][i])
        assert (batch.labels[i] != IGNORE).tolist() == first.tolist()
        assert [TAGS[label] for label in batch.labels[i][first]] == tags.split()
        assert encoded.sources[i].tolist() == SUBWORDS.encode(text)
    assert batch.tokens == 5 and batch.labels.shape[1] == encoded.sources.lengths.max() > 3


def test_reading_a_text_for_each_task() -> None:
    assert read("translation", BYTES, "abc", 3)["token_ids"].tolist() == [*BYTES.encode("ab"), EOS]
    assert read("classification", BYTES, "", 8)["token_ids"].tolist() == [UNK, EOS]
    assert read("language_modeling", BYTES, "a\nb", 2)["token_ids"].tolist() == BYTES.encode("a\nb")
    assert read("language_modeling", BYTES, "", 2)["token_ids"].tolist() == [BOS]
    tagged = read("tagging", WORDS, " the  xyz dog", 2)
    assert tagged["token_ids"].tolist() == [*WORDS.encode("the"), UNK, *WORDS.encode("dog")]
    assert BYTES.decode(tagged["character_ids"][1].tolist()) == "xyz"
    assert all(x.dtype == np.int32 for x in tagged.values())
    empty = read("tagging", WORDS, " ", 8)
    assert empty["token_ids"].tolist() == [UNK] and not empty["character_ids"].any()
    assert read_words(WORDS, ["New York", "dog"])["token_ids"].shape == (2,)


def test_padding_rows_that_were_read() -> None:
    rows = [read("tagging", WORDS, text, 8) for text in ("the dog runs", "cat")]
    batch = pad(rows, count=3, length=4)
    assert batch["token_ids"].shape == (3, 4) and batch["character_ids"].shape == (3, 4, WORD_BYTES)
    assert (batch["token_ids"] > 0).sum(axis=1).tolist() == [3, 1, 1]
    assert batch["token_ids"][2].tolist() == [UNK, 0, 0, 0] and not batch["character_ids"][2].any()
    assert pad(rows)["token_ids"].shape == (2, 3)
    assert pad(rows, length=1)["character_ids"].shape == (2, 1, WORD_BYTES)


def test_words_characters_and_tags_stay_together() -> None:
    split = sentences(2, 5, 4, 1, 8, 3)
    for training in (True, False):
        batches = make_batches(recipe(), encode(split), training)
        assert batches.shapes == [(8, 4, 1), (4, 8, 1)]
        seen = {}
        for step in range(len(batches)):
            batch = batches.batch(step)
            assert [x.shape for x in batch.inputs.values()] == [
                batch.labels.shape,
                (*batch.labels.shape, WORD_BYTES),
            ]
            assert (batch.labels[batch.inputs["token_ids"] == 0] == IGNORE).all()
            assert batch.tokens == (batch.labels != IGNORE).sum()
            for characters, labels in zip(batch.inputs["character_ids"], batch.labels, strict=True):
                words = [BYTES.decode(word.tolist()) for word in characters[labels != IGNORE]]
                if words:
                    seen[" ".join(words)] = " ".join(TAGS[label] for label in labels[labels != IGNORE])
        assert seen == dict(split)


def test_long_sentences_are_left_out_of_training_and_whole_in_validation() -> None:
    split = sentences(3, 9, 13, 8)
    training, validation = (make_batches(recipe(), encode(split), t) for t in (True, False))
    assert training.too_long == validation.too_long == 2
    assert sum(training.batch(i).tokens for i in range(len(training))) == 11
    assert validation.shapes[-1] == (2, 16, 1)
    assert sum(validation.batch(i).tokens for i in range(len(validation))) == 3 + 9 + 13 + 8
    assert one_batch(recipe(), encode(split)).labels.shape == (4, 13)


def test_filler_rows_have_one_unknown_word() -> None:
    batch = make_batches(recipe(), encode(sentences(2)), True).batch(0)
    assert batch.inputs["token_ids"][1:].tolist() == [[UNK, 0, 0, 0]] * 7
    assert not batch.inputs["character_ids"][1:].any() and (batch.labels[1:] == IGNORE).all()


def test_characters_are_kept_in_the_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    split = Split(["the 三月", "dog"], ["A B", "C"])
    for _ in range(2):
        encoded = encode_split(split, WORDS, "tagging", TAGS)
        assert isinstance(encoded.characters.ids, np.memmap)
        assert BYTES.decode(encoded.characters[0][1].tolist()) == "三月"
        assert [row.tolist() for row in encoded.targets] == [[0, 1], [2]]
    (path,) = tmp_path.glob("ids/*/characters.ids.npy")
    path.unlink()
    assert encode_split(split, WORDS, "tagging", TAGS).characters is not None


def test_a_tag_too_few_is_named() -> None:
    split = Split(["a b", "c"], ["A B", "A B"])
    with pytest.raises(UserError, match=r"data\.train: row 2 has 1 words but 2 tags"):
        _check_tags_of_words(Dataset(split, Split(["a"], ["A"]), None, Report()))


def test_reading_needs_neither_pydantic_nor_tensorflow() -> None:
    program = """
import sys
from zoo.data.reading import read
assert not {"pydantic", "tensorflow", "keras"} & set(sys.modules), sorted(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
