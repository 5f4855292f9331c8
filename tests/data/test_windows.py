"""Windows of a language model: one token ahead, every token once, a pure function of (seed, step)."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.config import Recipe
from zoo.config.tokenizer import Byte
from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.objectives import IGNORE
from zoo.data.pipeline import make_batches, one_batch
from zoo.data.tokenizers import BOS, EOS, UNK, train_tokenizer
from zoo.data.windows import NextToken, Windows
from zoo.errors import UserError

BYTES = train_tokenizer(Byte(name="byte"), [])
NUMBERED = "".join(chr(0x4E00 + i) for i in range(50))  # 150 bytes


def recipe(length: int = 8, batch_tokens: int = 32, seed: int = 1) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "test/windows",
            "task": "language_modeling",
            "seed": seed,
            "data": {"name": "tinyshakespeare", "max_length": length},
            "tokenizer": {"name": "byte"},
            "model": {"name": "rnn_language_model", "embedding_dim": 4, "units": 4},
            "train": {"steps": 1, "batch_tokens": batch_tokens, "learning_rate": 1e-3},
        }
    )


def encode(*documents: str):
    return encode_split(Split([*documents], [""] * len(documents)), BYTES, "language_modeling", cache=False)


def make(text: str, training: bool = True, **keywords) -> Windows:
    return make_batches(recipe(**keywords), encode(text), training)


def test_the_stream_holds_documents_between_marks() -> None:
    stream = encode("ab\n", "c").sources[0].tolist()
    assert stream == [BOS, *BYTES.encode("ab\n"), EOS, *BYTES.encode("c")]


def test_labels_are_one_ahead_of_the_inputs() -> None:
    stream = encode(NUMBERED).sources[0]
    batches = make(NUMBERED)
    assert batches.shapes == [(4, 8, 1)]
    for step in range(2 * len(batches)):
        batch = batches.batch(step)
        assert batch.inputs["token_ids"].shape == batch.labels.shape == (4, 8)
        assert batch.tokens == 32
        assert (batch.inputs["token_ids"][:, 1:] == batch.labels[:, :-1]).all()
        for ids, labels in zip(batch.inputs["token_ids"], batch.labels, strict=True):
            window = [*ids, labels[-1]]
            assert any(stream[s : s + 9].tolist() == window for s in range(len(stream) - 8))


def test_an_epoch_shows_no_token_twice_and_epochs_begin_elsewhere() -> None:
    text = bytes(range(32, 127)).decode()  # every byte once: a token tells its place
    batches = make(text)
    beginnings = set()
    for epoch in range(6):
        steps = range(epoch * len(batches), (epoch + 1) * len(batches))
        seen = np.concatenate([batches.batch(step).labels.ravel() for step in steps])
        assert len(set(seen.tolist())) == len(seen) == 32 * len(batches)
        beginnings.add(int(seen.min()) % 8)
    assert len(beginnings) > 2


def test_validation_asks_for_every_token_once_in_order() -> None:
    stream = encode(NUMBERED).sources[0]
    batches = make(NUMBERED, training=False)
    assert len(batches) == 5  # 150 tokens are 19 windows of 8, which are 5 batches of 4
    labels = np.concatenate([batches.batch(step).labels for step in range(len(batches))])
    assert labels[labels != IGNORE].tolist() == stream[1:].tolist()
    last = batches.batch(len(batches) - 1)
    assert last.inputs["token_ids"][3].tolist() == [UNK, *[0] * 7]  # a row that only fills up
    assert (last.inputs["token_ids"][2] == 0).sum() == 2 and last.tokens == 22
    assert batches.padding_share() == pytest.approx(1 - 150 / 160)
    assert make(NUMBERED).padding_share() == 0.0


def test_any_order_gives_what_one_after_the_other_gives() -> None:
    def shown(batches, steps):
        return {step: batches.batch(step).inputs["token_ids"].tolist() for step in steps}

    steps = list(range(3 * len(make(NUMBERED))))
    in_order = shown(make(NUMBERED), steps)
    assert shown(make(NUMBERED), steps[::-1]) == in_order
    assert shown(make(NUMBERED, seed=2), steps) != in_order


def test_the_shortest_text() -> None:
    """8 tokens fill one window of 8, whose batch has filler rows; 7 do not."""
    batches = make("12345678")
    assert len(batches) == 1 and batches.windows == 1
    assert (batches.batch(5).labels != IGNORE).any(axis=1).tolist() == [True, False, False, False]
    assert (make("123456789").batch(0).labels != IGNORE).sum() == 8
    with pytest.raises(UserError, match=r"data\.train: the text has 7 tokens, fewer than one window .*lower"):
        make("1234567")
    assert make("1234567", training=False).batch(0).tokens == 7
    with pytest.raises(UserError, match=r"data\.val: the text has 0 tokens"):
        make("", training=False)


def test_as_many_rows_as_fit() -> None:
    """Also where they are no multiple of 8: windows are few, and recipes that others made ask for 12."""
    assert make(NUMBERED, batch_tokens=100).rows == 12
    assert make(NUMBERED, batch_tokens=8).rows == 1


def test_all_windows_in_one_batch() -> None:
    batch = one_batch(recipe(), encode(NUMBERED))
    assert batch.shape == ((19, 8), (19, 8)) and batch.tokens == 150


def test_the_stream_is_mapped_from_the_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    for _ in range(2):
        encoded = encode_split(Split(["a\nb"], [""]), BYTES, "language_modeling")
        assert isinstance(encoded.sources.ids, np.memmap)
        assert encoded.sources.ids.tolist() == [BOS, *BYTES.encode("a\nb")]
    assert make_batches(recipe(4, 4), encoded, training=False).batch(0).tokens == 3


def test_short_documents_are_read_from_their_beginnings() -> None:
    """In training a window begins with the document that it would cut, unless that began a whole window ago."""
    documents = ["a: 船", "b: 船", NUMBERED, "c: 船"]
    stream = encode(*documents).sources[0]
    begins = np.flatnonzero(stream == EOS) + 1  # of all but the first
    starts = np.array([3, begins[0], begins[0] + 4, begins[1] + 7, begins[1] + 8, len(stream) - 2])
    found = NextToken(stream, 8, training=True).batch(starts, 6, 0).inputs["token_ids"]
    for row, start in zip(found, [3, begins[0], begins[0], begins[1], begins[1] + 8, begins[2]], strict=True):
        window = stream[start : start + 8]
        assert row.tolist()[: len(window) - 1] == window.tolist()[: len(window) - 1]
    unmoved = NextToken(stream, 8).batch(starts, 6, 0).inputs["token_ids"]
    assert unmoved[2].tolist() == stream[starts[2] : starts[2] + 8].tolist()


@pytest.mark.parametrize("training", [False, True])
def test_who_reads_from_the_beginnings(training) -> None:
    batches = make_batches(recipe(), encode(*["b: 船"] * 9), training)
    assert (len(batches.objective.begins) > 1) == training
