"""Exported files answer as Python does, in processes that never import the zoo; what does not is not kept."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from zoo.config import Recipe
from zoo.errors import UserError
from zoo.export import FILES, _converse, export, save_task

TEXTS = [
    *("3 March 2021", "le 14 juillet 1999", "1. Mai 2004", "2021年3月3日", "二〇二一年三月", "12/31/1999"),
    *("tomorrow", "Der Hund läuft.", "ﬁne", "🙂", "🙂🇩🇪", "a", "1", "the\tcat", "  two  spaces ", "naïve"),
    *("March the third, two thousand and twenty-one", "x" * 200, "年" * 50, "", " "),
]
"""21 texts; two are far too long for `data.max_length`, one is empty."""
MODELS = {
    "rnn_classifier": {"embedding_dim": 12, "units": 8, "num_layers": 2},
    "rnn_seq2seq": {"embedding_dim": 12, "units": 16},
    "transformer": {
        "num_encoder_layers": 1,
        "num_decoder_layers": 2,
        "hidden_dim": 16,
        "intermediate_dim": 32,
        "num_heads": 2,
    },
}
LABELS = ["bad", "good", "中性"]


def make_task(model: str, data: dict | None = None):
    """Untrained, with weights so large that each text has an answer of its own."""
    from zoo.data.tokenizers import train_tokenizer
    from zoo.tasks import build_task

    classifies = model == "rnn_classifier"
    recipe = Recipe.model_validate(
        {
            "name": f"test/{model}",
            "task": "classification" if classifies else "translation",
            "data": data or {"name": "sst2" if classifies else "dates", "max_length": 32},
            "tokenizer": {"name": "sentencepiece", "vocabulary_size": 320},
            "model": {"name": model, **MODELS[model]},
            "train": {"steps": 1, "batch_tokens": 64, "learning_rate": 1e-3},
            "decode": {} if classifies else {"beams": 3, "max_length": 12},
        }
    )
    task = build_task(recipe, train_tokenizer(recipe.tokenizer, TEXTS * 3), LABELS if classifies else None)
    for variable in task.model.trainable_variables:
        variable.assign(variable * 3.0)
    return task


@pytest.fixture(scope="module", params=MODELS)
def task(request):
    return make_task(request.param)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A saved classifier with data of its own, for what goes through other processes: (folder, task)."""
    folder = tmp_path_factory.mktemp("data")
    rows = [f"{LABELS[i % 3]} {text} {i}" for i, text in enumerate(TEXTS[:12] * 3)]
    for split in ("train", "val"):
        (folder / split).write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = {"name": "labeled", "max_length": 32, "train": "train", "val": "val", "dir": str(folder)}
    task = make_task("rnn_classifier", data)
    return save_task(task, folder / "saved"), task


def python_says(task, beams: int) -> list:
    if task.labels:
        return [answer.label for answer in task.classify(TEXTS)]
    return task.translate(TEXTS, beams=beams)


@pytest.mark.parametrize("form", FILES)
def test_answers_as_python(task, form, tmp_path, monkeypatch):
    """`make` has compared; this looks once more, at what the other process said."""
    from zoo.export import verify, worker

    heard = []
    monkeypatch.setattr(
        verify,
        "run_alone",
        lambda *arguments, run=verify.run_alone: heard.append(run(*arguments)) or heard[0],
    )
    report = worker.make(task, form, tmp_path, TEXTS, beams=3)
    assert (report["differences"], report["ties"]) == (0, 0)
    assert report["samples"] >= len(TEXTS) and report["size"] > 10_000
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"]
    assert [path.name for path in tmp_path.iterdir()] == [FILES[form]]

    answers = heard[0]["answers"][: len(TEXTS)]
    said = [answer["label" if task.labels else "text"] for answer in answers]
    assert said == python_says(task, beams=3 if form == "saved_model" else 1)
    assert len(set(said)) > (1 if task.labels else 10), "the answers are too dull to show a difference"


def test_source_ids_in_the_graph(task):
    """The graph makes the ids that the pipeline makes, empty and over-long texts and no text included."""
    import tensorflow as tf

    from zoo.export.saved_model import Exported
    from zoo.export.verify import encoded

    exported = Exported(task, xla=False)
    ids = exported.source_ids(tf.constant(TEXTS)).numpy()
    wanted = encoded(task, TEXTS)
    assert ids.shape == (len(TEXTS), 32)
    for row, expected in zip(ids.tolist(), wanted, strict=True):
        assert row == expected + [0] * (32 - len(expected))
    assert wanted[TEXTS.index("")] == [1, 3] and wanted[TEXTS.index("x" * 200)][-1] == 3
    assert exported.source_ids(tf.constant([], tf.string)).shape == (0, 1)
    assert Exported(task, xla=True).source_ids(tf.constant(["a"])).shape == (1, 32)


def test_altered_weights_are_noticed(classifier, tmp_path, monkeypatch):
    """One number of one weight is enough; an older file stays as it was, and no other is left."""
    from zoo.export import worker

    _, task = classifier
    write = worker.WRITERS["tflite"]

    def write_altered(task, *arguments):
        weight = next(v for v in task.model.variables if v.path.endswith("head/kernel"))
        before = weight.numpy()
        altered = before.copy()
        altered[0, 0] += 0.5
        weight.assign(altered)
        try:
            return write(task, *arguments)
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

    monkeypatch.setitem(worker.WRITERS, "tflite", lambda task, path, *_: path.write_text("not a model"))
    with pytest.raises(UserError, match="does not run by itself"):
        worker.make(classifier[1], "tflite", tmp_path, TEXTS)
    assert not list(tmp_path.iterdir())


def test_command(classifier, tmp_path, capfd):
    """The whole way: subprocess, validation texts of the recipe's own data, export.json, paths on stdout."""
    from zoo.cli import main

    with pytest.raises(SystemExit) as end:
        main(["export", str(classifier[0]), "--format", "saved_model,tflite", "--out", str(tmp_path / "out")])
    stdout, stderr = capfd.readouterr()
    assert not end.value.code, stderr
    assert stdout.splitlines() == [str(tmp_path / "out" / name) for name in FILES.values()]
    assert "saved_model" in stderr and "zoo predict" in stderr and "cpu" not in stderr.lower()
    reports = json.loads((tmp_path / "out" / "export.json").read_text())
    assert set(reports) == set(FILES)
    for report in reports.values():
        assert report["samples"] == 36 + 5 and report["differences"] == 0 and report["operators"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES.values(), "export.json"}


def test_unknown_format():
    with pytest.raises(UserError, match=r"unknown export format 'onxx'.*saved_model, tflite"):
        export("anything", ["onxx"])


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
        tflite.convert(determinant, [])

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


def test_no_cudnn_kernel_is_traced(task):
    from zoo.export.portable import without_cudnn

    without_cudnn(task.model)
    kinds = [layer.use_cudnn for layer in task.model._flatten_layers() if hasattr(layer, "use_cudnn")]
    expected = {"rnn_classifier": 4, "rnn_seq2seq": 2, "transformer": 0}
    assert kinds == [False] * expected[task.recipe.model.name]


@pytest.mark.parametrize(
    ("python", "exported", "equal"),
    [
        (1.0, 1.0009, True),
        (1.0, 1.002, False),
        (0.0, 0.00009, True),
        (0.5, float("nan"), False),
        (float("nan"), float("nan"), False),
        ([0.25, 0.75], [0.25, 0.75], True),
        ([0.25, 0.75], [0.25], False),
        ([4, 5, 3], [4, 5, 3], True),
        ([4, 5, 3], [4, 6, 3], False),
        ("a", "a ", False),
        ("a", None, False),
        (0.5, None, False),
        ([0.5], None, False),
    ],
)
def test_same(python, exported, equal):
    from zoo.export.verify import same

    assert same(python, exported) is equal


def test_ties_are_what_python_finds_equally_good():
    """Two words with the same vector are equally good; with different ones, the other answer is wrong."""
    from zoo.export.verify import Search, is_tie

    task = make_task("transformer")
    embedding = task.model.embedding
    vectors, bias = embedding.embeddings.numpy(), embedding.bias.numpy()
    vectors[11] = vectors[10]
    bias[:] = 0.0
    embedding.embeddings.assign(vectors)
    embedding.bias.assign(bias)
    row = {"text": "a", "ids": [20, 3]}
    greedy = Search(1, 0.0, 4)
    ours, twin, other = ({"text": str(i), "ids": [7, i, 3, 0]} for i in (10, 11, 12))
    assert is_tie(task, row, ours, twin, greedy)
    assert not is_tie(task, row, ours, other, greedy)
    assert not is_tie(task, row, ours, {**ours, "text": "otherwise decoded"}, greedy)

    beam = Search(3, 0.6, 4)
    best, *others = task.translate_n_best(["a"], 3, 3, 0.6, 4)[0]
    worst = others[-1]
    assert best.score - worst.score > 1e-3
    assert not is_tie(task, {"text": "a"}, {"text": best.text}, {"text": worst.text}, beam)
    assert is_tie(task, {"text": "a"}, {"text": best.text}, {"text": best.text}, beam)


def test_label_ties(classifier):
    from zoo.export.verify import Search, is_tie

    def answer(label, *probabilities):
        return {"label": label, "probability": max(probabilities), "probabilities": list(probabilities)}

    task, search = classifier[1], Search(1, 0.0, 4)
    python = answer("bad", 0.45002, 0.44998, 0.1)
    assert is_tie(task, {}, python, answer("good", 0.45, 0.45, 0.1), search)
    assert not is_tie(task, {}, python, answer("中性", 0.45002, 0.44998, 0.1), search)
    assert not is_tie(task, {}, python, answer("good", 0.3, 0.6, 0.1), search)


def test_runners_stand_alone():
    """What they import is what their users must install."""
    import zoo.export

    folder = Path(zoo.export.__file__).parent
    allowed = {
        "run_tflite.py": {"json", "sys", "time", "zipfile", "numpy", "sentencepiece", "ai_edge_litert"},
        "run_saved_model.py": {"json", "sys", "time", "tensorflow", "tensorflow_text"},
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
def test_xla(task, tmp_path):
    """The ids core under XLA, of one source length, answers the same."""
    import tensorflow as tf

    from zoo.export.worker import make

    report = make(task, "saved_model", tmp_path, TEXTS, beams=2, xla=True)
    assert report["xla"] and "not stock TensorFlow Serving" in report["runs_on"]
    loaded = tf.saved_model.load(report["path"])
    signature = loaded.signatures["ids"].structured_input_signature[1]["ids"]
    assert signature.shape.as_list() == [None, 32]
    functions = loaded.signatures["ids"].graph.as_graph_def().library.function
    assert any(function.attr["_XlaMustCompile"].b for function in functions)


@pytest.mark.slow
def test_a_task_in_memory_is_exported_as_it_is(tmp_path):
    """Weights changed after loading count, and texts may be given."""
    from zoo.export.verify import run_alone

    task = make_task("rnn_seq2seq")
    for variable in task.model.trainable_variables:
        variable.assign(-variable)
    reports = export(task, ["tflite"], tmp_path, texts=TEXTS)
    answers = run_alone("run_tflite.py", Path(reports[0]["path"]), [{"text": text} for text in TEXTS])
    assert [answer["text"] for answer in answers["answers"]] == task.translate(TEXTS, beams=1)
    np.testing.assert_allclose(
        [answer["score"] for answer in answers["answers"]],
        [found[0].score for found in task.translate_n_best(TEXTS, 1, 1)],
        rtol=1e-3,
    )
