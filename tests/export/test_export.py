"""From a run to exported files: what differs is not kept, what crashes is told, what is there stays."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from small_tasks import FAST, LABELS, TEXTS, make_task, texts_of

from zoo.errors import UserError
from zoo.export import FILES, _converse, export, save_task


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A saved classifier with data of its own, for what goes through other processes: (folder, task)."""
    folder = tmp_path_factory.mktemp("data")
    rows = [f"{LABELS[i % 3]} {text} {i}" for i, text in enumerate(TEXTS[:12] * 3)]
    for split in ("train", "val"):
        (folder / split).write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = {"name": "labeled", "max_length": 32, "train": "train", "val": "val", "dir": str(folder)}
    task = make_task("textcnn", {"embedding_dim": 8, "num_filters": 4}, data=data)
    return save_task(task, folder / "saved"), task


def test_altered_weights_are_noticed(classifier, tmp_path, monkeypatch):
    """One number of one weight is enough; an older file stays as it was, and no other is left."""
    from zoo.export import worker

    _, task = classifier
    write = worker.WRITERS["tflite"]

    def write_altered(kind, *arguments):
        weight = next(v for v in kind.task.model.variables if v.path.endswith("head/kernel"))
        before = weight.numpy()
        altered = before.copy()
        altered[0, 0] += 0.5
        weight.assign(altered)
        try:
            return write(kind, *arguments)
        finally:
            weight.assign(before)

    monkeypatch.setitem(worker.WRITERS, "tflite", write_altered)
    (tmp_path / "model.tflite").write_text("older")
    with pytest.raises(UserError, match="otherwise than Python") as error:
        worker.make(task, "tflite", tmp_path, TEXTS)
    assert "probabilities: Python [" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]
    assert (tmp_path / "model.tflite").read_text() == "older"


def test_a_file_that_does_not_run_is_not_kept(classifier, tmp_path, monkeypatch):
    from zoo.export import worker

    monkeypatch.setitem(worker.WRITERS, "tflite", lambda kind, path, *_: path.write_text("not a model"))
    with pytest.raises(UserError, match="does not run by itself"):
        worker.make(classifier[1], "tflite", tmp_path, TEXTS)
    assert not list(tmp_path.iterdir())


def test_command(classifier, tmp_path, capfd):
    """The whole way: subprocess, validation texts of the recipe's own data, export.json, paths on stdout."""
    from zoo.cli import main

    with pytest.raises(SystemExit) as end:
        main(["export", str(classifier[0]), "--format", ",".join(FILES), "--out", str(tmp_path / "out")])
    stdout, stderr = capfd.readouterr()
    assert not end.value.code, stderr
    names = list(FILES.values())
    assert stdout.splitlines() == [str(tmp_path / "out" / name) for name in names]
    assert "saved_model" in stderr and "zoo predict" in stderr and "cpu" not in stderr.lower()
    assert "accuracy  in Python" in stderr and "takes 1 text at a time" in stderr
    reports = json.loads((tmp_path / "out" / "export.json").read_text())
    assert list(reports) == names
    for name, report in reports.items():
        assert report["samples"] == (32 if name == "model.keras" else 36) + 5
        assert report["differences"] == 0 and report["operators"]
        if name == "model.keras":
            assert report["metric"] is None, "a network alone says no labels"
            continue
        assert (report["metric"]["name"], report["metric"]["samples"]) == ("accuracy", 36)
        assert report["metric"]["export"] == report["metric"]["python"] and report["metric"]["drop"] == 0
    # A TFLite file of one text at a time is not timed with 32.
    sizes = {name: list(report["latency_ms"]) for name, report in reports.items()}
    assert sizes["saved_model"] == ["1", "32"] and sizes["model.tflite"] == ["1"]
    for times in reports["saved_model"]["latency_ms"].values():
        assert set(times) == {"text", "ids"} and 0 < times["ids"]["p50"] <= times["ids"]["p95"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*names, "export.json"}


def test_unknown_format():
    with pytest.raises(UserError, match=r"unknown export format 'onxx'.*saved_model, tflite"):
        export("anything", ["onxx"])


def test_without_its_extra_a_format_says_so(monkeypatch):
    """At once, before the model is loaded."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"'onnx' needs tf2onnx, onnx, .*pip install 'sequence-zoo\[onnx\]'"):
        export("no model", ["saved_model", "onnx"])


def test_a_crash_is_told(tmp_path, monkeypatch):
    """A converter that dies by a signal gives a message with the end of its output."""
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\nfor i in $(seq 50); do echo line $i >&2; done\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(crash))
    with pytest.raises(UserError, match="died while loading the model") as error:
        _converse({"source": "x" * 1_000_000}, tmp_path / "stderr", print)
    assert "killed by SIGSEGV" in str(error.value)
    assert "line 50" in str(error.value) and "line 30\n" not in str(error.value)


def test_flex_and_loose_variables_are_refused():
    """Both convert without a word, and fail or answer garbage when run."""
    import keras
    import tensorflow as tf

    from zoo.export import tflite

    def determinant(ids):
        return {"x": tf.linalg.det(tf.eye(3) * tf.cast(tf.shape(ids)[1], tf.float32))}

    with pytest.raises(UserError, match="MatrixDeterminant"):
        tflite.convert({"serving_default": (determinant, {"ids": ("int32", (None,))})}, [])
    with pytest.raises(UserError, match="MatrixDeterminant"):  # in any function of any file
        both = {"serving_default": (lambda ids: {"x": ids + 1}, {"ids": ("int32", (None,))})}
        both["score"] = (determinant, {"ids": ("int32", (None,))})
        tflite.convert(both, [], batch=4, quantize="dynamic_int8")

    def converted(function, trackable, operators):
        signature = [tf.TensorSpec([1, None], tf.int32, name="ids")]
        traced = tf.function(function, input_signature=signature).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], trackable)
        converter.target_spec.supported_ops = operators
        return tflite.operators(converter.convert())

    builtins, flex = tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS
    found = converted(determinant, tf.Module(), [builtins, flex])
    with pytest.raises(UserError, match="CUSTOM FlexMatrixDeterminant"):
        tflite.refuse(found)

    model = keras.Sequential([keras.Input((None,)), keras.layers.Embedding(5, 4)])
    found = converted(lambda ids: {"x": model(ids)}, model, [builtins])
    with pytest.raises(UserError, match="READ_VARIABLE, VAR_HANDLE"):
        tflite.refuse(found)
    tflite.refuse(Counter({"WHILE": 1, "GATHER": 2}))


def test_runners_stand_alone():
    """What they import is what their users must install."""
    import zoo.export

    folder = Path(zoo.export.__file__).parent
    allowed = {
        "run_tflite.py": {
            "itertools",
            "json",
            "re",
            "sys",
            "time",
            "zipfile",
            "numpy",
            "sentencepiece",
            "ai_edge_litert",
        },
        "run_onnx.py": {"importlib", "pathlib", "onnxruntime"},
        "run_keras.py": {"sys", "time", "pathlib", "numpy", "keras", "zoo"},
        "run_saved_model.py": {"itertools", "json", "sys", "time", "tensorflow", "tensorflow_text"},
    }
    for name, modules in allowed.items():
        found = set()
        for node in ast.walk(ast.parse((folder / name).read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.split(".")[0])
        assert found == modules


def test_an_export_replaces_the_older_one(tmp_path):
    from zoo.export.worker import replace

    old, new = tmp_path / "saved_model", tmp_path / ".partial.saved_model"
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / text).write_text(text)
    replace(new, old)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "saved_model",
        "saved_model/new",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_xla(name, tmp_path):
    """The ids core under XLA answers the same; it has one length of texts, where texts are cut."""
    import tensorflow as tf

    from zoo.export.build import Build
    from zoo.export.kinds import KINDS
    from zoo.export.worker import make

    task = make_task(name)
    kind = KINDS[task.recipe.task](task)
    # Texts that are not cut are compiled for each of their lengths: a few are enough.
    texts = texts_of(task) if kind.cuts else TEXTS[::5]
    report = make(task, "saved_model", tmp_path, texts, Build(xla=True))
    assert report["xla"] and "not stock TensorFlow Serving" in report["runs_on"]
    loaded = tf.saved_model.load(report["path"])
    inputs = loaded.signatures["ids"].structured_input_signature[1]
    width = 32 if kind.cuts else None
    assert {name: spec.shape.as_list() for name, spec in inputs.items()} == {
        name: [None, *(axis or width for axis in shape)] for name, (_, shape) in kind.inputs.items()
    }
    functions = loaded.signatures["ids"].graph.as_graph_def().library.function
    assert any(function.attr["_XlaMustCompile"].b for function in functions)


@pytest.mark.slow
def test_a_task_in_memory_is_exported_as_it_is(tmp_path):
    """Weights changed after loading count, and texts may be given; the runner is an example that works."""
    from zoo.export.verify import run_alone

    task = make_task("rnn_seq2seq")
    for variable in task.model.trainable_variables:
        variable.assign(-variable)
    reports = export(task, ["tflite"], tmp_path, texts=TEXTS)
    rows = [{"text": text} for text in TEXTS]
    (given,) = run_alone("tflite", [(Path(reports[0]["path"]), rows)])
    assert [answer["text"] for answer in given["answers"]] == task.translate(TEXTS)
    np.testing.assert_allclose(
        [answer["score"] for answer in given["answers"]],
        [found[0].score for found in task.translate_n_best(TEXTS, 1)],
        rtol=1e-3,
    )


@pytest.mark.slow
def test_a_language_model_of_ones_own_text(tmp_path):
    """The command itself: prompts from the validation text, settings from the command line, `zoo generate`."""
    from click.testing import CliRunner
    from zoo.cli import main

    for split in ("train", "val"):
        (tmp_path / split).write_text(
            "Die Welt ist alles,\nwas der Fall ist. 世界。\n" * 40, encoding="utf-8"
        )
    data = {"name": "text", "max_length": 32, "train": "train", "val": "val", "dir": str(tmp_path)}
    task = make_task("rnn_language_model", data=data)
    save_task(task, tmp_path / "saved")
    command = [
        "export",
        str(tmp_path / "saved"),
        "--out",
        str(tmp_path / "out"),
        "--max-length",
        "7",
        "--json",
    ]
    done = CliRunner().invoke(main, [*command, "--temperature", "0.5"])
    assert done.exit_code == 0, done.output
    for report in json.loads(done.stdout):
        assert (report["max_length"], report["temperature"], report["top_k"]) == (7, 0.5, 40)
        assert report["samples"] == 100 + 5
        assert report["metric"]["name"] == "loss" and abs(report["metric"]["drop"]) < 0.01
    file = str(tmp_path / "out" / "model.tflite")
    done = CliRunner().invoke(main, ["generate", file, "--prompt", "Die", "--seed", "3"])
    (expected,) = task.generate(["Die"], 7, temperature=0.5, seed=3)
    assert done.stdout == f"{expected.text}\n"
    done = CliRunner().invoke(main, ["generate", file, "--prompt", "Die", "--max-length", "8"])
    assert done.exit_code == 2 and "at most 7 new tokens" in done.output
