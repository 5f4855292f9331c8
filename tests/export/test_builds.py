"""Files of several texts at once and of smaller weights: what they answer, what they lose, and what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from small_tasks import FAST, LABELS, TEXTS, make_task
from test_every_model import check, compare_runtime, exported

from zoo.data.datasets import Split
from zoo.errors import UserError

SOURCES = [f"{text} {i}" for i, text in enumerate(TEXTS[:16] * 4)]
OUTLIER = 2.0**13
QUICK = "gpt"
"""The fast tests export this one for several texts at once."""


@pytest.fixture(scope="module")
def classifier():
    """Its own answers are the right ones, and not all the same: (task, split)."""
    task = make_task("textcnn", {"embedding_dim": 16, "num_filters": 8})
    split = Split(SOURCES, [found.label for found in task.classify(SOURCES)])
    assert len({*split.targets}) > 1
    return task, split


@pytest.fixture(scope="module")
def fragile(classifier):
    """The same function, but one column of the embedding is thousands of times larger than the others, and what
    reads it as much smaller: 8 bits with one scale for the matrix have nothing left for the other columns."""
    task = make_task("textcnn", {"embedding_dim": 16, "num_filters": 8})
    scale = np.ones(16, "float32")
    scale[0] = OUTLIER
    for variable in task.model.trainable_variables:
        if variable.path.endswith("embeddings"):
            variable.assign(variable.numpy() * scale)
        elif variable.path.endswith("kernel") and len(variable.shape) == 3:
            variable.assign(variable.numpy() / scale[None, :, None])
    assert [found.label for found in task.classify(SOURCES)] == classifier[1].targets
    return task


def build(task, folder, split, **options):
    from zoo.export.build import Build
    from zoo.export.worker import make

    chosen = {name: options.pop(name) for name in ("batch", "quantize") if name in options}
    return make(task, "tflite", folder, TEXTS, Build(**chosen), validation=split, count=64, **options)


def test_quantised_files(classifier, tmp_path):
    """Smaller, named by what they are, measured; both lie beside the file that is as precise as Python."""
    from zoo import runtime

    task, split = classifier
    plain, half, eighth = (
        build(task, tmp_path, split, quantize=quantize, max_drop=5.0)
        for quantize in ("none", "float16", "dynamic_int8")
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.dynamic_int8.tflite",
        "model.float16.tflite",
        "model.tflite",
    ]
    assert plain["size"] > half["size"] > eighth["size"]
    assert [x["quantize"] for x in (plain, half, eighth)] == ["none", "float16", "dynamic_int8"]
    for report in (plain, half, eighth):
        metric = report["metric"]
        assert (metric["name"], metric["samples"], metric["python"]) == ("accuracy", 64, 100.0)
        assert metric["drop"] == pytest.approx(100.0 - metric["export"])
        answers = runtime.load(report["path"]).classify(SOURCES)
        right = np.mean([found.label == label for found, label in zip(answers, split.targets, strict=True)])
        assert metric["export"] == pytest.approx(100.0 * right), "the report says what the file does"
    assert (plain["differences"], plain["metric"]["drop"]) == (0, 0.0)


def test_what_loses_too_much_is_not_kept(fragile, classifier, tmp_path):
    """Weights that 8 bits ruin, by the real converter; 16 bits keep them. An older file stays as it was."""
    older = tmp_path / "model.dynamic_int8.tflite"
    older.write_text("older")
    with pytest.raises(
        UserError, match=r"dynamic_int8.tflite not kept: accuracy .* instead of 100 on 64"
    ) as error:
        build(fragile, tmp_path, classifier[1], quantize="dynamic_int8")
    assert "--max-drop is 0.5" in str(error.value) and "--quantize float16" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [older.name] and older.read_text() == "older"
    assert build(fragile, tmp_path, classifier[1], quantize="float16")["metric"]["drop"] == 0.0
    report = build(fragile, tmp_path, classifier[1], quantize="dynamic_int8", max_drop=100.0)
    assert report["metric"]["drop"] > 5.0 and report["differences"] > 0


def test_nothing_unmeasured_is_quantised(classifier, tmp_path):
    with pytest.raises(UserError, match="could not be measured"):
        build(classifier[0], tmp_path, None, quantize="float16")


@pytest.mark.parametrize(
    ("formats", "options", "said"),
    [
        (["saved_model"], {"quantize": "float16"}, "a saved_model keeps its weights.*--format tflite"),
        (["tflite"], {"quantize": "int4"}, "unknown quantisation 'int4'.*float16, dynamic_int8"),
        (["tflite"], {"quantize": "float16", "metric_samples": 0}, "--metric-samples 0"),
    ],
)
def test_refused_before_anything_is_loaded(formats, options, said):
    from zoo.export import export

    with pytest.raises(UserError, match=said):
        export("nowhere", formats, **options)


def test_several_texts_at_once(tmp_path):
    """26 texts are six batches of 4 and one of 2, which is filled up."""
    from zoo.export.build import Build

    found = exported({QUICK: FAST[QUICK]}, tmp_path, ["tflite"], Build(batch=4))
    check(found, "tflite", QUICK)
    compare_runtime(*found["tflite", QUICK])
    assert set(found["tflite", QUICK][1]["latency"]) == {"1", "4"}


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["none", "float16", "dynamic_int8"])
def test_every_family_in_every_build(quantize, tmp_path):
    """All are made of builtin operators and run; where nothing is quantised, they answer as Python."""
    from zoo.export.build import Build

    found = exported(FAST, tmp_path, ["tflite"], Build(batch=4, quantize=quantize))
    for name in FAST:
        if quantize == "none":
            check(found, "tflite", name)
            compare_runtime(*found["tflite", name])
        else:
            asked, given = found["tflite", name]
            assert len(given["answers"]) == len(asked.rows)


@pytest.mark.parametrize(
    ("name", "python", "export", "points"),
    [
        ("bleu", 40.0, 39.4, 0.6),
        ("accuracy", 90.0, 91.0, -1.0),
        ("repetition_rate", 1.0, 3.0, 2.0),
        ("perplexity", 20.0, 20.1, 0.5),
        ("loss", 3.0, 3.0 + math.log(1.005), 0.5),
        ("loss", 3.0, math.nan, math.inf),
        ("bleu", 40.0, math.nan, math.inf),
    ],
)
def test_drop(name, python, export, points):
    from zoo.export.metric import drop

    assert drop(name, python, export) == pytest.approx(points)


@pytest.mark.parametrize("name", ["rnn_language_model", "bert", "rnn_tagger", "textcnn", "rnn_seq2seq"])
def test_the_figure_is_that_of_eval(name):
    """Of a whole split, Python's side of the comparison is what `zoo eval` says."""
    from zoo.export.kinds import KINDS
    from zoo.export.metric import figure_of

    sections = {
        "textcnn": {"embedding_dim": 8, "num_filters": 4},
        "rnn_tagger": {"embedding_dim": 8, "units": 8},
    }
    task = make_task(name, sections.get(name))
    words = ["the world is all that is the case", "世界 is", "one two three"] * 6
    targets = {
        "textcnn": [LABELS[i % 3] for i in range(18)],
        "rnn_tagger": [" ".join(LABELS[i % 3] for i, _ in enumerate(text.split())) for text in words],
        "rnn_seq2seq": ["the world", "2021", "x"] * 6,
    }
    split = Split(words, targets.get(name, [""] * 18))
    kind = KINDS[task.recipe.task](task, "tflite")
    rows, gold = kind.graded(split, 10**6)
    found = kind.measured(kind.expected(rows), gold)
    # Nothing that a file of BERT's says gives a loss.
    figures = {"rnn_language_model": "loss", "bert": "accuracy", "rnn_seq2seq": "bleu"}
    assert figure_of(kind) == figures.get(name, "accuracy")
    scored, _ = task.score(split)
    for figure in set(kind.figures) & set(scored):
        assert found[figure] == pytest.approx(scored[figure], rel=1e-4), figure


@pytest.mark.slow
def test_the_command_refuses(fragile, tmp_path, capfd):
    """Exit code 2, the figures in the message, nothing on standard output, nothing left."""
    from zoo.cli import main

    from zoo.export import save_task

    labels = [found.label for found in fragile.classify(SOURCES)]
    rows = "".join(f"{label} {text}\n" for label, text in zip(labels, SOURCES, strict=True) if text.strip())
    for split in ("train", "val"):
        (tmp_path / split).write_text(rows, encoding="utf-8")
    data = {"name": "labeled", "max_length": 32, "train": "train", "val": "val", "dir": str(tmp_path)}
    recipe = type(fragile.recipe).model_validate({**fragile.recipe.model_dump(), "data": data})
    fragile.recipe, before = recipe, fragile.recipe
    save_task(fragile, tmp_path / "saved")
    fragile.recipe = before
    command = [
        "export",
        str(tmp_path / "saved"),
        "--out",
        str(tmp_path / "out"),
        "--quantize",
        "dynamic_int8",
    ]
    with pytest.raises(SystemExit) as end:
        main(command)
    stdout, stderr = capfd.readouterr()
    assert end.value.code == 2 and stdout == "" and "instead of 100" in stderr and "Traceback" not in stderr
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(SystemExit) as end:
        main([*command, "--max-drop", "100", "--json"])
    (report,) = json.loads(capfd.readouterr()[0])
    assert (report["format"], report["quantize"]) == ("tflite", "dynamic_int8")
