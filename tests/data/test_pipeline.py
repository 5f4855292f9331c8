"""Batches: a pure function of (seed, step), of few shapes, every row once; ids are kept and found again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from zoo.config import Recipe
from zoo.config.tokenizer import Byte
from zoo.data import encoded as encoded_module
from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.objectives import IGNORE
from zoo.data.pipeline import Batches, make_batches, one_batch
from zoo.data.tokenizers import BOS, EOS, UNK, Tokenizer, train_tokenizer
from zoo.errors import UserError

BYTES = train_tokenizer(Byte(name="byte"), [])


def recipe(
    task: str = "translation", seed: int = 1, max_length: int = 16, buckets=(8,), batch_tokens: int = 64
):
    translates = task == "translation"
    model = {"name": "rnn_seq2seq" if translates else "rnn_classifier", "embedding_dim": 4, "units": 4}
    return Recipe.model_validate(
        {
            "name": "test/batches",
            "task": task,
            "seed": seed,
            "data": {
                "name": "dates" if translates else "sst2",
                "max_length": max_length,
                "buckets": list(buckets),
            },
            "tokenizer": {"name": "byte"},
            "model": model,
            "train": {"steps": 1, "batch_tokens": batch_tokens, "learning_rate": 1e-3},
        }
    )


def numbered(rows: int) -> Split:
    """Rows "0".."9", "10"..., padded with letters to very different lengths: 1 to 19 characters."""
    sources = [f"{i}" + "x" * (i * 7 % 17) for i in range(rows)]
    return Split(sources, [f"{i}" + "y" * (i * 5 % 11) for i in range(rows)])


def make(split: Split, training: bool = True, labels=None, **keywords) -> Batches:
    task = "classification" if labels else "translation"
    return Batches(recipe(task, **keywords), encode_split(split, BYTES, task, labels, cache=False), training)


def texts(batch) -> list[str]:
    """The sources of a batch that have a label."""
    ids = next(iter(batch.inputs.values()))
    real = (batch.labels != IGNORE).reshape(len(ids), -1).any(axis=1)
    return [BYTES.decode(row) for row in ids[real].tolist()]


def digest(batch) -> str:
    parts = [*batch.inputs.values(), batch.labels, np.array(batch.tokens)]
    return hashlib.sha256(b"".join(part.tobytes() + repr(part.shape).encode() for part in parts)).hexdigest()


# --- a pure function of (seed, step) ---


def test_any_order_gives_what_one_after_the_other_gives() -> None:
    batches = make(numbered(200))
    steps = list(range(3 * len(batches)))
    in_order = [digest(batches.batch(step)) for step in steps]
    np.random.default_rng(0).shuffle(steps)
    again = make(numbered(200))
    assert {step: digest(again.batch(step)) for step in steps} == dict(enumerate(in_order))
    assert len(set(in_order)) == len(in_order)


def test_the_seed_decides() -> None:
    one, same, other = (make(numbered(200), seed=seed) for seed in (1, 1, 2))
    steps = range(len(one))
    assert [digest(one.batch(s)) for s in steps] == [digest(same.batch(s)) for s in steps]
    assert [digest(one.batch(s)) for s in steps] != [digest(other.batch(s)) for s in steps]


def test_another_process_gives_the_same_bytes() -> None:
    program = """
from test_pipeline import digest, make, numbered
batches = make(numbered(200))
print(*[digest(batches.batch(step)) for step in (40, 3, 0)])
"""
    folder = os.path.dirname(__file__)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": folder}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=60)
    batches = make(numbered(200))
    assert done.stdout.split() == [digest(batches.batch(step)) for step in (40, 3, 0)]


# --- every row once ---


@pytest.mark.parametrize("rows", [3, 200])
def test_training_shows_every_row_once_an_epoch_but_the_remainder(rows: int) -> None:
    split = numbered(rows)
    batches = make(split)
    fit = [s for s, t in split if max(len(s), len(t)) < 16]
    dropped = 0
    for bucket in batches.buckets:
        full, rest = divmod(len(bucket.members), bucket.rows)
        dropped += rest if full else 0
    orders = []
    for epoch in range(2):
        seen = [text for i in range(len(batches)) for text in texts(batches.batch(epoch * len(batches) + i))]
        assert len(seen) == len(set(seen)) == len(fit) - dropped
        assert set(seen) <= set(fit)
        orders.append(seen)
    assert (dropped > 0) == (rows == 200)
    assert rows == 3 or orders[0] != orders[1]


def test_the_dropped_rows_come_in_other_epochs() -> None:
    split = numbered(200)
    batches = make(split)
    seen = {text for step in range(8 * len(batches)) for text in texts(batches.batch(step))}
    assert seen == {s for s, t in split if max(len(s), len(t)) < 16}


def test_validation_shows_every_row_once_in_a_fixed_order() -> None:
    split = numbered(200)
    batches = make(split, training=False)
    seen = [text for step in range(len(batches)) for text in texts(batches.batch(step))]
    assert sorted(seen) == sorted(source[:15] for source in split.sources)
    assert digest(batches.batch(0)) == digest(batches.batch(len(batches)))


# --- shapes ---


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("labels", [None, ["a", "b"]])
def test_only_the_shapes_that_were_announced(training: bool, labels) -> None:
    split = numbered(150)
    if labels:
        split = Split(split.sources, ["a", "b"] * 75)
    batches = make(split, training, labels, buckets=(4, 6, 10))
    seen = set()
    for step in range(len(batches)):
        batch = batches.batch(step)
        shapes = [x.shape for x in batch.inputs.values()]
        rows, source = shapes[0]
        if labels:
            assert batch.labels.shape == (rows,)
            seen.add((rows, source, 1))
        else:
            assert shapes[1] == batch.labels.shape
            seen.add((rows, source, shapes[1][1]))
        assert {x.dtype for x in (*batch.inputs.values(), batch.labels)} == {np.dtype("int32")}
    assert seen == set(batches.shapes)
    assert len(batches.shapes) == 4


def test_a_batch_holds_about_batch_tokens() -> None:
    """The padded target tokens are never more; rows come in eights where eight fit."""
    batches = make(numbered(400), batch_tokens=100)
    for rows, _, target in batches.shapes:
        assert rows * target <= 100 < (rows + 8) * target
        assert rows % 8 == 0 or rows < 8
    assert make(numbered(400), batch_tokens=16).shapes[-1][0] == 1


# --- what a batch holds ---


def test_labels_are_the_targets_one_ahead_of_the_inputs() -> None:
    batch = make(Split(["ab", "c"], ["xyz", ""]), training=False).batch(0)
    ids = {letter: BYTES.encode(letter)[0] for letter in "abcxyz"}
    order = [texts(batch).index("ab"), texts(batch).index("c")]
    source, target = batch.inputs["encoder_token_ids"][order], batch.inputs["decoder_token_ids"][order]
    assert source.tolist() == [[ids["a"], ids["b"], EOS, 0], [ids["c"], EOS, 0, 0]]
    assert target.tolist() == [[BOS, ids["x"], ids["y"], ids["z"]], [BOS, 0, 0, 0]]
    assert batch.labels[order].tolist() == [
        [ids["x"], ids["y"], ids["z"], EOS],
        [EOS, IGNORE, IGNORE, IGNORE],
    ]
    assert batch.tokens == 5


def test_rows_that_only_fill_up_hold_a_token_and_no_label() -> None:
    for labels, split in ((None, Split(["ab"], ["x"])), (["no", "yes"], Split(["ab"], ["yes"]))):
        batch = make(split, labels=labels).batch(0)
        source = next(iter(batch.inputs.values()))
        assert len(source) > 1
        assert source[1:].tolist() == [[UNK, 0, 0, 0]] * (len(source) - 1)
        assert (batch.labels[1:] == IGNORE).all()
        assert all((x[:, 0] > 0).all() for x in batch.inputs.values()), "a GPU kernel refuses empty rows"
        # Counted: labels of a translator, input of a classifier; never what fills up.
        assert batch.tokens == (3 if labels else 2)
        if labels:
            assert batch.labels[0] == 1


def test_long_rows_are_left_out_of_training_and_cut_in_validation() -> None:
    split = Split(["a" * 15, "b" * 16, "c", "ok"], ["x", "x", "y" * 16, "x" * 15])
    training, validation = make(split), make(split, training=False)
    assert training.too_long == validation.too_long == 2
    seen = {text for step in range(len(training)) for text in texts(training.batch(step))}
    assert seen == {"a" * 15, "ok"}
    found = {}
    for step in range(len(validation)):
        batch = validation.batch(step)
        for source, labels in zip(batch.inputs["encoder_token_ids"], batch.labels, strict=True):
            if (labels != IGNORE).any():
                found[BYTES.decode(source.tolist())] = labels[labels != IGNORE].tolist()
                assert EOS in source
    assert set(found) == {"a" * 15, "b" * 15, "c", "ok"}
    assert found["c"] == [*BYTES.encode("y" * 15), EOS]


def test_an_empty_text_is_one_unk() -> None:
    rows = encode_split(Split(["", "a"], ["", "b"]), BYTES, "translation", cache=False)
    assert rows.sources[0].tolist() == [UNK] and rows.targets[0].tolist() == []
    batch = make(Split([""], ["b"])).batch(0)
    assert batch.inputs["encoder_token_ids"][0].tolist() == [UNK, EOS, 0, 0]


def test_padding_share_of_an_example_by_hand() -> None:
    """8 rows of 4 + 8 places; tokens with the end marks: sources 2 + 4, targets 8 + 3."""
    batches = make(Split(["a", "bcd"], ["x" * 7, "yy"]), training=False)
    assert batches.shapes == [(8, 4, 8)]
    assert batches.padding_share() == pytest.approx(1 - 17 / 96)
    labels = make(Split(["a", "bcd"], ["p", "q"]), training=False, labels=["p", "q"])
    assert labels.shapes == [(16, 4, 1)]
    assert labels.padding_share() == pytest.approx(1 - 6 / 64)


def test_padding_share_is_that_of_the_batches() -> None:
    batches = make(numbered(300), training=False, buckets=(4, 8))
    tokens = places = 0
    for step in range(len(batches)):
        batch = batches.batch(step)
        real = (batch.labels != IGNORE).any(axis=1)
        for x in batch.inputs.values():
            tokens, places = tokens + (x[real] > 0).sum(), places + x.size
    assert batches.padding_share() == pytest.approx(1 - tokens / places)


def test_one_batch_has_all_rows_in_their_order() -> None:
    split = numbered(30)
    encoded = encode_split(split, BYTES, "translation", cache=False)
    batch = one_batch(recipe(), encoded)
    assert texts(batch) == [source[:15] for source in split.sources]
    assert batch.shape == ((30, 16), (30, 13), (30, 13))


def test_no_row_short_enough_is_an_error() -> None:
    encoded = encode_split(Split(["a" * 20], ["b"]), BYTES, "translation", cache=False)
    with pytest.raises(UserError, match=r"every training row is longer than data\.max_length 16: raise it"):
        make_batches(recipe(), encoded, training=True)
    assert len(make_batches(recipe(), encoded, training=False)) == 1


# --- the cache ---


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ids"


def test_a_second_call_reads_what_the_first_wrote(cache, monkeypatch) -> None:
    split = Split(["eins", "", "三月 🙂"], ["one", "", "March"])
    first = encode_split(split, BYTES, "translation")
    monkeypatch.setattr(Tokenizer, "encode_batch", lambda *_: pytest.fail("encoded again"))
    second = encode_split(split, BYTES, "translation")
    for one, two in ((first.sources, second.sources), (first.targets, second.targets)):
        assert [row.tolist() for row in one] == [row.tolist() for row in two]
    assert isinstance(second.sources.ids, np.memmap)
    assert second.sources[2].tolist() == BYTES.encode("三月 🙂")
    assert len(list(cache.iterdir())) == 1


def test_a_damaged_entry_is_made_again(cache) -> None:
    split = Split(["ab", "c"], ["x", "y"])
    encode_split(split, BYTES, "translation")
    (path,) = cache.glob("*/sources.offsets.npy")
    path.write_bytes(path.read_bytes()[:70])
    assert encode_split(split, BYTES, "translation").sources[0].tolist() == BYTES.encode("ab")
    assert len(path.read_bytes()) > 70


def test_targets_that_are_all_empty_can_be_kept(cache) -> None:
    for _ in range(2):
        assert encode_split(Split(["a"], [""]), BYTES, "translation").targets.lengths.tolist() == [0]


def test_the_key_knows_texts_tokenizer_and_labels(cache) -> None:
    from zoo.config.tokenizer import Character

    other = train_tokenizer(Character(name="character"), ["abxy"] * 3)
    one, two = Split(["a", "b"], ["x", "y"]), Split(["a", "b"], ["x", "x"])
    rows = [
        (one, BYTES, "translation"),
        (two, BYTES, "translation"),
        (Split(["b", "a"], ["x", "y"]), BYTES, "translation"),
        (Split(["ab", ""], ["x", "y"]), BYTES, "translation"),
        (one, other, "translation"),
        (one, BYTES, "classification", ["x", "y"]),
        (one, BYTES, "classification", ["y", "x"]),
        (one, BYTES, "tagging", ["x", "y"]),
        (one, BYTES, "language_modeling"),
    ]
    found = [encode_split(*row) for row in rows]
    assert len(list(cache.iterdir())) == len(rows)
    assert [row.tolist() for row in found[5].targets] == [[0], [1]]
    assert [row.tolist() for row in found[6].targets] == [[1], [0]]


def test_the_slower_of_two_leaves_nothing_behind(cache, monkeypatch) -> None:
    rename = os.rename

    def late(beside, folder):
        """The other process arrives between our writing and our renaming."""
        folder.mkdir()
        (folder / "sources.ids.npy").write_bytes((beside / "sources.ids.npy").read_bytes())
        for name in ("sources.offsets.npy", "targets.ids.npy", "targets.offsets.npy"):
            (folder / name).write_bytes((beside / name).read_bytes())
        rename(beside, folder)

    monkeypatch.setattr(encoded_module.os, "rename", late)
    assert encode_split(Split(["a"], ["b"]), BYTES, "translation").sources[0].tolist() == BYTES.encode("a")
    assert len(list(cache.iterdir())) == 1


def test_two_processes_leave_one_folder(cache) -> None:
    program = """
from test_pipeline import BYTES, encode_split, numbered
print(len(encode_split(numbered(20000), BYTES, 'translation')))
"""
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", program]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in pair] == ["20000\n"] * 2
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_named(cache, monkeypatch) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write the cache .*ids.*set ZOO_CACHE to a folder of yours"):
        encode_split(Split(["a"], ["b"]), BYTES, "translation")

    cache.unlink()

    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(encoded_module.tempfile, "mkdtemp", refused)
    with pytest.raises(UserError, match="Permission denied; set ZOO_CACHE"):
        encode_split(Split(["a"], ["b"]), BYTES, "translation")
