"""Data files of hostile texts, in every format: a data set or messages with file and line, and nothing else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import pytest
from strings import strings

from zoo.config import Recipe
from zoo.data.datasets import load_dataset
from zoo.data.encoded import fingerprint
from zoo.errors import UserError
from zoo.text import valid

COLUMNS = {"columns": {"text": 0, "label": 1}}
FORMATS = {
    "tsv": ("classification", lambda a, b: a + b"\t" + b, COLUMNS),
    "csv": (
        "classification",
        lambda a, b: b'"' + a.replace(b'"', b'""') + b'",' + b,
        {**COLUMNS, "header": False},
    ),
    "jsonl": (
        "classification",
        lambda a, b: json.dumps(
            {"text": a.decode("utf-8", "surrogateescape"), "label": b.decode("latin-1")}
        ).encode(),
        {"columns": {"text": "text", "label": "label"}},
    ),
    "labeled": ("classification", lambda a, b: b.replace(b" ", b"_") + b" " + a, {}),
    "conllu": ("tagging", lambda a, b: b"1\t" + a + b"\t_\t" + b + b"\t_" * 6 + b"\n", {}),
    "text": ("language_modeling", lambda a, b: a + b, {}),
}
SHORT = [hostile for hostile in strings(600) if len(hostile.bytes) < 5000]


def recipe(folder: Path, name: str):
    task, _, more = FORMATS[name]
    models = {
        "classification": {"name": "textcnn", "embedding_dim": 4, "num_filters": 4},
        "tagging": {"name": "rnn_tagger", "embedding_dim": 4, "units": 4},
        "language_modeling": {"name": "rnn_language_model", "embedding_dim": 4, "units": 4},
    }
    return Recipe.model_validate(
        {
            "name": "test/hostile",
            "task": task,
            "data": {"name": name, "train": "train", "val": "val", "dir": str(folder), **more},
            "tokenizer": {"name": "byte"},
            "model": models[task],
            "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-3},
        }
    )


def write(folder: Path, name: str, texts: list[bytes], labels: list[bytes]) -> None:
    line = FORMATS[name][1]
    for split in ("train", "val"):
        content = b"\n".join(line(text, label) for text, label in zip(texts, labels, strict=True))
        (folder / split).write_bytes(content + b"\n")


@pytest.mark.parametrize("name", FORMATS)
def test_texts_of_one_line_are_read_as_they_are(tmp_path, name):
    """All that is UTF-8 and has no sign of the format in it."""
    texts = [
        valid(hostile.text).translate({ord(c): "_" for c in '\n\r\t"'}).strip()
        for hostile in SHORT
        if valid(hostile.text) == hostile.text
    ]
    texts = [text for text in texts if text and text.split() and text != "_"]
    write(tmp_path, name, [text.encode() for text in texts], [b"ab"[i % 2 :][:1] for i in range(len(texts))])
    found = load_dataset(recipe(tmp_path, name)).train
    assert len(fingerprint(found)) == 64
    if name == "text":
        assert found.sources == ["".join(f"{text}{'ab'[i % 2]}\n" for i, text in enumerate(texts))]
    elif name == "conllu":
        assert len(found.sources) > len(texts) * 0.9
    else:
        assert found.sources == texts and set(found.targets) == {"a", "b"}


@pytest.mark.parametrize("name", FORMATS)
def test_any_bytes_are_a_data_set_or_a_message(tmp_path, name):
    numbers, read, refused = Random(4), 0, 0
    for round_ in range(60):
        part = numbers.sample(SHORT, 6)
        texts = [hostile.bytes for hostile in part]
        if round_ % 2:  # only what is UTF-8, so that more than its first mistake is met
            texts = [text.decode("utf-8", "replace").encode() for text in texts]
        write(tmp_path, name, texts, [numbers.choice(texts) or b"a" for _ in texts])
        if round_ % 7 == 0:
            (tmp_path / "train").write_bytes(numbers.choice(texts) + b"\n" + gzip.compress(texts[0]))
        try:
            found = load_dataset(recipe(tmp_path, name))
        except UserError as error:
            refused += 1
            assert all(len(problem) < 3000 and problem.strip() for problem in error.problems)
            assert "train" in str(error) or "val" in str(error)
            continue
        read += 1
        for text in (*found.train.sources, *found.train.targets):
            assert valid(text) == text
    assert refused and (read or name == "jsonl"), (read, refused)


def test_json_without_end(tmp_path):
    for line in (b"[" * 200_000, b'{"text": ' * 100_000, b'{"text": "a", "label": ' + b"9" * 10_000 + b"}"):
        for split in ("train", "val"):
            (tmp_path / split).write_bytes(b'{"text": "a", "label": "b"}\n' + line + b"\n")
        with pytest.raises(UserError, match="train:2: "):
            load_dataset(recipe(tmp_path, "jsonl"))
