"""Data files as people have them: what is odd is counted, what is broken is named with place and remedy."""

from __future__ import annotations

import gzip

import pytest
from click.testing import CliRunner
from data_files import (
    DOCUMENTS,
    GOOD,
    LABELED,
    LABELS,
    LINES,
    OBJECTS,
    PAIRS,
    PARALLEL,
    TABLE,
    TAGGED,
    TRANSLATE,
    WORDS,
    load,
    put,
    refused,
    write_recipe,
)
from zoo.cli import main

from zoo.data.readers import reverse

# name: (task, data section, files, what the only line says: all of these parts)
BROKEN = {
    "file is missing": (
        "translation",
        PAIRS | {"train": "tt.tsv"},
        {"t__tsv": GOOD, "v__tsv": GOOD},
        ["data.train", "no file", "tt.tsv", "did you mean 't.tsv'?"],
    ),
    "folder is missing": (
        "translation",
        PAIRS | {"train": "corpus/t.tsv"},
        {"t__tsv": GOOD, "v__tsv": GOOD},
        ["data.train", "corpus does not exist", "data.dir"],
    ),
    "file is a folder": (
        "translation",
        PAIRS | {"train": "."},
        {"v__tsv": GOOD},
        ["data.train", "is a folder"],
    ),
    "gzip cut off": (
        "translation",
        LINES | {"train": "t.txt.gz"},
        {"t__txt__gz": gzip.compress(b"hello world\n" * 99)[:-12], "v__txt": "x\n"},
        ["data.train", "t.txt.gz is no whole gzip file", "fetch or pack it again"],
    ),
    "gzip by name only": (
        "translation",
        LINES | {"train": "t.txt.gz"},
        {"t__txt__gz": "hello\n", "v__txt": "x\n"},
        ["data.train", "is no whole gzip file", "drop the ending .gz"],
    ),
    "gzip without the name": (
        "translation",
        LINES,
        {"t__txt": gzip.compress(b"hello\n"), "v__txt": "x\n"},
        ["data.train", "t.txt is a gzip file", ".gz"],
    ),
    "unequal line counts": (
        "translation",
        PARALLEL,
        {"t__en": "a\nb\nc\n", "t__de": "a\nb\n", "v__en": "a\n", "v__de": "a\n"},
        ["data.train", "t.en has 3 lines", "t.de 2", "line i"],
    ),
    "missing column": (
        "translation",
        PAIRS,
        {"t__tsv": "a\tb\nc d\n", "v__tsv": GOOD},
        [
            "t.tsv:2: 1 column, where line 1 has 2",
            "mend it, or leave such rows out with data.bad_rows: skip",
        ],
    ),
    "no such column number": (
        "translation",
        PAIRS | {"columns": {"source": 0, "target": 2}},
        {"t__tsv": GOOD, "v__tsv": "a\tb\tc\n"},
        ["t.tsv:1: no column 2 (data.columns)", "there are 2, numbered from 0"],
    ),
    "wrong delimiter": (
        "translation",
        TABLE | {"columns": TRANSLATE},
        {"t__csv": "en;zh\na;b\n", "v__csv": "en,zh\na,b\n"},
        ["t.csv:1: no column 1", "is the delimiter another one?"],
    ),
    "no such column name": (
        "translation",
        TABLE,
        {"t__csv": "english,zh\na,b\n", "v__csv": "en,zh\na,b\n"},
        ["t.csv:1: no column 'en' (data.columns)", "there are 'english', 'zh'"],
    ),
    "quote never closed": (
        "translation",
        TABLE,
        {"t__csv": 'en,zh\na,b\n"c,d\ne,f\n', "v__csv": "en,zh\na,b\n"},
        ["t.csv:3: unexpected end of data", "check the quotes"],
    ),
    "text after a quote": (
        "translation",
        TABLE,
        {"t__csv": 'en,zh\n"a"x,b\n', "v__csv": "en,zh\na,b\n"},
        ["t.csv:2:", "expected after"],
    ),
    "not JSON": (
        "classification",
        OBJECTS,
        {
            "t__jsonl": '{"text": "a", "label": "x"}\n{"text": "b", }\n',
            "v__jsonl": '{"text": "a", "label": "x"}\n',
        },
        ["t.jsonl:2: not JSON:", "at column 15"],
    ),
    "JSON, but a list": (
        "classification",
        OBJECTS,
        {"t__jsonl": '["a", "x"]\n', "v__jsonl": '{"text": "a", "label": "x"}\n'},
        ["t.jsonl:1: a JSON list, where an object"],
    ),
    "field missing": (
        "classification",
        OBJECTS,
        {"t__jsonl": '{"txt": "a", "label": "x"}\n', "v__jsonl": '{"text": "a", "label": "x"}\n'},
        ["t.jsonl:1: no field 'text' (data.columns)", "did you mean 'txt'?"],
    ),
    "text is null": (
        "classification",
        OBJECTS,
        {"t__jsonl": '{"text": null, "label": "x"}\n', "v__jsonl": '{"text": "a", "label": "x"}\n'},
        ["t.jsonl:1: field 'text' is null, not a text"],
    ),
    "text is a number": (
        "classification",
        OBJECTS,
        {"t__jsonl": '{"text": 7, "label": "x"}\n', "v__jsonl": '{"text": "a", "label": "x"}\n'},
        ["t.jsonl:1: field 'text' is number, not a text; put it in quotes"],
    ),
    "half a character": (
        "classification",
        OBJECTS,
        {"t__jsonl": '{"text": "\\ud83d", "label": "x"}\n', "v__jsonl": '{"text": "a", "label": "x"}\n'},
        ["t.jsonl:1: field 'text' holds half a surrogate pair"],
    ),
    "nested without end": (
        "classification",
        OBJECTS,
        {"t__jsonl": "[" * 200_000 + "\n", "v__jsonl": '{"text": "a", "label": "x"}\n'},
        ["t.jsonl:1:"],
    ),
    "no label": (
        "classification",
        LABELED,
        {"t__txt": "__label__a good\nbad film\n", "v__txt": "__label__a x\n"},
        ["t.txt:2: 'bad' is no label with prefix '__label__' (data.prefix)"],
    ),
    "no separator": (
        "classification",
        LABELED | {"separator": "|"},
        {"t__txt": "__label__a|good\n__label__b bad\n", "v__txt": "__label__a|x\n"},
        ["t.txt:2: no separator '|' after a label (data.separator)"],
    ),
    "label only in val": (
        "classification",
        LABELS,
        {"t__tsv": "good\tpos\nbad\tneg\n", "v__tsv": "well\tneutral\n"},
        ["data.val", "label 'neutral' (1 rows) is not in train"],
    ),
    "one label": (
        "classification",
        LABELS,
        {"t__tsv": "good\tpos\nfine\tpos\n", "v__tsv": "well\tpos\n"},
        ["data.train", "only one label, 'pos'"],
    ),
    "nothing but empty lines": (
        "translation",
        LINES,
        {"t__txt": "\n \n\r\n", "v__txt": "x\n"},
        ["data: the train split is empty"],
    ),
    "empty file": (
        "translation",
        LINES,
        {"t__txt": "x\n", "v__txt": b""},
        ["data: the val split is empty"],
    ),
    "not CoNLL-U": (
        "translation",
        WORDS,
        {"t__conllu": TAGGED + "# text = Go\nx1\tGo\tgo\tVERB\n\n", "v__conllu": TAGGED},
        ["t.conllu:6: not CoNLL-U", "'x1' is not a valid ID"],
    ),
    "CoNLL-U without the column": (
        "translation",
        WORDS,
        {"t__conllu": TAGGED + "# text = Go\n1\tGo\n\n", "v__conllu": TAGGED},
        ["t.conllu:6: no column 'upos'"],
    ),
    "tag only in val": (
        "tagging",
        WORDS,
        {"t__conllu": TAGGED, "v__conllu": TAGGED.replace("ADV", "PART")},
        ["data.val: tag 'PART' (1 words) is not in train"],
    ),
    "one tag": (
        "tagging",
        WORDS,
        {"t__conllu": TAGGED.replace("ADV", "VERB"), "v__conllu": TAGGED},
        ["data.train: only one tag, 'VERB'; a tagger needs two or more"],
    ),
    "nothing but white space": (
        "language_modeling",
        DOCUMENTS,
        {"t__txt": "\n \n\r\n", "v__txt": "x\n"},
        ["data: the train split is empty"],
    ),
    "text shorter than a window": (
        "language_modeling",
        DOCUMENTS,
        {"t__txt": "a few bytes\n", "v__txt": "x\n"},
        ["data.train: the text has 12 tokens, fewer than one window of data.max_length (64)", "lower"],
    ),
    "CoNLL-U with an empty column": (
        "translation",
        WORDS | {"target": "xpos"},
        {"t__conllu": TAGGED, "v__conllu": TAGGED.replace("VERB\t_", "VERB\tVB")},
        ["data.train: column 'xpos' of", "holds nothing but _"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(case, tmp_path):
    """One message, with place and remedy, exit code 2, no traceback."""
    task, data, files, parts = BROKEN[case]
    put(tmp_path, **files)
    lines = refused(tmp_path, task, **data)
    assert len(lines) == 1, lines
    for part in parts:
        assert part in lines[0]


def test_the_first_five_and_the_number_of_broken_rows(tmp_path):
    put(tmp_path, t__tsv="a\tb\n" + "x\n" * 9, v__tsv=GOOD)
    lines = refused(tmp_path, **PAIRS)
    assert [line.split(": ")[0].rsplit(":", 1)[1] for line in lines[:5]] == ["2", "3", "4", "5", "6"]
    assert lines[5].endswith(
        "4 more such lines (9 in all); mend them, or leave such rows out with data.bad_rows: skip"
    )


BAD_ROWS = [
    (
        "translation",
        PAIRS,
        {"t__tsv": "a\tb\n" + "x\n" * 7 + "c\td\n", "v__tsv": GOOD},
        7,
        "line 2: 1 column, where",
    ),
    (
        "classification",
        OBJECTS,
        {
            "t__jsonl": '{"text": "a", "label": "x"}\nno\n{"text": "b", "label": "y"}\n',
            "v__jsonl": '{"text": "a", "label": "x"}\n',
        },
        1,
        "line 2: not JSON",
    ),
    (
        "classification",
        LABELED,
        {"t__txt": "__label__a x\nbad film\n__label__b y\n", "v__txt": "__label__a x\n"},
        1,
        "line 2: 'bad' is no label",
    ),
    (
        "translation",
        WORDS,
        {"t__conllu": TAGGED + "x1\tGo\tgo\tVERB\n\n" + TAGGED, "v__conllu": TAGGED},
        1,
        "line 5: not CoNLL-U",
    ),
]


@pytest.mark.parametrize(("task", "data", "files", "bad", "said"), BAD_ROWS)
def test_bad_rows_are_left_out_where_the_recipe_says_so(tmp_path, task, data, files, bad, said):
    put(tmp_path, **files)
    dataset = load(tmp_path, task, bad_rows="skip", **data)
    assert len(dataset.train) == 2
    assert dataset.report.counts["rows left out: bad (data.bad_rows)"] == {"train": bad}
    warning = dataset.report.warnings[0]
    assert f"{bad} bad row" in warning and "(data.bad_rows: skip): " in warning and said in warning
    assert warning.endswith("; 2 more") == (bad == 7)


def test_mistakes_of_all_files_together(tmp_path):
    put(tmp_path, t__en="a\n", t__de=b"\xff\n", v__en="a\nb\n", v__de="a\n")
    lines = refused(tmp_path, **PARALLEL)
    assert len(lines) == 2
    assert "t.de:1: byte 0xff at offset 0" in lines[0] and "data.val" in lines[1]


def test_only_a_newline_ends_a_line(tmp_path):
    """What Python's splitlines takes for line ends stands inside texts of real corpora."""
    odd = "one\u2028two\x0bthree\x0cfour\x85five\u2029six"
    put(tmp_path, t__en=f"{odd}\r\nb\r\n", t__de="eins\nzwei", v__en="a\n", v__de="b\n")
    dataset = load(tmp_path, **PARALLEL)
    assert dataset.train.sources == [odd, "b"]
    assert dataset.train.targets == ["eins", "zwei"]
    assert dataset.report.counts["rows with a control character (tab, NUL ...), kept"] == {"train": 1}


def test_what_is_odd_is_counted(tmp_path):
    put(
        tmp_path,
        t__en=b"\xef\xbb\xbfone\n two \n\n\nfive\x00\nsix\nsix\n",
        t__de="eins\nzwei\ndrei\n\nfünf\nsechs\nsechs\n",
        v__en="one\n",
        v__de="eins\n",
    )
    dataset = load(tmp_path, **PARALLEL)
    assert dataset.train.sources == ["one", "two", "five\x00", "six", "six"]
    assert dataset.report.counts == {
        "byte order marks removed": {"train": 1},
        "rows with spaces at an end, removed": {"train": 1},
        "rows left out: nothing on one side or both": {"train": 2},
        "rows with a control character (tab, NUL ...), kept": {"train": 1},
        "rows": {"train": 5, "val": 1},
        "rows that stand there more than once": {"train": 1},
        "rows whose text is in train too": {"val": 1},
    }
    assert "rows whose text is in train too: val 1" in dataset.report.lines()


def test_parallel_gzip_and_three_splits(tmp_path):
    put(tmp_path, t__en__gz=gzip.compress(b"a\nb\n"), t__de="x\ny\n", v__en="c\n", v__de="z\n")
    put(tmp_path, s__en="d\n", s__de="w\n")
    data = PARALLEL | {
        "train": {"source": "t.en.gz", "target": "t.de"},
        "test": {"source": "s.en", "target": "s.de"},
    }
    dataset = load(tmp_path, **data)
    assert list(dataset.train) == [("a", "x"), ("b", "y")]
    assert list(dataset.test) == [("d", "w")]


def test_tsv_takes_quotes_as_they_are_and_columns_by_name(tmp_path):
    put(tmp_path, t__tsv='zh\ten\textra\n"甲\tone "two"\t\n', v__tsv="zh\ten\textra\n乙\ttwo\t\tmore\n")
    dataset = load(tmp_path, **PAIRS | {"header": True, "columns": {"source": "en", "target": "zh"}})
    assert list(dataset.train) == [('one "two"', '"甲')]
    assert dataset.report.counts["rows with more columns than the first line"] == {"val": 1}


def test_csv_with_line_breaks_and_commas_in_quotes(tmp_path):
    put(tmp_path, t__csv='en,zh\r\n"a, ""b""\r\nc",甲\r\n,\r\nd,乙\r\n', v__csv="zh,en\n丙,e\n")
    dataset = load(tmp_path, **TABLE)
    assert list(dataset.train) == [('a, "b" c', "甲"), ("d", "乙")]
    assert list(dataset.val) == [("e", "丙")]
    assert dataset.report.counts["rows with a line break inside, made a space"] == {"train": 1}


def test_jsonl_labels_may_be_numbers(tmp_path):
    put(tmp_path, t__jsonl='{"text": "gut", "label": 1}\n\n{"label": 0, "text": "schlecht"}\n')
    put(tmp_path, v__jsonl='{"text": "so", "label": "1", "id": 3}\n')
    dataset = load(tmp_path, "classification", **OBJECTS)
    assert list(dataset.train) == [("gut", "1"), ("schlecht", "0")]
    assert dataset.labels("classification") == ["0", "1"]


def test_labeled_lines(tmp_path):
    put(tmp_path, t__txt="__label__a good film\n\n__label__b bad\n__label__a \n", v__txt="__label__b so so\n")
    dataset = load(tmp_path, "classification", **LABELED)
    assert list(dataset.train) == [("good film", "a"), ("bad", "b")]
    assert dataset.report.counts["rows left out: nothing on one side or both"] == {"train": 2}


def test_conllu_skips_ranges_and_empty_nodes(tmp_path):
    text = (
        "# text = don't 10 000\n1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tdo\tdo\tAUX\t_\t_\t_\t_\t_\t_\n"
        "2\tn't\tnot\tPART\t_\t_\t_\t_\t_\t_\n2.1\tx\tx\tVERB\t_\t_\t_\t_\t_\t_\n"
        "3\t10 000\t10 000\tNUM\t_\t_\t_\t_\t_\t_\n"
    )
    put(tmp_path, t__conllu=text, v__conllu=TAGGED)
    dataset = load(tmp_path, **WORDS)
    assert list(dataset.train) == [("do n't 10\u00a0000", "AUX PART NUM")]
    assert dataset.report.counts["multi-word ranges skipped"] == {"train": 1}
    assert dataset.report.counts["empty nodes skipped"] == {"train": 1}
    assert dataset.report.counts["words with a space inside, made a no-break space"] == {"train": 1}
    lemmas = load(tmp_path, **WORDS | {"source": "lemma", "target": "form"})
    assert lemmas.train.sources == ["do not 10\u00a0000"]


def test_text_copied_and_reversed(tmp_path):
    put(tmp_path, t__txt="to be or not\n我爱你\n", v__txt="x y\n")
    assert load(tmp_path, **LINES).train.targets == ["to be or not", "我爱你"]
    assert load(tmp_path, **LINES | {"target": "reverse"}).train.targets == ["not or be to", "你爱我"]
    assert reverse("e\u0301a") == "ae\u0301"


def test_many_labels_are_warned_of(tmp_path):
    put(tmp_path, t__tsv="".join(f"x\tlabel {n}\n" for n in range(40)), v__tsv="y\tlabel 3\n")
    dataset = load(tmp_path, "classification", **LABELS)
    assert any("is the label column the right one?" in warning for warning in dataset.report.warnings)


def test_tags_of_words(tmp_path):
    put(tmp_path, t__conllu=TAGGED.replace("on\ton", "on \u2003 top\ton"), v__conllu=TAGGED)
    dataset = load(tmp_path, "tagging", **WORDS)
    assert list(dataset.train) == [("Go on\u00a0top", "VERB ADV")]
    assert dataset.labels("tagging") == ["ADV", "VERB"]
    assert dataset.labels("translation") is None
    assert dataset.tokenizer_texts("tagging") == ["Go on\u00a0top"]


def test_documents_are_exactly_as_they_are(tmp_path):
    text = "\n  To be,\tor not\n\n\nto be\u2028.\x0c \n\n"
    put(tmp_path, t__txt=text, v__txt="a\r\nb\r")
    dataset = load(tmp_path, "language_modeling", **DOCUMENTS)
    assert (dataset.train.sources, dataset.train.targets) == ([text], [""])
    assert dataset.val.sources == ["a\nb\r"]
    assert dataset.report.counts == {
        "line ends \\r\\n, made \\n": {"val": 1},
        "control characters (NUL ...) and U+FFFD, kept": {"train": 1, "val": 1},
        "documents": {"train": 1, "val": 1},
        "lines": {"train": 6, "val": 2},
        "characters": {"train": len(text), "val": 4},
    }
    assert dataset.labels("language_modeling") is None


def test_a_document_that_stands_twice_is_counted(tmp_path):
    put(tmp_path, t__txt="the same\n" * 9, v__txt="the same\n" * 9)
    dataset = load(tmp_path, "language_modeling", **DOCUMENTS)
    assert dataset.report.counts["documents that are in train too"] == {"val": 1}


def test_validate_names_files_that_are_not_here(tmp_path, monkeypatch):
    """The recipe is valid nonetheless: it may be meant for a machine that has them."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path, t__en="x\n", v__en="x\n", w__de="x\n")
    write_recipe(tmp_path, **PARALLEL)
    result = CliRunner().invoke(main, ["validate", "recipe.yaml", "data.val.target=nowhere/v.de"])
    assert (result.exit_code, result.stdout) == (0, "recipe.yaml  is valid\n")
    assert result.stderr.splitlines() == [
        "recipe.yaml:7:13  data.train.target: warning: no file t.de; in its folder: did you mean 'w.de'?",
        "override 'data.val.target=nowhere/v.de'  data.val.target: warning: no file nowhere/v.de; "
        "its folder nowhere does not exist either (data.dir: where relative paths start)",
    ]
