"""`zoo data`: what it prints for people, for pipes and for programs; and never with TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from data_files import DOCUMENTS, LABELS, LINES, PAIRS, WORDS, put, write_recipe
from zoo.cli import main
from zoo.cli.data import histogram


def run(*arguments: str):
    result = CliRunner().invoke(main, ["data", *arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def pairs(tmp_path):
    rows = (
        [(f"the word {n}", f"das Wort {n}") for n in range(60)]
        + [("same", "same")] * 4
        + [("long " * 40, "lang")]
    )
    put(tmp_path, t__tsv="".join(f"{a}\t{b}\n" for a, b in rows), v__tsv="a word\tein Wort\nqüx\t好\n")
    return str(write_recipe(tmp_path, **PAIRS, max_length=32, buckets=[16]))


def test_json_has_everything(pairs):
    facts = json.loads(run(pairs, "--json").stdout)
    assert [(row["split"], row["rows"]) for row in facts["splits"]] == [("train", 65), ("val", 2)]
    assert facts["splits"][1]["source_tokens"] == len("a word") + len("qüx".encode())
    assert facts["unknown_rate"] == {"source": 0.0, "target": 0.0}
    assert facts["same_rate"] == pytest.approx(4 / 65)
    assert facts["over_max_length"] == pytest.approx(1 / 65)
    assert 0 <= facts["padding_share"] < 1
    assert all(len(shape) == 3 for shape in facts["shapes"])
    assert sum(row["texts"] for row in facts["lengths"]["source"]) == 65
    assert facts["lengths"]["source"][-1] == {"from": 33, "to": None, "texts": 1}
    assert facts["report"]["rows with spaces at an end, removed"] == {"train": 1}
    first = facts["samples"][0]
    assert (first["source"], first["target"]) == ("the word 0", "das Wort 0")
    assert len(first["source_pieces"]) == 10
    assert any("same text on both sides" in warning for warning in facts["warnings"])


def test_plain_output_has_the_same(pairs):
    result = run(pairs, "data.max_length=24", "--samples", "1")
    for part in (
        "train  65 rows, ",
        "source = target",
        "6.15%",
        "over 24",
        "the word 0  ->  das Wort 0",
        "padding",
    ):
        assert part in result.stdout
    assert "█" not in result.stdout  # bars are for terminals
    assert "warning: 6.2% of the training rows have the same text" in result.stderr


def test_unknown_words_are_warned_of(tmp_path):
    put(tmp_path, t__tsv="good film\tpos\nbad film\tneg\n" * 20, v__tsv="mediocre film\tpos\n")
    recipe = str(write_recipe(tmp_path, "classification", **LABELS))
    facts = json.loads(run(recipe, "tokenizer.name=word", "--json").stdout)
    assert facts["unknown_rate"] == {"source": 0.5}
    assert facts["labels"] == {"pos": 20, "neg": 20}
    assert any("50.0% of the source tokens of val are unknown" in warning for warning in facts["warnings"])


def test_words_with_their_tags(tmp_path):
    def conllu(*words: str) -> str:
        rows = [word.split("/") for word in words]
        return "".join(f"{i}\t{w}\t_\t{t}\t_\t_\t_\t_\t_\t_\n" for i, (w, t) in enumerate(rows, 1)) + "\n"

    train = conllu("the/DET", "dog/NOUN", "runs/VERB") * 3 + conllu("one/DET", "bird/NOUN")
    put(tmp_path, t__conllu=train, v__conllu=conllu("the/DET", "cat/NOUN"))
    recipe = str(write_recipe(tmp_path, "tagging", **WORDS))
    result = run(recipe, "--samples", "1")
    for part in (
        "train  4 rows, 11 tokens",
        "the/DET dog/NOUN runs/VERB\n    ▁the ▁dog ▁runs",
        "\ntag\n  DET ",
    ):
        assert part in result.stdout
    assert (
        "50.0% of the source tokens of val are unknown to the tokenizer, but none of train" in result.stderr
    )
    facts = json.loads(run(recipe, "tokenizer.vocabulary_size=8", "--json").stdout)
    assert facts["labels"] == {"DET": 4, "NOUN": 4, "VERB": 3}
    assert facts["lengths"]["source"][0]["texts"] == 4 and facts["same_rate"] is None
    assert facts["samples"][0]["tags"] == ["DET", "NOUN", "VERB"]
    assert facts["warnings"] == []


def test_a_text_to_go_on_with(tmp_path):
    put(tmp_path, t__txt="To be,\n\n  or not\n" * 20, v__txt="to be 三\n")
    recipe = str(write_recipe(tmp_path, "language_modeling", **DOCUMENTS))
    result = run(recipe, "tokenizer.name=character", "--samples", "3")
    assert "train  1 document, 340 tokens\nval    1 document, 8 tokens\n" in result.stdout
    assert "lines: train 60, val 1" in result.stdout
    assert "first lines\n  To be,\n    T o ▁ b e ,\n\n\n    or not\n    ▁ ▁ o r" in result.stdout
    assert "4x64  (rows x tokens)" in result.stdout
    facts = json.loads(run(recipe, "tokenizer.name=character", "--json").stdout)
    assert facts["unknown_rate"]["source"] > 0.1 and facts["over_max_length"] is None
    assert any("none of train" in warning for warning in facts["warnings"])


def test_generated_dates_need_no_warning():
    facts = json.loads(
        run("translation/dates-multi-lstm-tiny", "data.train=300", "data.val=50", "--json").stdout
    )
    assert facts["warnings"] == [] and facts["over_max_length"] == 0.0


def test_copying_is_no_reason_to_warn(tmp_path):
    put(tmp_path, t__txt="a\nb\n", v__txt="c\n")
    facts = json.loads(run(str(write_recipe(tmp_path, **LINES)), "--json").stdout)
    assert facts["same_rate"] == 1.0
    assert facts["warnings"] == []


def test_histogram_counts_each_text_once():
    bins = histogram(np.array([1, 4, 5, 32, 33, 99]), 30)
    assert [row["texts"] for row in bins] == [2, 1, 0, 0, 0, 0, 0, 0, 3]
    assert (bins[7]["from"], bins[7]["to"]) == (29, 30)


def test_no_tensorflow(pairs):
    code = (
        "import sys; from zoo.cli import main\n"
        f"try: main(['data', {pairs!r}, '--json'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'tensorflow', 'keras', 'jax'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dataset"] == "tsv"
