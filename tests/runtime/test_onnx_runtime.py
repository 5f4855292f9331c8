"""ONNX folders run without TensorFlow, many texts at once, and say what is wrong with them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from zoo.cli import main

from zoo import runtime
from zoo.config.tokenizer import Byte
from zoo.data.tokenizers import train_tokenizer
from zoo.errors import UserError
from zoo.runtime.onnx import CHECKSUMS, write

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
MAX_LENGTH = 12
LABELS = ["short", "长"]
BYTE = train_tokenizer(Byte(name="byte"), [])


def model(inputs: dict, outputs: dict, nodes: list, constants: dict | None = None) -> bytes:
    """A graph of (operator, inputs, outputs, attributes); inputs and outputs are name -> (type, shape)."""
    from onnx import TensorProto, helper, numpy_helper

    def values(named):
        return [
            helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)
            for name, (kind, shape) in named.items()
        ]

    graph = helper.make_graph(
        [helper.make_node(op, given, made, **attributes) for op, given, made, attributes in nodes],
        "test",
        values(inputs),
        values(outputs),
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def echo(batch: int | str = "batch", offset: int = 0) -> bytes:
    """Gives back its input; the score is the number of rows in the batch."""
    return model(
        {"token_ids": ("INT32", [batch, "tokens"])},
        {"ids": ("INT32", [batch, "length"]), "score": ("FLOAT", [batch])},
        [
            ("Add", ["token_ids", "offset"], ["ids"], {}),
            ("Shape", ["token_ids"], ["rows"], {"start": 0, "end": 1}),
            ("Cast", ["rows"], ["count"], {"to": onnx.TensorProto.FLOAT}),
            ("Expand", ["count", "rows"], ["score"], {}),
        ],
        {"offset": np.array(offset, "int32")},
    )


def always(probabilities: list[float]) -> bytes:
    """The same probabilities for every text."""
    return model(
        {"token_ids": ("INT32", ["batch", "tokens"])},
        {"probabilities": ("FLOAT", ["batch", len(probabilities)])},
        [
            ("Shape", ["token_ids"], ["rows"], {"start": 0, "end": 1}),
            ("Concat", ["rows", "one"], ["shape"], {"axis": 0}),
            ("Expand", ["row", "shape"], ["probabilities"], {}),
        ],
        {"row": np.array([probabilities], "float32"), "one": np.array([1], "int64")},
    )


def make(folder: Path, content: bytes, task: str = "translation", **files: bytes | None) -> Path:
    parts = {
        "tokenizer.model": BYTE.model_bytes,
        "signature.json": json.dumps({"task": task, "max_length": MAX_LENGTH}).encode(),
        "recipe.yaml": b"name: test\n",
    }
    if task == "classification":
        parts["labels.json"] = json.dumps(LABELS).encode()
    parts |= {name.replace("_", "."): content for name, content in files.items()}
    write(folder, content, {name: content for name, content in parts.items() if content is not None})
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return make(tmp_path / "onnx", echo())


def test_texts_are_computed_together_and_answered_in_order(folder):
    loaded = runtime.load(folder)
    texts = ["x" * (i * 7 % 11) + str(i % 10) for i in range(70)]
    assert loaded.translate(texts) == [text[: MAX_LENGTH - 1] for text in texts]
    assert [answer.score for answer in loaded.answers(texts)].count(32.0) == 64
    assert loaded.answer("狗").record() == {"answer": "狗", "score": 1.0}
    assert loaded.answers([]) == []
    with pytest.raises(TypeError, match="list of texts"):
        loaded.answers("one text")


def test_a_batch_that_is_fixed_is_filled_up(tmp_path):
    loaded = runtime.load(make(tmp_path / "onnx", echo(batch=4)))
    assert loaded.translate(["a", "bcd", "ef", "", "ghi", "j"]) == ["a", "bcd", "ef", "⁇", "ghi", "j"]
    assert {answer.score for answer in loaded.answers(["a"])} == {4.0}


def test_the_model_inside_is_a_name_for_the_folder(folder):
    assert runtime.load(folder / "model.onnx").translate(["a"]) == ["a"]


def test_kinds(folder, tmp_path):
    assert [runtime.kind_of(path) for path in (folder, folder / "model.onnx", "a/b.tflite", "c.keras")] == [
        *("onnx", "onnx", "tflite", "keras")
    ]
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    (tmp_path / "folder.tflite").mkdir()
    assert runtime.kind_of(tmp_path / "saved") == "saved_model"
    for none in (tmp_path, tmp_path / "folder.tflite", folder / "tokenizer.model", "dates-multi-lstm-tiny"):
        assert runtime.kind_of(none) is None
        with pytest.raises(UserError, match="no exported model: it should be"):
            runtime.load(none)
    with pytest.raises(UserError, match=r"network alone, without tokenizer.*load_model"):
        runtime.load("model.keras")


@pytest.mark.parametrize(
    "name", ["model.onnx", "tokenizer.model", "signature.json", "labels.json", CHECKSUMS]
)
def test_what_is_missing_is_named(tmp_path, name):
    folder = make(tmp_path / "onnx", always([0.25, 0.75]), "classification")
    assert str(runtime.load(folder).answer("a")) == "长"
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing.*export it again"):
        runtime.load(folder if name != "model.onnx" else folder / name)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.model", "signature.json", "labels.json"])
def test_damage_anywhere_is_noticed(tmp_path, name):
    """One byte, at the beginning, in the middle, at the end."""
    folder = make(tmp_path / "onnx", always([0.25, 0.75]), "classification")
    whole = (folder / name).read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        (folder / name).write_bytes(broken)
        with pytest.raises(UserError, match=f"{name} is damaged"):
            runtime.load(folder)
    (folder / name).write_bytes(whole[:-1])
    with pytest.raises(UserError, match=f"{name} is damaged"):
        runtime.load(folder)


def test_checksums_are_those_of_sha256sum(folder):
    lines = (folder / CHECKSUMS).read_text().splitlines()
    found = dict(reversed(line.split("  ")) for line in lines)
    assert found == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != CHECKSUMS
    }


def test_parts_of_two_models_do_not_mix(folder, tmp_path):
    other = make(tmp_path / "other", echo(offset=1))
    shutil.copy(other / "model.onnx", folder / "model.onnx")
    with pytest.raises(UserError, match=r"model\.onnx is damaged, or belongs to another model"):
        runtime.load(folder)
    (folder / CHECKSUMS).write_bytes(b"\xff\n\nnonsense")
    with pytest.raises(UserError, match="belongs to another model"):
        runtime.load(folder)


@pytest.mark.parametrize(
    ("content", "task", "files", "said"),
    [
        (b"nonsense", "translation", {}, "onnxruntime refuses it"),
        (b"", "translation", {}, "onnxruntime refuses it|its signature is"),
        (echo(), "classification", {}, "its signature is"),
        (always([1.0]), "translation", {}, "its signature is"),
        (echo(), "poetry", {}, "names no task"),
        (echo(), "translation", {"tokenizer_model": b"nonsense"}, "tokenizer.model: damaged"),
        (echo(), "translation", {"signature_json": b"["}, "signature.json is missing or damaged"),
        (always([0.5, 0.5]), "classification", {"labels_json": b"{}"}, "labels.json is damaged"),
        (always([0.5, 0.5]), "classification", {"labels_json": None}, "labels.json is missing"),
    ],
)
def test_foreign_contents_are_refused(tmp_path, content, task, files, said):
    folder = make(tmp_path / "onnx", content, task, **files)
    with pytest.raises(UserError, match=said) as raised:
        runtime.load(folder)
    assert str(folder) in str(raised.value)


def test_wrong_answers_are_named(tmp_path):
    with pytest.raises(UserError, match=r"id 1\d\d\d, which its tokenizer does not have"):
        runtime.load(make(tmp_path / "liar", echo(offset=1000))).translate(["a"])
    with pytest.raises(UserError, match="3 probabilities but 2 labels"):
        runtime.load(make(tmp_path / "three", always([0.5, 0.2, 0.3]), "classification")).classify(["a"])


def test_weights_outside_the_file_are_not_looked_for(tmp_path, monkeypatch):
    """A model that names another file of the machine gets nothing of it."""
    from onnx import TensorProto

    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(np.array([7], "int32").tobytes())
    made = onnx.load_from_string(echo())
    (offset,) = made.graph.initializer
    offset.CopyFrom(TensorProto(name=offset.name, data_type=TensorProto.INT32, dims=[1]))
    offset.data_location = TensorProto.EXTERNAL
    offset.external_data.add(key="location", value="secret")
    folder = make(tmp_path / "onnx", made.SerializeToString())
    with pytest.raises(UserError, match="onnxruntime refuses it"):
        runtime.load(folder)


def test_without_onnxruntime_the_remedy_is_told(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnxruntime"):
        runtime.load(folder)


def test_a_fresh_process_needs_little(folder):
    program = """
import sys
from zoo import runtime
print(runtime.load(sys.argv[1]).answer("狗 3 März"))
heavy = {"tensorflow", "keras", "pydantic", "yaml", "click", "ai_edge_litert", "onnx"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    there = {*folder.iterdir()}
    command = [sys.executable, "-X", "utf8", "-c", program, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "狗 3 März"[:9] + "\n", "")
    assert {*folder.iterdir()} == there


def zoo(*arguments) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(part) for part in arguments])
    return done.exit_code, done.output


def test_the_command(folder):
    assert zoo("predict", folder, "狗 3", "b") == (0, "狗 3\nb\n")
    assert zoo("predict", folder / "model.onnx", "b", "--json") == (
        0,
        '{"text": "b", "answer": "b", "score": 1.0}\n',
    )
    code, said = zoo("predict", folder, "b", "--n-best", "2")
    assert code == 2 and "settled when it was written, one answer a text" in said
    code, said = zoo("generate", folder, "--prompt", "b")
    assert code == 2 and "no language model: use `zoo predict" in said


def test_what_is_no_run_is_told_what_it_is(folder):
    """A folder of exports holds several; an exported model has no weights to go on with."""
    code, said = zoo("predict", folder.parent, "b")
    assert code == 2 and f"did you mean what was exported into it: {folder}?" in said
    code, said = zoo("export", folder)
    assert code == 2 and "an exported model answers, and no more" in said
    (folder.parent / "model.keras").write_bytes(b"")
    code, said = zoo("predict", folder.parent / "model.keras", "b")
    assert code == 2 and "network alone, without tokenizer and search" in said
