"""Hidden tokens: how many, which, by what replaced; words and phrases whole; a pure function of (seed, step)."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.config import Recipe
from zoo.config.tokenizer import Byte, Character, SentencePiece, Word
from zoo.data import masking, units
from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.masking import Masking
from zoo.data.objectives import IGNORE
from zoo.data.pipeline import make_batches, one_batch
from zoo.data.tokenizers import EOS, MASK, UNK, Tokenizer, train_tokenizer
from zoo.errors import UserError

TEXTS = [
    "The New York police saw an unbelievable thing, a hippopotamus.",
    "In New York, nobody believes the police; 我们喜欢人工智能。",
    "Un café à New York: naïve questions about hippopotamuses 🙂!",
] * 20


def trained(**keys) -> Tokenizer:
    return train_tokenizer(
        SentencePiece(name="sentencepiece", model_type="bpe", vocabulary_size=340, **keys), TEXTS
    )


@pytest.fixture(scope="module")
def subwords() -> Tokenizer:
    return trained(normalization="nmt_nfkc_cf")


def recipe(unit: str = "token", length: int = 64, batch_tokens: int = 256, seed: int = 1, **keys) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "test/masking",
            "task": "masked_language_modeling",
            "seed": seed,
            "data": {"name": "english", "max_length": length},
            "tokenizer": {"name": "byte"},
            "model": {
                "name": "bert",
                "num_layers": 1,
                "hidden_dim": 8,
                "intermediate_dim": 8,
                "num_heads": 1,
            },
            "masking": {"unit": unit, **keys},
            "train": {"steps": 1, "batch_tokens": batch_tokens, "learning_rate": 1e-3},
        }
    )


def encode(texts, tokenizer):
    split = Split([*texts], [""] * len(texts))
    return encode_split(split, tokenizer, "masked_language_modeling", cache=False)


def batches(tokenizer, unit: str = "token", training: bool = True, texts=TEXTS, **keys):
    return make_batches(recipe(unit, **keys), encode(texts, tokenizer), training, tokenizer)


def asked(batch):
    """(row, place, label, what the model sees there) of everything that is asked for."""
    rows, k = np.nonzero(batch.labels != IGNORE)
    places = batch.inputs["places"][rows, k]
    return rows, places, batch.labels[rows, k], batch.inputs["token_ids"][rows, places]


def original(batch) -> np.ndarray:
    """The windows before anything was hidden."""
    rows, places, labels, _ = asked(batch)
    ids = batch.inputs["token_ids"].copy()
    ids[rows, places] = labels
    return ids


def test_shapes_and_what_is_asked(subwords) -> None:
    made = batches(subwords)
    stream = encode(TEXTS, subwords).sources[0]
    batch = made.batch(0)
    assert [x.shape for x in batch.inputs.values()] == [(4, 64), (4, 10), (4, 64)]
    assert batch.labels.shape == (4, 10) and batch.tokens == 256
    assert all(x.dtype == np.int32 for x in (*batch.inputs.values(), batch.labels))
    rows, places, labels, _ = asked(batch)
    for ids in original(batch):
        assert any(np.array_equal(stream[s : s + 64], ids) for s in range(len(stream) - 63))
    for row in range(4):
        mine = places[rows == row]
        assert (np.diff(mine) > 0).all(), "distinct and rising"
        assert np.flatnonzero(batch.inputs["order"][row]).tolist() == mine.tolist()
    assert set(batch.inputs["order"].ravel()) == {0, 1}
    assert labels.min() >= 4, "no mark and no <unk> is ever hidden"


@pytest.mark.parametrize("unit", ["token", "whole_word", "span", "phrase"])
def test_the_rate_is_kept_and_marks_are_spared(subwords, unit) -> None:
    made = batches(subwords, unit)
    hidden = hideable = 0
    for step in range(40):
        batch = made.batch(step)
        labels = asked(batch)[2]
        assert labels.min() >= 4
        hidden, hideable = hidden + len(labels), hideable + (original(batch) >= 4).sum()
    assert hidden / hideable == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("replaced, random", [(0.8, 0.1), (0.5, 0.0), (0.0, 1.0)])
def test_what_stands_at_hidden_places(subwords, replaced, random) -> None:
    made = batches(subwords, replaced=replaced, random=random, batch_tokens=2048)
    labels, seen = (
        np.concatenate(parts)
        for parts in zip(*(asked(made.batch(step))[2:] for step in range(40)), strict=True)
    )
    assert len(labels) > 2000
    masked, kept = (seen == MASK).mean(), (seen == labels).mean()
    assert masked == pytest.approx(replaced, abs=0.03)
    assert kept == pytest.approx(1.0 - replaced - random, abs=0.03)  # a random token is seldom the right one
    swapped = seen[(seen != MASK) & (seen != labels)]
    assert ((swapped >= 4) & (swapped < subwords.vocabulary_size)).all()
    if random:
        assert len(set(swapped.tolist())) > 100


def test_a_batch_is_a_pure_function_of_seed_and_step(subwords) -> None:
    def shown(made, step):
        batch = made.batch(step)
        return [*(x.tolist() for x in batch.inputs.values()), batch.labels.tolist()]

    made, again, other = batches(subwords), batches(subwords), batches(subwords, seed=2)
    steps = range(2 * len(made))
    first = {step: shown(made, step) for step in steps}
    assert {step: shown(again, step) for step in reversed(steps)} == first
    assert shown(other, 0) != first[0]


def test_masking_is_dynamic_and_that_of_validation_fixed(subwords) -> None:
    text = ["".join(TEXTS[:3])]
    training = batches(subwords, texts=text, length=16, batch_tokens=16)
    seen = {tuple(training.batch(epoch * len(training)).inputs["places"][0]) for epoch in range(8)}
    assert len(seen) > 3
    one, two = (batches(subwords, training=False, seed=seed) for seed in (1, 2))
    for i in range(len(one)):
        assert one.batch(i).labels.tolist() == two.batch(i).labels.tolist()
        assert (
            one.batch(i).inputs["token_ids"].tolist() == one.batch(i + len(one)).inputs["token_ids"].tolist()
        )
    whole = one_batch(recipe(), encode(TEXTS, subwords), subwords)
    rows = np.concatenate([one.batch(i).inputs["places"] for i in range(len(one))])
    assert np.array_equal(whole.inputs["places"], rows[: len(whole.labels)]), "whatever the batches are"


def test_validation_reads_every_token_once(subwords) -> None:
    made = batches(subwords, training=False)
    stream = encode(TEXTS, subwords).sources[0]
    ids = np.concatenate([original(made.batch(i)) for i in range(len(made))])
    last = made.batch(len(made) - 1)
    assert ids[ids != 0].tolist()[: len(stream)] == stream.tolist()
    filler = last.inputs["token_ids"][-1]
    if not (last.labels[-1] != IGNORE).any():
        assert filler.tolist() == [UNK, *[0] * 63] and not last.inputs["places"][-1].any()


def shown_words(tokenizer: Tokenizer, text: str) -> list[str]:
    ids = np.array(tokenizer.encode(text), "int32")
    number = units.words(ids, tokenizer)
    return [
        "".join(tokenizer.pieces[i] for i in ids[number == n]).replace("▁", " ") for n in sorted(set(number))
    ]


def test_words_of_every_tokenizer(subwords) -> None:
    text = "The hippopotamuses, naïve, un.thing"
    assert shown_words(subwords, text) == [
        *(" the", " hippopotamuses", ",", " naïve", ",", " un", ".", "thing"),
    ]
    characters = train_tokenizer(Character(name="character"), [*TEXTS, text])
    assert shown_words(characters, "The naïve, 人工") == ["The", " naïve", ",", " ", "人", "工"]
    letters = train_tokenizer(Byte(name="byte"), [])
    assert shown_words(letters, "a café.")[-1] == "<0x2E>"
    assert len(shown_words(letters, "a café.")) == 3
    assert [word.count("<") for word in shown_words(letters, "人工🙂")] == [3, 3, 4]
    assert shown_words(train_tokenizer(Word(name="word"), TEXTS), "The police saw") == [
        " The",
        " police",
        " saw",
    ]


def test_chinese_words_are_the_pieces(subwords) -> None:
    chinese = train_tokenizer(
        SentencePiece(name="sentencepiece", vocabulary_size=270), ["我们喜欢人工智能。我们喜欢茶"] * 30
    )
    ids = np.array(chinese.encode("我们喜欢茶。"), "int32")
    assert units.words(ids, chinese).tolist() == list(range(len(ids)))


@pytest.mark.parametrize("unit", ["whole_word", "span"])
def test_words_are_hidden_whole(subwords, unit) -> None:
    made = batches(subwords, unit, replaced=0.8, random=0.1)
    whole = 0
    for step in range(30):
        batch = made.batch(step)
        places, ids = batch.inputs["order"] > 0, original(batch)
        for row in range(len(ids)):
            number = units.words(ids[row], subwords)
            for n in set(number[places[row]].tolist()):
                assert places[row][number == n].all()
                seen = batch.inputs["token_ids"][row][number == n]
                whole += (number == n).sum() > 1
                assert (seen == MASK).all() or not (seen == MASK).any(), "and replaced as one"
    assert whole > 20


def test_spans_have_the_lengths_of_their_distribution() -> None:
    """One span fills half of a long window of words: its lengths are geometric, cut at ten."""
    words = train_tokenizer(Word(name="word"), TEXTS)
    hider = Masking(recipe("span", length=40, rate=0.5, span_length=3.0), np.zeros(0, "int32"), words, True)
    random = np.random.default_rng(1)
    drawn = np.array([hider._span(random) for _ in range(4000)])
    assert drawn.max() == 10 and drawn.min() == 1
    exact = sum(min(n, 10) * (1 / 3) * (2 / 3) ** (n - 1) for n in range(1, 200))
    assert drawn.mean() == pytest.approx(exact, abs=0.1)


def test_a_span_stays_within_its_sentence_and_its_words_are_neighbours(subwords) -> None:
    made = batches(subwords, "span", rate=0.1, span_length=10.0)
    for step in range(20):
        batch = made.batch(step)
        for row in range(4):
            places = np.flatnonzero(batch.inputs["order"][row])
            ids = original(batch)[row]
            assert EOS not in ids[places]


def test_phrases_of_a_file_are_hidden_whole(subwords, tmp_path) -> None:
    file = tmp_path / "phrases.txt"
    file.write_text("New York\n人工智能\n\nNew York police\nalone\n", encoding="utf-8")
    section = recipe("phrase", phrases=str(file)).masking
    subwords.phrases = masking.phrases_of(section, TEXTS, subwords)
    try:
        assert {"new york", "new york police", "人工智能"} <= set(subwords.phrases)
        for text in ("the new york police", "i like 人工智能。", "new york, new york"):
            ids = np.array(subwords.encode(text), "int32")
            number = units.phrases(ids, subwords)
            joined = ["".join(subwords.pieces[i] for i in ids[number == n]) for n in sorted(set(number))]
            said = [word.replace("▁", " ").strip() for word in joined if word != "▁"]
            assert (
                said
                == {
                    "the new york police": ["the", "new york police"],
                    "i like 人工智能。": ["i", "like", "人工智能", "。"],
                    "new york, new york": ["new york", ",", "new york"],
                }[text]
            )
        made, found = batches(subwords, "phrase"), 0
        for step in range(20):
            batch = made.batch(step)
            for row, ids in enumerate(original(batch)):
                number, hidden = units.phrases(ids, subwords), batch.inputs["order"][row] > 0
                for n in set(number[hidden].tolist()) - {number[0], number[-1]}:  # whose rest is elsewhere
                    assert hidden[number == n].all()
                    found += (np.diff(units.words(ids, subwords)[number == n]) > 0).any()
        assert found > 5
    finally:
        subwords.phrases = ()


def test_phrases_of_the_statistics(subwords) -> None:
    from random import Random

    chance = Random(1)
    names, rest = (
        ["New York", "人工"],
        ["red", "blue", "green", "old", "small", "house", "dog", "cat", "tree", "car"],
    )
    texts = [
        " ".join([*chance.choices(rest, k=2), chance.choice(names if chance.random() < 0.1 else rest)])
        for _ in range(400)
    ]
    characters = train_tokenizer(Character(name="character"), texts)
    found = units.learn_phrases(texts, characters)
    assert "New York" in found and "人工" in found, found
    assert not [phrase for phrase in found if set(phrase.split()) & set(rest)], found
    assert units.learn_phrases(texts, characters) == found == sorted(found)
    assert units.learn_phrases([], characters) == []


def test_phrase_files_that_are_none(tmp_path, subwords) -> None:
    missing = recipe("phrase", phrases=str(tmp_path / "none.txt")).masking
    with pytest.raises(UserError, match=r"masking\.phrases: .*none\.txt cannot be read"):
        masking.phrases_of(missing, TEXTS, subwords)
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(UserError, match=r"has no phrase of two tokens or more"):
        masking.phrases_of(recipe("phrase", phrases=str(tmp_path / "empty.txt")).masking, TEXTS, subwords)
    (tmp_path / "latin.txt").write_bytes("é è\n".encode("latin-1"))
    with pytest.raises(
        UserError, match=r"is not UTF-8; convert it with `iconv -f cp1252 -t utf-8 .*latin\.txt`"
    ):
        masking.phrases_of(recipe("phrase", phrases=str(tmp_path / "latin.txt")).masking, TEXTS, subwords)


def test_phrases_stay_with_the_tokenizer(tmp_path, subwords) -> None:
    again = Tokenizer(subwords.model_bytes, {"name": "sentencepiece"}, phrases=["new york", "人工智能"])
    again.save(tmp_path)
    assert Tokenizer.load(tmp_path).phrases == ("new york", "人工智能")
    assert Tokenizer.load(tmp_path).fingerprint == subwords.fingerprint


def test_a_permutation_keeps_the_ids_and_ranks_the_places(subwords) -> None:
    class Section:
        objective = "permutation"

    plain = recipe("span")
    permuted = plain.model_copy(update={"model": Section()})
    encoded = encode(TEXTS, subwords)
    made = make_batches(permuted, encoded, True, subwords)
    masked = make_batches(plain, encoded, True, subwords)
    orders = set()
    for step in range(10):
        batch, same = made.batch(step), masked.batch(step)
        assert np.array_equal(batch.inputs["token_ids"], original(same) * 0 + original(batch))
        assert (batch.inputs["token_ids"] >= 0).all()
        for row, order in enumerate(batch.inputs["order"]):
            count = (batch.labels[row] != IGNORE).sum()
            ranks = order[batch.inputs["places"][row][:count]]
            assert sorted(ranks) == list(range(1, count + 1)) and (order > 0).sum() == count
            orders.add(tuple(ranks.tolist()))
    assert len(orders) > 20


def test_a_window_without_anything_to_hide() -> None:
    letters = train_tokenizer(Byte(name="byte"), [])
    hider = Masking(recipe(length=8), np.array([EOS] * 8, "int32"), letters, True)
    batch = hider.batch(np.array([0]), 2, 0)
    assert (batch.labels == IGNORE).all() and batch.inputs["token_ids"][0].tolist() == [EOS] * 8


def test_a_word_longer_than_what_may_be_hidden() -> None:
    letters = train_tokenizer(Byte(name="byte"), [])
    stream = np.array(letters.encode("a" * 16), "int32")
    hider = Masking(recipe("whole_word", length=16), stream, letters, True)
    batch = hider.batch(np.array([0]), 1, 0)
    assert (batch.labels != IGNORE).sum() == 1
