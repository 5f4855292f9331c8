"""What is said of data that is probably not meant: when, with which example, and when not."""

from __future__ import annotations

import pytest
from data_files import LABELS, PAIRS, put, write_recipe

from zoo.data.datasets import load_dataset
from zoo.data.encoded import encode_split
from zoo.data.pipeline import make_batches
from zoo.data.vocabulary import make_tokenizer
from zoo.data.warnings import data_warnings
from zoo.errors import UserError
from zoo.recipe import load_recipe

WORDS = [f"word{i}" for i in range(100)]


def warnings_of(folder, *overrides: str, task: str = "translation", **data) -> list[str]:
    recipe = load_recipe(write_recipe(folder, task, **data), overrides).recipe
    dataset = load_dataset(recipe)
    tokenizer = make_tokenizer(recipe, dataset)
    labels = dataset.labels(task)
    encoded = {
        name: encode_split(split, tokenizer, task, labels, cache=False)
        for name, split in dataset.splits().items()
    }
    batches = make_batches(recipe, encoded["train"], True, tokenizer)
    return data_warnings(recipe, dataset, encoded, tokenizer, batches.too_long)


def rows(pairs) -> str:
    return "".join(f"{source}\t{target}\n" for source, target in pairs)


def numbered(count: int, start: int = 0) -> list[tuple[str, str]]:
    return [(f"text {i}", f"Text {i}") for i in range(start, start + count)]


# --- unknown words and characters ---


def test_unknown_words_are_named_most_frequent_first(tmp_path) -> None:
    train = [(f"a film {word}", "good" if i % 2 else "bad") for i, word in enumerate(WORDS)]
    val = [("貓 a film zebra", "good"), ("a 貓", "bad"), ("film a word1", "bad")]
    put(tmp_path, t__tsv=rows(train), v__tsv=rows(val))
    (said,) = warnings_of(tmp_path, "tokenizer.name=word", task="classification", **LABELS)
    assert said.startswith(
        "33.3% of the source tokens of val are unknown to the tokenizer, but none of train"
    )
    assert "such as '貓', 'zebra': lower tokenizer.vocabulary_size" in said
    (said,) = warnings_of(
        tmp_path, "tokenizer={name: word, vocabulary_size: 40}", task="classification", **LABELS
    )
    assert "33.3% of the source tokens of val" in said and "(22.0% of train), such as '貓'" in said
    assert "raise tokenizer.vocabulary_size, or use sentencepiece with byte_fallback" in said


def test_some_unknown_words_are_ordinary_where_training_has_them_too(tmp_path) -> None:
    """11 % of val, as of TREC in a vocabulary of 5,000 words."""
    train = [(f"a b c d e f g {word}", "good" if i % 2 else "bad") for i, word in enumerate(WORDS)]
    put(tmp_path, t__tsv=rows(train), v__tsv=rows([("a b c d e f g h", "good"), ("a b c d e f g a", "bad")]))
    few = "tokenizer={name: word, vocabulary_size: 60}"
    assert warnings_of(tmp_path, few, task="classification", **LABELS) == []


def test_words_of_a_text_without_blanks(tmp_path) -> None:
    """What is wrong is not the size of the vocabulary, so that no other size is advised."""
    train = [("学生读书写字"[i % 5 :] + "好" * (i % 7) + str(i), "ab"[i % 2]) for i in range(40)]
    put(tmp_path, t__tsv=rows(train), v__tsv=rows([("老师看书", "a"), ("学生写字", "b")]))
    for size in ("", ", vocabulary_size: 30"):
        (said,) = warnings_of(tmp_path, f"tokenizer={{name: word{size}}}", task="classification", **LABELS)
        assert said.startswith("100.0% of the source tokens of val are unknown to the tokenizer")
        assert said.endswith(
            ": 100% of the training texts are one word, for the tokenizer splits at blanks alone: "
            "set tokenizer.name: character, or sentencepiece"
        )
    assert warnings_of(tmp_path, "tokenizer.name=byte", task="classification", **LABELS) == []


# --- labels ---

HEADER = "is that a header? set data.header: true, which is for all files"
REVIEWS = [(f"文 {i}", ("好评", "差评")[i % 2]) for i in range(30)]


def labelled(tmp_path, *overrides: str) -> list[str]:
    return warnings_of(tmp_path, "tokenizer.name=byte", *overrides, task="classification", **LABELS)


def test_a_first_row_that_names_the_columns(tmp_path) -> None:
    put(tmp_path, t__tsv=rows([("文本", "标签"), *REVIEWS]), v__tsv=rows([("句", "好评")]))
    assert labelled(tmp_path) == [f"label '标签' stands in row 1 of train alone: {HEADER}"]
    put(tmp_path, v__tsv=rows([("文本", "标签"), ("句", "好评")]))
    assert labelled(tmp_path, "data.header=true") == []
    put(tmp_path, t__tsv=rows([REVIEWS[0], ("文本", "标签"), *REVIEWS[1:]]), v__tsv=rows([("句", "好评")]))
    (said,) = labelled(tmp_path)
    assert said.startswith("1 label has one row alone in train: '标签'; ")


def test_a_header_of_val_alone(tmp_path) -> None:
    put(tmp_path, t__tsv=rows(REVIEWS), v__tsv=rows([("文本", "标签"), ("句", "好评"), ("字", "好评")]))
    with pytest.raises(UserError) as caught:
        labelled(tmp_path)
    assert str(caught.value) == f"data.val: label '标签' (1 rows) is not in train; {HEADER}"


@pytest.mark.parametrize(("count", "said"), [(0, None), (1, "1 label has"), (7, "7 labels have")])
def test_labels_of_one_row(tmp_path, count, said) -> None:
    put(
        tmp_path,
        t__tsv=rows([*REVIEWS, *((f"x {i}", f"q{i}") for i in range(count))]),
        v__tsv=rows([("y", "好评")]),
    )
    found = labelled(tmp_path)
    assert len(found) == bool(said)
    if said:
        assert found[0].startswith(f"{said} one row alone in train: 'q0'")
        assert ("'q4' ...;" in found[0]) == (count == 7)


def test_a_handful_of_rows_is_no_reason_to_warn(tmp_path) -> None:
    put(tmp_path, t__tsv="good\tpos\nbad\tneg\n", v__tsv="well\tpos\n")
    assert labelled(tmp_path) == []


def test_unknown_characters_of_the_target(tmp_path) -> None:
    put(tmp_path, t__tsv=rows(numbered(50)), v__tsv=rows([("text 999", "Text 貓 9"), ("text 998", "狗狗")]))
    (said,) = warnings_of(tmp_path, "tokenizer.name=character", **PAIRS)
    assert "of the target tokens of val" in said and "such as '狗', '貓': " in said
    assert warnings_of(tmp_path, "tokenizer.name=byte", **PAIRS) == []


# --- equal sides ---


@pytest.mark.parametrize(("same", "warned"), [(5, False), (6, True)])
def test_equal_sides(tmp_path, same, warned) -> None:
    train = [(f"same {i}", f"same {i}") for i in range(same)] + numbered(100 - same)
    put(tmp_path, t__tsv=rows(train), v__tsv=rows(numbered(5, 200)))
    said = warnings_of(tmp_path, "tokenizer.name=byte", **PAIRS)
    assert len(said) == warned
    if warned:
        assert said[0].startswith(
            "6.0% of the training rows have the same text on both sides, such as 'same 0'"
        )


# --- splits that overlap ---


@pytest.mark.parametrize(("shared", "warned"), [(1, False), (2, True)])
def test_val_that_is_in_train(tmp_path, shared, warned) -> None:
    val = numbered(shared) + numbered(20 - shared, 200)
    val[0] = (val[0][0], "another Text")
    put(tmp_path, t__tsv=rows(numbered(50)), v__tsv=rows(val))
    said = warnings_of(tmp_path, "tokenizer.name=byte", **PAIRS)
    expected = (
        "val shares 2 of its 20 texts (10.0%) with train, such as 'text 0' (1 of them with the same target too): "
        "figures on val come out too good; take them out of train"
    )
    assert said == ([expected] if warned else [])


def test_test_that_is_in_train_or_val(tmp_path) -> None:
    data = {**LABELS, "test": "x.tsv"}
    text = [(f"film {i}", "good" if i % 2 else "bad") for i in range(60)]
    put(tmp_path, t__tsv=rows(text[:40]), v__tsv=rows(text[40:50]), x__tsv=rows(text[48:60] + text[:1]))
    train, val = warnings_of(tmp_path, "tokenizer.name=byte", task="classification", **data)
    assert train.startswith(
        "test shares 1 of its 13 texts (7.7%) with train, such as 'film 0' (1 of them with the same label"
    )
    assert val.startswith("test shares 2 of its 13 texts (15.4%) with val, such as 'film 48'")


def test_documents_share_lines(tmp_path) -> None:
    long = [f"a line that is long enough to be told from others, number {i}" for i in range(40)]
    data = {"name": "text", "train": "t.txt", "val": "v.txt"}
    put(tmp_path, t__txt="\n".join(long), v__txt="\n".join([*long[-3:], *(line.upper() for line in long)]))
    said = warnings_of(tmp_path, "tokenizer.name=byte", task="language_modeling", **data)
    assert len(said) == 1 and said[0].startswith(
        "val shares 3 of its 43 longer lines (6.9% of its text) with train"
    )
    assert "such as 'a line that is long enough to be told fr…'" in said[0]
    put(tmp_path, v__txt="\n".join([*long[-2:], *(line.upper() for line in long)]))
    assert warnings_of(tmp_path, "tokenizer.name=byte", task="language_modeling", **data) == []
