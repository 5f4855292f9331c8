"""Figures against hand-computed examples, and sacreBLEU's settings against its own command-line defaults."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu

from zoo.config.metrics import HIGHER_IS_BETTER, METRICS, is_better
from zoo.metrics import (
    copied,
    distinct_n,
    length_unit,
    repeats,
    score_by_length,
    score_classification,
    score_language_model,
    score_tagging,
    score_translation,
)

HYPOTHESES = ["The dog runs in the park.", "a man stands on a ladder", "Two children play."]
REFERENCES = ["The dog runs through the park.", "A man stands on a ladder.", "Two children play."]


def test_bleu_and_chrf_are_sacrebleu_s():
    scores = score_translation(HYPOTHESES, REFERENCES, "en")
    references = [REFERENCES]
    assert scores["bleu"] == sacrebleu.corpus_bleu(HYPOTHESES, references).score
    assert scores["bleu_lc"] == sacrebleu.corpus_bleu(HYPOTHESES, references, lowercase=True).score
    assert scores["chrf"] == sacrebleu.corpus_chrf(HYPOTHESES, references).score
    assert scores["bleu"] < scores["bleu_lc"] < 100 and scores["chrf"] < scores["chrf_lc"] < 100
    assert scores["exact_match"] == pytest.approx(100 / 3)
    assert scores["repetition_rate"] == 0


def test_signatures_say_what_was_done():
    scores = score_translation(HYPOTHESES, REFERENCES, "de")
    version = f"version:{sacrebleu.__version__}"
    assert scores["bleu_signature"] == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}"
    assert scores["bleu_lc_signature"] == f"nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|{version}"
    assert scores["chrf_signature"] == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}"
    assert "case:lc" in scores["chrf_lc_signature"]


@pytest.mark.parametrize(
    ("language", "tokenizer"), [("zh", "zh"), ("ja", "char"), ("", "zh"), ("copy", "zh")]
)
def test_the_tokenizer_fits_the_language(language, tokenizer):
    hypotheses = ["狗跑过公园，孩子跟着它。", "男人站在 Ladder 上。"]
    references = ["狗跑过公园，两个孩子跟着它。", "男人站在 ladder 上。"]
    scores = score_translation(hypotheses, references, language)
    for name in ("bleu", "bleu_lc"):
        assert f"|tok:{tokenizer}|" in scores[f"{name}_signature"]
    assert 20 < scores["bleu"] < scores["bleu_lc"]  # 13a would see whole sentences as words, and give less


def test_perfect_and_empty_answers():
    perfect = score_translation(REFERENCES, REFERENCES, "en")
    assert [round(perfect[name], 6) for name in ("bleu", "bleu_lc", "chrf", "exact_match")] == [100] * 4
    nothing = score_translation(["", "", ""], REFERENCES, "en")
    assert [nothing[name] for name in ("bleu", "chrf", "exact_match", "repetition_rate")] == [0] * 4


@pytest.mark.parametrize(
    "text",
    [
        "the the the",
        "A dog the dog the dog the dog.",
        "in the park , in the park , in the park , yes",
        "Der Der der Hund",
        "狗狗狗",
        "我们去我们去我们去公园",
        ", , , ,",
        "-22-22-22-22",
        "haushaushaus",
        "ดีดีดีดี",
    ],
)
def test_repetition(text):
    assert repeats(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the the",
        "the dog and the dog and the cat",
        "2022-02-02",
        "1000000",
        "one hundred twenty-two thousand two hundred twenty-two",
        "十一万一千一百一十一",
        "wait ...",
        "!!!!!!",
        "谢谢你们",
        "no, no, yes",
        "a b c a b c a b d",
        "Schifffahrt, seeelefant",
    ],
)
def test_no_repetition(text):
    assert not repeats(text)


def test_repetition_rate_counts_answers():
    answers = ["the the the", "fine", "狗狗狗", "fine"]
    assert score_translation(answers, ["fine"] * 4, "en")["repetition_rate"] == 50


def test_classification_by_hand():
    #              a: found 3, hit 2, there 3    b: found 3, hit 1, there 2    c: found 0, there 1    d: never
    gold = ["a", "a", "a", "b", "b", "c"]
    predicted = ["a", "a", "b", "b", "a", "b"]
    scores = score_classification(predicted, gold, ["a", "b", "c", "d"])
    f1 = {"a": 2 * 2 / (3 + 3), "b": 2 * 1 / (3 + 2), "c": 0.0}
    assert scores["accuracy"] == pytest.approx(50)
    assert scores["macro_f1"] == pytest.approx(100 * (f1["a"] + f1["b"] + f1["c"]) / 3)
    assert list(scores["per_class"]) == ["a", "b", "c", "d"]
    a, b, c, d = scores["per_class"].values()
    assert a == pytest.approx({"precision": 200 / 3, "recall": 200 / 3, "f1": 200 / 3, "support": 3})
    assert b == pytest.approx({"precision": 100 / 3, "recall": 50, "f1": 40, "support": 2})
    assert c == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert d == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert scores["confusions"] == {"a": {"b": 1}, "b": {"a": 1}, "c": {"b": 1}}


def test_confusions_begin_with_the_most_frequent_ones():
    scores = score_classification(["b", "c", "c", "a", "a"], ["a", "a", "a", "b", "a"], ["a", "b", "c"])
    assert [*scores["confusions"]["a"].items()] == [("c", 2), ("b", 1)]
    assert [*scores["confusions"]] == ["a", "b"]


def test_labels_that_training_never_showed_can_only_be_missed():
    scores = score_classification(["好", "好"], ["好", "坏"], ["好"])
    assert scores["accuracy"] == 50 and scores["per_class"]["坏"]["support"] == 1
    assert scores["macro_f1"] == pytest.approx((200 / 3 + 0) / 2)


@pytest.mark.parametrize(("answers", "references"), [([], []), (["a"], ["a", "b"])])
def test_what_cannot_be_compared(answers, references):
    with pytest.raises(ValueError, match="cannot be compared"):
        score_translation(answers, references, "en")
    with pytest.raises(ValueError, match="cannot be compared"):
        score_classification(answers, references, ["a"])


def test_scoring_says_nothing_and_loads_no_tensorflow():
    program = """
import sys
from pathlib import Path
from zoo.metrics import score_translation
score_translation(["a b ."] * 200, ["a c ."] * 200, "zh")
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("reference", "tokenizer"),
    [
        ("我喜欢喝茶,也喜欢 coffee。", "zh"),
        ("私はお茶が好きです。", "char"),
        ("I like 茶.", "13a"),
        ("2021-03-03", "13a"),
        ("他在东京读过の字和 phở,日日夜夜、天天年年都喝茶。", "zh"),
        ("ประเทศไทย", "char"),
    ],
)
def test_without_a_language_the_script_of_the_references_decides(reference, tokenizer):
    scores = score_translation([reference] * 2, [reference] * 2, "")
    assert f"tok:{tokenizer}" in scores["bleu_signature"]


def test_tags_are_counted_word_by_word():
    gold = [["A", "B", "B"], ["C"], ["A", "A", "A", "A"]]
    found = [["A", "B", "A"], ["C"], ["A", "A", "A", "B"]]
    scores = score_tagging(found, gold, ["A", "B", "C", "D"])
    assert (scores["words"], scores["accuracy"]) == (8, 75.0)
    assert scores["exact_match"] == pytest.approx(100 / 3)
    # A: 4 hits of 5 said and 5 there; B: 1 of 2 and 2; C: 1 of 1 and 1; D is nowhere and does not count.
    assert scores["macro_f1"] == pytest.approx((80 + 50 + 100) / 3)
    assert scores["per_class"]["A"] == {"precision": 80.0, "recall": 80.0, "f1": 80.0, "support": 5}
    assert scores["confusions"] == {"B": {"A": 1}, "A": {"B": 1}}
    with pytest.raises(ValueError, match="sentence 1: 2 tags for 1 words"):
        score_tagging([["A"], ["A", "B"]], [["A"], ["A"]], ["A", "B"])
    with pytest.raises(ValueError, match="cannot be compared"):
        score_tagging([["A"]], [["A"], ["A"]], ["A"])


def test_nats_become_perplexity_and_bits():
    """A die of 8 faces thrown for each of 10 tokens is 30 bits, whatever the text."""
    scores = score_language_model(10 * math.log(8), 10, ["abc", "船!"])
    assert scores["loss"] == pytest.approx(math.log(8)) and scores["perplexity"] == pytest.approx(8.0)
    assert scores["bits_per_character"] == pytest.approx(30 / 5)
    assert scores["bits_per_byte"] == pytest.approx(30 / 7)
    assert scores["tokens"] == 10
    assert score_language_model(1e9, 10, ["a"])["perplexity"] == math.inf


def test_distinct_n_by_hand() -> None:
    """The dog runs / the dog sleeps: 4 pairs, 3 different; 6 words, 4 different."""
    texts = ["The dog runs", "the dog  sleeps", "x"]
    assert distinct_n(texts, 2) == pytest.approx(3 / 4)
    assert distinct_n(texts, 1) == pytest.approx(5 / 7)
    assert distinct_n(["我爱狗", "我爱猫"], 2) == pytest.approx(3 / 4), "a character is a word"
    assert distinct_n(["who ?", "who ?", "who ?"], 2) == pytest.approx(1 / 3)
    assert distinct_n(["one", ""], 2) == distinct_n([], 2) == 0.0


def test_copied_by_hand() -> None:
    known = ["Who was Galileo ?", "谁是李白？"]
    assert copied(["who was  Galileo?", "谁是李白？", "谁是杜甫？", "Who was"], known) == pytest.approx(50.0)
    assert copied([], known) == 0.0


# --- which way a figure gets better ---


def test_every_figure_has_a_direction() -> None:
    assert {name for figures in METRICS.values() for name in figures} == set(HIGHER_IS_BETTER)


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [
        ("loss", 1.0, 2.0),
        ("perplexity", 2.7, math.inf),
        ("repetition_rate", 0.0, 3.5),
        *((name, 51.0, 50.0) for name in ("accuracy", "macro_f1", "exact_match")),
        *((name, 51.0, 50.0) for name in ("bleu", "bleu_lc", "chrf", "chrf_lc")),
        ("loss", 9.0, math.nan),
        ("bleu", 0.0, math.nan),
    ],
)
def test_which_value_is_better(metric, better, worse) -> None:
    assert is_better(metric, better, worse) and not is_better(metric, worse, better)
    assert not is_better(metric, better, better) and not is_better(metric, worse, worse)


def test_the_page_has_the_table() -> None:
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    for task, figures in METRICS.items():
        assert f"| {task} | {', '.join(figures)} |" in page


def test_bleu_by_length_is_that_of_the_texts_of_that_length() -> None:
    short, long, longest = "a b c d e", "a b c d e f g", "a b c d e f g h i j k l"
    sources = [short] * 30 + [long] * 25 + [longest] * 3
    references = ["one two three four five"] * 58
    hypotheses = references[:40] + ["one two three four six"] * 18
    found = score_by_length(sources, hypotheses, references, "de")
    assert {name: figures["rows"] for name, figures in found.items()} == {"1-5": 30, "6+": 28}
    assert found["1-5"]["bleu_lc"] == pytest.approx(100.0)
    alone = score_translation(hypotheses[30:], references[30:], "de")["bleu_lc"]
    assert found["6+"]["bleu_lc"] == pytest.approx(alone) and alone < 100.0


def test_lengths_of_few_texts_are_joined() -> None:
    def lengths(*counts: tuple[int, int]) -> dict[str, int]:
        sources = ["word, " * words for words, rows in counts for _ in range(rows)]
        found = score_by_length(sources, ["x"] * len(sources), ["x"] * len(sources), "en")
        return {name: figures["rows"] for name, figures in found.items()}

    assert lengths((3, 7), (8, 30), (12, 40), (25, 5)) == {"1-10": 37, "11+": 45}
    assert lengths((8, 30), (22, 30)) == {"1-10": 30, "11+": 30}
    assert lengths((3, 4), (8, 4)) == {"1+": 8}


def test_lengths_of_a_script_without_spaces_are_its_characters() -> None:
    found = score_by_length(["我" * 7] * 20 + ["我"] * 20, ["x"] * 40, ["x"] * 40, "en")
    assert list(found) == ["1-5", "6+"]
    assert length_unit(["我喜欢狗。"]) == length_unit(["LSTM 是一种网络"]) == "characters"
    assert length_unit(["ein Hund"]) == length_unit(["the word 狗 means dog"]) == length_unit([""]) == "words"
    assert list(score_by_length([""] * 3, ["x"] * 3, ["x"] * 3, "en")) == ["1+"], "few rows are one step"
