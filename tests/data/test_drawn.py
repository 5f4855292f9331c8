"""Sub-word regularization: in training each row is cut in several ways, always the same ones for a seed."""

from __future__ import annotations

import numpy as np
import pytest
from test_tokenizers import CORPUS, KINDS

from zoo.data import encoded as module
from zoo.data.datasets import Split
from zoo.data.encoded import encode_split
from zoo.data.tokenizers import train_tokenizer

SPLIT = Split(CORPUS, CORPUS[::-1])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def tokenizer(request):
    return train_tokenizer(KINDS[request.param], CORPUS)


def rows(part) -> list[list[int]]:
    return [part[i].tolist() for i in range(len(part))]


def test_other_ways_of_writing_the_same_texts(tokenizer) -> None:
    drawn = tokenizer.draw_batch(CORPUS, 0.2, 7)
    assert [tokenizer.decode(ids) for ids in drawn] == CORPUS
    assert drawn != tokenizer.encode_batch(CORPUS)
    assert drawn == tokenizer.draw_batch(CORPUS, 0.2, 7) != tokenizer.draw_batch(CORPUS, 0.2, 8)


def test_each_row_stands_there_in_several_ways(tokenizer) -> None:
    found = encode_split(SPLIT, tokenizer, "translation", drawn=(0.2, 1))
    ways = len(found) // len(SPLIT)
    assert ways == module.WAYS[1] and len(found.sources) == len(found.targets) == ways * len(SPLIT)
    assert [tokenizer.decode(ids) for ids in rows(found.sources)] == CORPUS * ways
    assert [tokenizer.decode(ids) for ids in rows(found.targets)] == CORPUS[::-1] * ways
    first = [tuple(found.sources[i * len(SPLIT)].tolist()) for i in range(ways)]
    assert len(set(first)) > ways // 2, "they differ"
    first = [tuple(found.targets[(i + 1) * len(SPLIT) - 1].tolist()) for i in range(ways)]
    assert len(set(first)) > ways // 2 and first != [tuple(r) for r in rows(found.sources)[:: len(SPLIT)]]


def test_they_are_the_same_each_time_and_of_a_seed(tokenizer) -> None:
    one, again, other = (
        rows(encode_split(SPLIT, tokenizer, "translation", cache=cache, drawn=(0.2, seed)).sources)
        for seed, cache in ((1, True), (1, False), (2, True))
    )
    assert one == again != other
    usual = encode_split(SPLIT, tokenizer, "translation")
    assert rows(usual.sources) == tokenizer.encode_batch(CORPUS), "they are not mixed up in the cache"


def test_labels_stay_beside_their_texts(tokenizer) -> None:
    split = Split(CORPUS, ["a", "b", "c"] * 3)
    found = encode_split(split, tokenizer, "classification", ["a", "b", "c"], drawn=(0.2, 1))
    assert rows(found.targets) == [[0], [1], [2]] * 3 * module.WAYS[1]


def test_every_seed_of_a_recipe_draws(tokenizer) -> None:
    """sentencepiece takes 32 bits of it."""
    found = encode_split(SPLIT, tokenizer, "translation", cache=False, drawn=(0.2, 2**31 - 1))
    assert len(found) == module.WAYS[1] * len(SPLIT)


def test_a_large_text_is_cut_in_fewer_ways(tokenizer, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_IDS", 10)
    found = encode_split(SPLIT, tokenizer, "translation", cache=False, drawn=(0.2, 1))
    assert len(found) == module.WAYS[0] * len(SPLIT)


def test_a_run_that_draws_goes_on_with_the_same_bits(tmp_path) -> None:
    import tiny

    recipe = tiny.classifier(tmp_path)
    said = "tokenizer={name: sentencepiece, byte_fallback: false, vocabulary_size: 30, sampling: 0.3}"
    tiny.train(recipe, tmp_path / "whole", said)
    tiny.train(recipe, tmp_path / "parts", said, "train.steps=3")
    tiny.train(recipe, tmp_path / "parts", said)
    assert tiny.same_state(tmp_path / "whole", tmp_path / "parts")
    tiny.train(
        recipe,
        tmp_path / "best",
        "tokenizer={name: sentencepiece, byte_fallback: false, vocabulary_size: 30}",
    )
    assert not all(
        np.array_equal(a, b)
        for a, b in zip(tiny.state(tmp_path / "whole")[0], tiny.state(tmp_path / "best")[0], strict=True)
    )
