"""A recipe beside data files of its own, for tests."""

from __future__ import annotations

from pathlib import Path

import yaml
from click.testing import CliRunner
from zoo.cli import main

from zoo.data.datasets import Dataset, load_dataset
from zoo.recipe import load_recipe

TRANSLATE = {"source": 0, "target": 1}
CLASSIFY = {"text": 0, "label": 1}


MODELS = {
    "language_modeling": "rnn_language_model",
    "classification": "rnn_classifier",
    "tagging": "rnn_tagger",
    "translation": "rnn_seq2seq",
}


def write_recipe(folder: Path, task: str = "translation", **data) -> Path:
    """A recipe beside its data files."""
    model = {"name": MODELS[task], "embedding_dim": 8, "units": 8}
    recipe = {
        "name": "test/files",
        "task": task,
        "data": data,
        "tokenizer": {"name": "word" if task == "tagging" else "byte"},
        "model": model,
        "train": {
            "steps": 10,
            "batch_tokens": 256,
            "learning_rate": 0.001,
            "validate_every": 5,
            "save_every": 5,
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def put(folder: Path, **files: str | bytes) -> None:
    """Files by name, with __ for a dot."""
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def load(folder: Path, task: str = "translation", **data) -> Dataset:
    return load_dataset(load_recipe(write_recipe(folder, task, **data)).recipe)


def refused(folder: Path, task: str = "translation", **data) -> list[str]:
    """The lines `zoo data` prints on stderr; it must end with 2 and no traceback."""
    result = CliRunner().invoke(main, ["data", str(write_recipe(folder, task, **data))])
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.stderr.splitlines()


GOOD = "a\tb\nc\td\n"
PAIRS = {"name": "tsv", "train": "t.tsv", "val": "v.tsv", "columns": TRANSLATE}
LABELS = {"name": "tsv", "train": "t.tsv", "val": "v.tsv", "columns": CLASSIFY}
LINES = {"name": "text", "train": "t.txt", "val": "v.txt", "target": "copy"}
DOCUMENTS = LINES | {"target": "next"}
PARALLEL = {
    "name": "parallel",
    "train": {"source": "t.en", "target": "t.de"},
    "val": {"source": "v.en", "target": "v.de"},
}
OBJECTS = {
    "name": "jsonl",
    "train": "t.jsonl",
    "val": "v.jsonl",
    "columns": {"text": "text", "label": "label"},
}
TABLE = {"name": "csv", "train": "t.csv", "val": "v.csv", "columns": {"source": "en", "target": "zh"}}
WORDS = {"name": "conllu", "train": "t.conllu", "val": "v.conllu"}
TAGGED = "# text = Go on\n1\tGo\tgo\tVERB\t_\t_\t_\t_\t_\t_\n2\ton\ton\tADV\t_\t_\t_\t_\t_\t_\n\n"
LABELED = {"name": "labeled", "train": "t.txt", "val": "v.txt", "prefix": "__label__"}
