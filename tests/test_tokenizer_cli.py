"""`zoo tokenizer train` and `zoo tokenizer show`."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from zoo.cli import main

from zoo.data.tokenizers import Tokenizer

LINES = ["the dog runs fast", "Der Hund läuft schnell", "", "狗跑得很快。", "le chien court vite"]
DATES = "translation/dates-multi-lstm-tiny"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.txt").write_text("\n".join(LINES[:3]) + "\n", encoding="utf-8")
    (tmp_path / "packed.txt.gz").write_bytes(gzip.compress("\n".join(LINES[3:]).encode()))
    return tmp_path


def zoo(*arguments: str):
    return CliRunner().invoke(main, ["tokenizer", *arguments], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--vocabulary-size", "300", "--model-type", "bpe"], "sentencepiece"),
        (["--name", "character"], "character"),
        (["--name", "byte"], "byte"),
        (["--name", "word"], "word"),
    ],
)
def test_train_on_files_and_show(here, options, kind):
    done = zoo("train", "plain.txt", "packed.txt.gz", "--out", "made", "--json", *options)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    tokenizer = Tokenizer.load("made")
    assert (facts["kind"], facts["texts"], facts["unknown_rate"]) == (kind, 4, 0)
    assert facts["vocabulary_size"] == tokenizer.vocabulary_size and tokenizer.config["name"] == kind
    shown = json.loads(zoo("show", "made", "狗跑得很快。", "--json").stdout)
    assert shown["ids"] == tokenizer.encode("狗跑得很快。") and shown["decoded"] == "狗跑得很快。"
    assert shown["pieces"] == [tokenizer.pieces[i] for i in shown["ids"]]


def test_plain_output_is_a_line_a_piece(here):
    done = zoo("train", "plain.txt", "--name", "word", "--out", "run/tokenizer")
    assert dict(line.split() for line in done.stdout.splitlines())["kind"] == "word"
    lines = zoo("show", "run", "the Hund sleeps").stdout.splitlines()  # a run's folder will do
    assert [line.split()[0] for line in lines] == ["▁the", "▁Hund", "<unk>"]
    assert all(line.split()[1].isdigit() for line in lines)


def test_a_recipe_with_overrides_and_options(here):
    done = zoo(
        "train", DATES, "data.train=300", "data.languages=[zh]", "--out", "made", "--vocabulary-size", "40"
    )
    assert done.exit_code == 0, done.output
    tokenizer = Tokenizer.load("made")
    assert tokenizer.config["name"] == "character" and tokenizer.vocabulary_size <= 40
    assert tokenizer.decode(tokenizer.encode("2021年3月")) == "2021年3月"


def test_a_recipe_file_and_its_own_data(here):
    rows = "".join(f"{source}\t{source[::-1]}\n" for source in LINES if source)
    (here / "rows.tsv").write_text(rows, encoding="utf-8")
    (here / "val.tsv").write_text("chat\ttahc\n", encoding="utf-8")
    (here / "mine.yaml").write_text(
        f"extends: {DATES}\nname: translation/mine\n"
        "data: {name: tsv, train: rows.tsv, val: val.tsv, columns: {source: 0, target: 1}}\n",
        encoding="utf-8",
    )
    done = zoo("train", "mine.yaml", "--out", "made", "--name", "byte", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["texts"] == 8 and json.loads(done.stdout)["kind"] == "byte"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["plain.txt", "--name", "word", "--model-type", "bpe"],
            "--model-type: a word tokenizer has no such",
        ),
        (["plain.txt", "--name", "wrd"], "--name: 'wrd' is no kind of tokenizer; there are 'sentencepiece'"),
        (["plain.txt", "--vocabulary-size", "3"], "--vocabulary-size: "),
        (
            ["plain.txt", "--vocabulary-size", "9000"],
            "too large for the training text, the largest possible is",
        ),
        (["plain.txt", "--encoding", "klingon"], "--encoding: 'klingon'"),
        (["latin.txt"], "latin.txt:1: byte 0xe4"),
        (["nowhere.txt"], "no file nowhere.txt"),
        (["empty.txt"], "no text to train"),
        (["plain.txt.gz"], "no whole gzip file"),
        (["translation/dates-multi-lstm-tiny", "--encoding", "utf-8"], "--encoding is for files"),
        (["translation/dates-multi-lstm-tiny", "--vocabulary-size", "3"], "tokenizer.vocabulary_size=3"),
        (["missing.yaml"], "missing.yaml"),
    ],
)
def test_mistakes_end_with_2_and_a_remedy(here, arguments, said):
    (here / "latin.txt").write_bytes("läuft\n".encode("latin-1"))
    (here / "empty.txt").write_bytes(b"\n\n")
    (here / "plain.txt.gz").write_bytes(b"no gzip")
    done = zoo("train", *arguments, "--out", "made")
    assert (
        done.exit_code == 2
        and said in done.stderr
        and "data." not in done.stderr.replace("data.encoding", "!")
    )
    assert done.stdout == "" and not (here / "made").exists()


def test_show_names_a_folder_without_tokenizer(here):
    done = zoo("show", "nowhere", "text")
    assert done.exit_code == 2 and "tokenizer.model: cannot be read" in done.stderr


def test_no_tensorflow(here):
    program = """
import sys
from zoo.cli import main
for arguments in (["train", "plain.txt", "--name", "byte", "--out", "made"], ["show", "made", "x"]):
    main(["tokenizer", *arguments], standalone_mode=False)
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=here)
    assert done.returncode == 0 and done.stderr == ""
