"""Exported files run without TensorFlow, answer quickly, and say what is wrong with them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from small_files import MAX_LENGTH, parts

from zoo.config.tokenizer import Byte, Character
from zoo.data.tokenizers import UNK, train_tokenizer
from zoo.errors import UserError
from zoo.runtime.tflite import append, load

TEXTS = ["3 March", "Hündchen", "狗跑", "🎉", "", "a much longer text than the model may read"]


def test_translate_follows_the_text_convention(make, byte):
    model = load(make("echo"))
    assert model.task == "translation" and model.signature["kind"] == "transformer"
    for text, answer in zip(TEXTS, model.translate(TEXTS), strict=True):
        assert answer == byte.decode((byte.encode(text) or [UNK])[: MAX_LENGTH - 1])
        assert model.answer(text).text == str(model.answer(text)) == answer
    assert model.answer("a").record() == {"answer": "a", "score": 0.0}
    assert model.translate([]) == []


def test_classify(make):
    model = load(make("length", "classification"))
    short, long = model.classify(["a", "a long text"])
    assert (short.label, short.probability, short.probabilities) == ("short", 1.0, {"short": 1.0, "长": 0.0})
    assert (long.label, long.probability) == ("长", 0.75)
    assert model.answer("a") == short


def test_tag(make):
    model = load(make("words", "tagging"))
    assert model.tag(["The  Hündchen\tsat 狗"]) == [
        [("The", "short"), ("Hündchen", "长"), ("sat", "short"), ("狗", "short")]
    ]
    assert model.tag(["", " "]) == [[], []]
    assert str(model.answer("a 狗狗 x")) == "a/short 狗狗/长 x/short"
    assert model.answers(["a"])[0].record() == {"answer": "a/short", "words": ["a"], "tags": ["short"]}


def test_generate(make):
    model = load(make("abc", "language_modeling"))
    one, two = model.generate(["3 März ", "3 März "], seed=5)
    assert one.prompt == "3 März " and one.text == one.prompt + one.continuation
    assert len(one.continuation) == 4 and one.continuation.isalpha() and one.continuation != two.continuation
    assert model.generate(["x"], seed=5)[0].continuation == one.continuation
    assert model.generate(["x"], seed=6)[0].continuation != one.continuation
    assert model.generate(["x"], max_length=2, seed=5)[0].continuation == one.continuation[:2]
    assert model.answer("").continuation == model.generate([""])[0].text
    with pytest.raises(UserError, match="at most 4 new tokens, not 5"):
        model.generate(["x"], max_length=5)


def test_learned_positions_end(make, byte):
    """The file always writes 4 tokens: a prompt behind which they would pass the 8 positions is refused."""
    signature = json.loads(parts("language_modeling", byte)["signature.json"]) | {"positions": 8}
    files = {"signature.json": json.dumps(signature).encode()}
    path = make("abc", "language_modeling", files)
    model = load(path)
    assert len(model.generate(["12345"])[0].continuation) == 4
    refused = (("123456", "ask for 3 at most"), ("狗狗狗", "learnt: shorten it; export it again"))
    for prompt, said in refused:
        for ask in (model.generate, lambda prompts: model.generate(prompts, max_length=1), model.answers):
            with pytest.raises(UserError, match=f"{path}: 4 tokens .* 8 positions .*{said}"):
                ask(["1", prompt])


def test_the_verb_must_fit(make):
    model = load(make("echo"))
    for verb, task in (("classify", "classification"), ("tag", "tagging"), ("generate", "language_modeling")):
        with pytest.raises(UserError, match=f"made for translation, not for {task}"):
            getattr(model, verb)(["a"])


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
        ("words", "tagging", {"labels.json": None}, "labels.json is missing"),
        ("echo", "classification", {}, "its signature is"),
        ("echo", "language_modeling", {}, "does not say how many tokens it adds"),
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
    with pytest.raises(UserError, match="id 1, which its labels do not have"):
        load(make("words", "tagging", {"labels.json": b'["a"]'})).tag(["a long word"])


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
        assert str(answer) == "3 March"


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


def test_what_is_longer_than_all_before_gets_a_new_interpreter(flatbuffers, monkeypatch):
    """An old one answers it wrongly now and then: ai-edge-litert 2.3, in beam search, where memory was used."""
    from zoo.runtime import tflite

    started, start = [], tflite.LiteRT._start
    monkeypatch.setattr(tflite.LiteRT, "_start", lambda self: (started.append(1), start(self)))
    engine = tflite.LiteRT(flatbuffers["echo"])
    for length, count in ((3, 1), (2, 1), (3, 1), (5, 2), (4, 2), (6, 3)):
        ids = np.full((1, length), 7, "int32")
        assert engine(ids=ids)["ids"][0].tolist() == [7] * length + [0] * 3
        assert len(started) == count
