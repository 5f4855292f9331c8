"""Label -> text: labelled rows as documents, and a classifier that says whether what was asked for came."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import tiny
from click.testing import CliRunner
from zoo.cli import main

from zoo.answers import Classification, Generation
from zoo.config import Recipe
from zoo.data.datasets import Split, load_dataset
from zoo.data.labels import asked, documents, texts_of
from zoo.errors import UserError
from zoo.judge import judge

ROWS = [("Who was Galileo ?", "HUM"), ("Where is Rome ?", "LOC:city"), ("谁是李白？", "人")]
TRAIN = Split(documents(ROWS), [label for _, label in ROWS])
SAID = {"HUM": "Who is it ?", "LOC:city": "Where  is Rome ?", "人": "谁是杜甫？"}
SEEN = {"Who is it ?": "HUM", "Where  is Rome ?": "HUM", "谁是杜甫？": "人"}


class Writer:
    """Says the same for each label, and remembers what it was asked."""

    generates, called, recipe = (
        True,
        "a language model",
        SimpleNamespace(name="writer", data=SimpleNamespace(name="trec")),
    )

    def settings(self):
        return {"length": 9, "temperature": 0.7, "top_k": None, "top_p": 0.9}

    def generate(self, prompts, seed):
        self.asked = list(prompts)
        return [Generation(prompt, " " + SAID[prompt[:-1]]) for prompt in prompts]


class Judge:
    generates, called = False, "a classifier"
    recipe = SimpleNamespace(name="judge", task="classification")
    labels = ("HUM", "LOC:city", "人", "NUM")

    def classify(self, texts):
        return [Classification(SEEN[text], 1.0, {}) for text in texts]


def test_rows_become_documents_and_texts_again() -> None:
    assert TRAIN.sources == ["HUM: Who was Galileo ?", "LOC:city: Where is Rome ?", "人: 谁是李白？"]
    assert all(document.startswith(asked(label)) for document, label in TRAIN)
    assert texts_of(TRAIN) == [text for text, _ in ROWS]
    assert documents([("a play:\nACT I", "")]) == ["a play:\nACT I"], "what has no label stays as it is"


def test_figures_by_hand() -> None:
    writer = Writer()
    figures, rows = judge(writer, Judge(), TRAIN, samples=7, seed=3)
    assert writer.asked == ["HUM:", "LOC:city:", "人:", "HUM:", "LOC:city:", "人:", "HUM:"], "labels in turn"
    assert rows[1] == {"label": "LOC:city", "recognised_as": "HUM", "text": "Where  is Rome ?"}
    assert figures == {
        "samples": 7,
        **{"temperature": 0.7, "top_k": None, "top_p": 0.9, "seed": 3},
        "recognised": pytest.approx(500 / 7),
        "distinct_2": pytest.approx((3 + 3 + 4) / (3 * 3 + 2 * 3 + 2 * 4)),
        "copied": pytest.approx(200 / 7),
        "per_label": {"HUM": 100.0, "LOC:city": 0.0, "人": 100.0},
    }
    assert judge(writer, Judge(), TRAIN, samples=2)[0]["per_label"].keys() == {"HUM", "LOC:city"}


def changed(thing, **attributes):
    for name, value in attributes.items():
        setattr(thing, name, value)
    return thing


@pytest.mark.parametrize(
    "writer, judging, train, said",
    [
        (Writer(), Writer(), TRAIN, "--judge: writer is a language model: name a classifier"),
        (Judge(), Judge(), TRAIN, "--judge reads what a language model writes; judge is a classifier"),
        (Writer(), Judge(), Split(["a play"], [""]), "has no labels to ask writer for"),
        (
            Writer(),
            changed(Judge(), labels=("HUM", "人")),
            TRAIN,
            "does not know 'LOC:city'; it knows 'HUM', '人'",
        ),
    ],
)
def test_what_cannot_be_judged(writer, judging, train, said) -> None:
    writer.recipe.task = "classification" if writer.called == "a classifier" else "language_modeling"
    with pytest.raises(UserError, match=said):
        judge(writer, judging, train, samples=3)


@pytest.mark.parametrize("data", ["labeled", "tsv", "jsonl"])
def test_tables_and_labelled_lines_serve_language_models(tmp_path, data) -> None:
    columns = {} if data == "labeled" else {"columns": {"text": 1, "label": 0}}
    if data == "jsonl":
        columns = {"columns": {"text": "t", "label": "l"}}
        lines = [json.dumps({"t": text, "l": label}, ensure_ascii=False) for text, label in ROWS]
    else:
        lines = [f"{label}\t{text}" for text, label in ROWS]
    for name in ("train", "val"):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = {"name": data, "train": "train", "val": "val", "dir": str(tmp_path), **columns}
    if data == "labeled":
        files["separator"] = "\t"
    dataset = load_dataset(Recipe.model_validate({**recipe(), "data": files}))
    assert dataset.train == TRAIN
    assert dataset.labels("language_modeling") is None
    assert dataset.report.counts["documents"] == {"train": 3, "val": 3}


def recipe() -> dict:
    return {
        "name": "test/writer",
        "task": "language_modeling",
        "tokenizer": {"name": "character"},
        "model": {"name": "rnn_language_model", "embedding_dim": 8, "units": 8},
        "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-2},
    }


def test_the_command(tmp_path, monkeypatch) -> None:
    """Two runs of a step each: what is reported, and what lies in the run afterwards."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_CHATTER", "1")
    monkeypatch.chdir(tmp_path)
    sorter = tiny.classifier(tmp_path)
    writer = tmp_path / "writer.yaml"
    sizes = "embedding_dim: 8, units: 8"
    changes = [
        ("test/colours", "test/writer"),
        ("classification", "language_modeling"),
        ("textcnn, embedding_dim: 8, num_filters: 4, kernel_sizes: [2, 3]", "rnn_language_model, " + sizes),
    ]
    text = sorter.read_text(encoding="utf-8")
    for old, new in changes:
        text = text.replace(old, new)
    writer.write_text(text + "decode: {max_length: 5}\n", encoding="utf-8")
    once = ("train.steps=1", "train.validate_every=1", "train.save_every=1", "train.samples=0")
    tiny.train(sorter, tmp_path / "sorter", *once)
    trained, _ = tiny.train(writer, tmp_path / "writer", *once)
    assert trained.example == "warm:", "what `zoo train` says to try next"

    def zoo(*arguments):
        done = CliRunner().invoke(main, list(arguments))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    done = zoo("eval", "writer", "--judge", "sorter", "--samples", "4", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["judge"] == "test/colours" and figures["samples"] == 4
    assert figures["per_label"].keys() == {"cold", "warm"}
    folder = tmp_path / "writer" / "eval"
    assert json.loads((folder / "judge.json").read_text(encoding="utf-8")) == figures
    rows = [json.loads(line) for line in (folder / "judge.txt").read_text(encoding="utf-8").splitlines()]
    assert [row["label"] for row in rows] == ["cold", "warm", "cold", "warm"]
    for arguments, said in (
        (("writer", "--samples", "4"), "--samples and --seed are for --judge"),
        (("sorter", "--judge", "sorter"), "--judge reads what a language model writes"),
        (("writer", "--judge", "nobody"), "nobody"),
    ):
        done = zoo("eval", *arguments)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1) and said in done.stderr, done.output
