"""Exported files run without TensorFlow, answer quickly, and say what is wrong with them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from zoo.config.tokenizer import Byte, Character
from zoo.data.tokenizers import EOS, UNK, Tokenizer, train_tokenizer
from zoo.errors import UserError
from zoo.runtime.tflite import append, load

MAX_LENGTH = 12
TEXTS = ["3 March", "Hündchen", "狗跑", "🎉", "", "a much longer text than the model may read"]
LABELS = ["short", "长"]


def parts(task: str, tokenizer: Tokenizer) -> dict[str, bytes]:
    outputs = {"ids": ["int32", [1, 13]]} if task == "translation" else {"probabilities": ["float32", [1, 2]]}
    signature = {
        "task": task,
        "kind": "transformer",
        "inputs": {"ids": ["int32", [1, None]]},
        "outputs": outputs,
        "max_length": MAX_LENGTH,
    }
    files = {
        "tokenizer.model": tokenizer.model_bytes,
        "signature.json": json.dumps(signature).encode(),
        "recipe.yaml": b"name: test\n",
    }
    if task == "classification":
        files["labels.json"] = json.dumps(LABELS).encode()
    return files


@pytest.fixture(scope="session")
def flatbuffers(tmp_path_factory) -> dict[str, bytes]:
    """A `translator` that gives back its input with some padding, a `classifier` by length, and a liar."""
    import tensorflow as tf

    def echo(ids):
        return {"ids": tf.pad(ids, [[0, 0], [0, 3]]), "score": tf.zeros([1])}

    def length(ids):
        long = tf.cast(tf.shape(ids)[1] > 8, tf.float32)
        return {"probabilities": tf.reshape(tf.stack([1.0 - 0.75 * long, 0.75 * long]), [1, 2])}

    def liar(ids):
        return {"ids": ids + 1000}

    def convert(function) -> bytes:
        spec = tf.TensorSpec([1, None], tf.int32, name="ids")
        traced = tf.function(function, input_signature=[spec], autograph=False)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [traced.get_concrete_function()], tf.Module()
        )
        return converter.convert()

    return {f.__name__: convert(f) for f in (echo, length, liar)}


@pytest.fixture(scope="session")
def byte() -> Tokenizer:
    return train_tokenizer(Byte(name="byte"), [])


@pytest.fixture
def make(tmp_path, flatbuffers, byte):
    def make(name: str, task: str = "translation", files: dict[str, bytes | None] | None = None) -> Path:
        path = tmp_path / "model.tflite"
        path.write_bytes(flatbuffers[name])
        wanted = {**parts(task, byte), **(files or {})}
        append(path, {key: value for key, value in wanted.items() if value is not None})
        return path

    return make


def test_translate_follows_the_text_convention(make, byte):
    model = load(make("echo"))
    assert model.task == "translation" and model.signature["kind"] == "transformer"
    for text, answer in zip(TEXTS, model.translate(TEXTS), strict=True):
        assert answer == byte.decode((byte.encode(text) or [UNK])[: MAX_LENGTH - 1])
        assert model.answer(text) == answer
    assert model._ids("") == [UNK, EOS]
    assert len(model._ids(TEXTS[-1])) == MAX_LENGTH and model._ids(TEXTS[-1])[-1] == EOS
    assert model.translate([]) == []


def test_classify(make):
    model = load(make("length", "classification"))
    short, long = model.classify(["a", "a long text"])
    assert (short.label, short.probability, short.probabilities) == ("short", 1.0, {"short": 1.0, "长": 0.0})
    assert (long.label, long.probability) == ("长", 0.75)
    assert model.answer("a") == short


def test_the_verb_must_fit(make):
    with pytest.raises(UserError, match="made for translation, not for classification"):
        load(make("echo")).classify(["a"])


def test_another_tokenizer_of_the_same_kind_of_file(make):
    character = train_tokenizer(Character(name="character"), ["3 March"])
    model = load(make("echo", files={"tokenizer.model": character.model_bytes}))
    assert model.translate(["March 3", "Mxarch"]) == ["March 3", "M⁇arch"]


@pytest.mark.parametrize(
    ("name", "task", "files", "said"),
    [
        ("echo", "translation", {"tokenizer.model": None}, "tokenizer.model is missing"),
        ("echo", "translation", {"tokenizer.model": b"garbage"}, "tokenizer.model: damaged"),
        ("echo", "translation", {"signature.json": None}, "signature.json is missing"),
        ("echo", "translation", {"signature.json": b"{"}, "signature.json is missing or damaged"),
        ("echo", "translation", {"signature.json": b"[]"}, "signature.json is damaged"),
        ("echo", "translation", {"signature.json": b'{"task": "poetry", "max_length": 9}'}, "names no task"),
        (
            "echo",
            "translation",
            {"signature.json": b'{"task": "translation", "max_length": 1}'},
            "max_length",
        ),
        ("length", "classification", {"labels.json": None}, "labels.json is missing"),
        ("length", "classification", {"labels.json": b'{"a": 1}'}, "labels.json is damaged"),
        ("echo", "classification", {}, "its signature is"),
        ("length", "translation", {}, "its signature is"),
    ],
)
def test_wrong_parts_are_named(make, name, task, files, said):
    path = make(name, task, files)
    with pytest.raises(UserError, match=said) as raised:
        load(path)
    assert str(path) in str(raised.value)


def test_wrong_answers_are_named(make):
    with pytest.raises(UserError, match=r"id 1\d\d\d, which its tokenizer does not have; export it again"):
        load(make("liar")).translate(["a"])
    with pytest.raises(UserError, match="2 probabilities but 3 labels"):
        load(make("length", "classification", {"labels.json": b'["a", "b", "c"]'})).classify(["a"])


def test_damage_anywhere_is_noticed(make, flatbuffers):
    path = make("echo")
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    for cut in (0, 10, len(flatbuffers["echo"]), len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"model\.tflite"):
            load(path)
    for place in random.integers(0, len(flatbuffers["echo"]), 40):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        with pytest.raises(UserError, match="the model in it is damaged"):
            load(path)
    for place in random.integers(len(flatbuffers["echo"]), len(whole), 200):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        try:
            answer = load(path).answer("3 March")  # dates of entries and recipe.yaml are nobody's business
        except UserError:
            continue
        assert answer == "3 March"


def test_files_that_are_none(tmp_path):
    (tmp_path / "text.tflite").write_text("no model", encoding="utf-8")
    with pytest.raises(UserError, match="no tokenizer is appended"):
        load(tmp_path / "text.tflite")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "missing.tflite")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)
    with zipfile.ZipFile(tmp_path / "empty.tflite", "w"):
        pass
    with pytest.raises(UserError, match="no tokenizer is appended"):
        load(tmp_path / "empty.tflite")
    (tmp_path / "other.tflite").write_bytes(b"\0" * 64)
    append(tmp_path / "other.tflite", parts("translation", train_tokenizer(Byte(name="byte"), [])))
    with pytest.raises(UserError, match="the interpreter refuses it"):
        load(tmp_path / "other.tflite")


def test_append_keeps_the_model_and_is_reproducible(make, flatbuffers):
    first = make("echo").read_bytes()
    assert first.startswith(flatbuffers["echo"]) and first == make("echo").read_bytes()
    names = zipfile.ZipFile(io.BytesIO(first)).namelist()
    assert names == ["tokenizer.model", "signature.json", "recipe.yaml", "model.sha256"]


def test_append_twice_is_refused(make):
    path = make("echo")
    with pytest.raises(ValueError, match="archive already"):
        append(path, {"tokenizer.model": b""})


def test_a_fresh_process_answers_in_a_second_and_needs_little(make, tmp_path):
    program = """
import sys, time
start = time.perf_counter()
import zoo.runtime.tflite
imported = time.perf_counter()
model = zoo.runtime.tflite.load(sys.argv[1])
loaded = time.perf_counter()
print(model.answer("狗 3 März"))
print(imported - start, loaded - imported, time.perf_counter() - loaded)
heavy = {"tensorflow", "keras", "pydantic", "yaml", "click", "sacrebleu", "google.protobuf"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    path, files = make("echo"), {*tmp_path.iterdir()}
    command = [sys.executable, "-X", "utf8", "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    answer, seconds = done.stdout.splitlines()
    assert answer == "狗 3 März"[:9]
    assert sum(map(float, seconds.split())) < 1, seconds
    assert {*tmp_path.iterdir()} == files  # nothing was unpacked
