"""docs/fine-tuning.md from the first command to the last, on a few lines of text and with models made small."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import tensorflow as tf
import tiny
from click.testing import CliRunner
from zoo.cli import main

from zoo.loading import load

PAGE = (Path(__file__).parents[1] / "docs" / "fine-tuning.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
SMALL = ["model.num_layers=1", "model.hidden_dim=8", "model.intermediate_dim=8", "model.num_heads=2"]
SMALL += [
    "train.steps=2",
    "train.warmup=1",
    "train.validate_every=2",
    "train.save_every=2",
    "train.samples=0",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The recipes of the page beside texts in two scripts, with labels, and with tags."""
    folder = tmp_path_factory.mktemp("mine")
    for file, recipe in re.findall(r"`(my-[a-z]+\.yaml)`.*?```yaml\n(.*?)```", PAGE, re.DOTALL):
        (folder / file).write_text(recipe, encoding="utf-8")
    for name in ("novels.txt", "letters.txt", "others.txt"):
        (folder / name).write_text(tiny.RHYME * 12, encoding="utf-8")
    tiny.tagger(folder)
    rows = [
        f"{word} {number}\t{label}"
        for label in tiny.WORDS
        for word in tiny.WORDS[label]
        for number in range(9)
    ]
    for name in ("train.tsv", "val.tsv"):
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    tf.config.run_functions_eagerly(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(folder)
        yield folder
    tf.config.run_functions_eagerly(False)


def zoo(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, (arguments, result.output)
    return result.output


def test_the_page_from_texts_to_answers(folder):
    trained = [shlex.split(line)[2] for line in COMMANDS if line.startswith("zoo train")]
    assert trained == ["my-bert.yaml", "my-labels.yaml", "my-tags.yaml"]
    pieces = ["tokenizer.byte_fallback=false", "tokenizer.vocabulary_size=30"]
    zoo("train", trained[0], *SMALL, *pieces)
    for recipe, task in zip(trained[1:], ("labels", "tags"), strict=True):
        said = zoo("train", recipe, *SMALL)
        assert "init_from  mine/bert: " in said and "new: head/kernel, head/bias" in said
        assert json.loads((folder / "runs/mine" / task / "env.json").read_text())["init_from"]["weights"] > 10
    answers = [zoo(*shlex.split(line)[1:]) for line in COMMANDS if line.startswith("zoo predict")]
    assert answers[0].strip() in ("warm", "cold")
    assert [word.split("/")[0] for word in answers[1].split()] == ["words", "between", "blanks"]
    assert load("mine/tags").tag(["the 狗 🙂", ""])[1] == []


def test_other_commands_of_the_page(folder):
    """That they are spelled right; exports and the benchmark have tests of their own."""
    others = [shlex.split(line) for line in COMMANDS if not line.startswith(("zoo train", "zoo predict"))]
    assert [words[:2] for words in others] == [["zoo", "export"], ["python", "benchmarks/pretraining.py"]]
    assert (Path(__file__).parents[1] / others[1][1]).is_file()
    zoo("validate", others[1][2])
    assert "--format" in zoo("export", "--help")
