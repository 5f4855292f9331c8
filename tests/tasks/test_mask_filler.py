"""[MASK] in a text: how it is read with every tokenizer, and what is said about it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tiny
from click.testing import CliRunner
from zoo.cli import main

from zoo.answers import Filling
from zoo.config.tokenizer import Byte, Character, SentencePiece, Word
from zoo.data.datasets import load_dataset
from zoo.data.reading import filled, pad, read
from zoo.data.tokenizers import EOS, MASK, UNK, train_tokenizer
from zoo.data.vocabulary import make_tokenizer
from zoo.loading import load
from zoo.recipe import load_recipe
from zoo.tasks import build_task

TEXTS = ["The cat sat on the mat.", "Unable dogs sat.", "你好,世界。我喜欢茶。"] * 30
KINDS = {
    "subwords": SentencePiece(name="sentencepiece", vocabulary_size=286, normalization="nmt_nfkc_cf"),
    "exact": SentencePiece(name="sentencepiece", vocabulary_size=288, model_type="bpe"),
    "characters": Character(name="character"),
    "words": Word(name="word"),
    "bytes": Byte(name="byte"),
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return train_tokenizer(KINDS[request.param], TEXTS)


def ids(tokenizer, text: str, max_length: int = 64) -> list[int]:
    return read("masked_language_modeling", tokenizer, text, max_length)["token_ids"].tolist()


@pytest.mark.parametrize("hidden, text", [("The [MASK] sat", "The cat sat"), ("[MASK] sat", "cat sat")])
def test_a_hidden_word_leaves_the_rest_as_it_was(tokenizer, hidden, text) -> None:
    """One hidden token stands where the pieces of the word stood, its blank included where pieces have one."""
    asked, whole = ids(tokenizer, hidden), ids(tokenizer, text)
    place = asked.index(MASK)
    rest = len(asked) - place - 1
    assert asked[:place] == whole[:place] and asked[-rest:] == whole[-rest:] and asked[-1] == EOS
    between = whole[place:-rest]
    assert tokenizer.decode(between).strip() == "cat"


def test_what_follows_without_a_blank_is_no_new_word(tokenizer) -> None:
    if tokenizer.whole_words:
        assert ids(tokenizer, "the [MASK].")[-2:] == [UNK, EOS]
        return
    assert ids(tokenizer, "the [MASK].")[-2:] == ids(tokenizer, "the mat.")[-2:]
    assert ids(tokenizer, "我喜[MASK]茶。")[-3:] == ids(tokenizer, "我喜欢茶。")[-3:]


def test_places_order_and_ends(tokenizer) -> None:
    task = "masked_language_modeling"
    row = read(task, tokenizer, "[MASK][MASK] 茶", 64)
    assert row["places"].tolist() == [0, 1] and row["order"].tolist()[:3] == [1, 1, 0]
    plain = read(task, tokenizer, "茶", 64)
    assert plain["places"].tolist() == [0] and not plain["order"].any(), "a place that asks for nothing"
    assert read(task, tokenizer, "", 64)["token_ids"].tolist() == [UNK, EOS]
    cut = read(task, tokenizer, "cat dogs " * 40 + "[MASK]", 8)
    assert len(cut["token_ids"]) == 8 and not cut["order"].any()
    batch = pad([row, plain], length=16)
    assert batch["places"].shape == (2, 2) and batch["order"].shape == batch["token_ids"].shape == (2, 16)


def test_filled() -> None:
    assert filled("The [MASK] sat .", [" cat"]) == "The cat sat ."
    assert filled("[MASK] sat", [" cat"]) == "cat sat" and filled("un[MASK]", ["able"]) == "unable"
    assert filled("un[MASK]", [" able"]) == "un able" and filled("a [MASK]", [" "]) == "a  "
    assert filled("我[MASK]茶\n[MASK]", ["喜欢", " x"]) == "我喜欢茶\nx"
    assert filled("a [MASK] b [MASK]", [" c"]) == "a c b [MASK]", "behind the end of what is read"
    assert filled("nothing", []) == "nothing"


def test_a_filling_says_its_candidates() -> None:
    words = train_tokenizer(KINDS["words"], TEXTS)
    found = np.array([words.encode("cat sat"), words.encode("mat. on")])
    answer = Filling.of("The [MASK] on [MASK]", found, np.array([[0.5, 0.25], [0.75, 0.125]]), words)
    assert str(answer) == "The cat on mat." == answer.text
    assert answer.candidates == ((("cat", 0.5), ("sat", 0.25)), (("mat.", 0.75), ("on", 0.125)))
    assert answer.record()["masks"][0][1] == {"token": "sat", "probability": 0.25}


def test_a_run_fills_in(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    tiny.train(tiny.masked(tmp_path), run, "train.steps=2", "train.validate_every=2", "train.samples=0")
    task = load(run)
    texts = ["Row, [MASK] row", "no hidden word", "[MASK] [MASK] 船, [MASK]", ""]
    one, many = task.fill(texts), task.fill(texts, n_best=4)
    assert [len(each.candidates) for each in one] == [1, 0, 3, 0]
    assert [each.text for each in one] == [each.text for each in many]
    assert one[1].text == texts[1] and one[3].text == "" and "[MASK]" not in one[2].text
    for mask in many[2].candidates:
        chances = [p for _, p in mask]
        assert len(mask) == 4 and chances == sorted(chances, reverse=True) and sum(chances) <= 1.0 + 1e-5
        assert not {token for token, _ in mask} & {"", "<unk>", "</s>", "<pad>"}

    said = CliRunner().invoke(main, ["predict", str(run), texts[0], texts[1], "--n-best", "2"])
    assert said.exit_code == 0, said.output
    lines = said.stdout.splitlines()
    assert lines[0] == one[0].text and lines[1].startswith('  [MASK] 1: "') and lines[2] == texts[1]
    assert said.stderr == "note: 1 of 2 texts without [MASK]: there is nothing to fill in\n"
    said = CliRunner().invoke(main, ["predict", str(run), "row " * 40 + "[MASK]"])
    assert said.stdout.endswith("[MASK]\n") and "behind data.max_length tokens is not read" in said.stderr
    said = CliRunner().invoke(main, ["predict", str(run), texts[0], "--json"])
    assert json.loads(said.stdout)["masks"][0][0]["token"] == one[0].candidates[0][0][0]
    said = CliRunner().invoke(main, ["predict", str(run), "x", "--beams", "2"])
    assert said.exit_code == 2 and "--beams: for translation; this is a masked language model" in said.output


def test_learned_positions_are_read_to_their_end(tmp_path) -> None:
    """Padding for a compiler stops where the positions do, at no multiple of anything."""
    overrides = ("model.positions=learned", "model.max_sequence_length=13", "data.max_length=13")
    path = tiny.masked(tmp_path)
    recipe = load_recipe(path, overrides).recipe
    task = build_task(recipe, make_tokenizer(recipe, load_dataset(recipe)))
    assert task.fill(["row " * 12 + "[MASK]", "[MASK]"])[0].text.endswith("[MASK]")
