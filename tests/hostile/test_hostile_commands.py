"""Hostile texts through the command: an answer a line or one clear message, and no orders to the terminal."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner
from small_tasks import make_task
from strings import BROKEN, CLASSES, strings
from zoo.cli import main

from zoo.text import valid

ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
MODELS = {
    "translator": ("rnn_seq2seq", {"embedding_dim": 8, "units": 8}),
    "classifier": ("textcnn", {"embedding_dim": 8, "num_filters": 4}),
    "tagger": ("rnn_tagger", {"embedding_dim": 8, "units": 8, "character_dim": 4}),
    "writer": ("rnn_language_model", {"embedding_dim": 8, "units": 8}),
    "filler": (
        "bert",
        {"hidden_dim": 8, "intermediate_dim": 8, "num_heads": 2, "num_layers": 1, "positions": "none"},
    ),
}
LINES = [
    hostile.text.replace("\n", "x").rstrip("\r")
    for hostile in strings(300)
    if hostile.name not in ("100 kB", "half surrogate pairs")
]
"""Each is one line of a file that is UTF-8."""


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A folder to work in, with one saved model of each task."""
    from zoo import loading
    from zoo.export import save_task

    folder = tmp_path_factory.mktemp("hostile")
    for name, (model, section) in MODELS.items():
        save_task(make_task(model, section, decode={"max_length": 6}), folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        patch.setenv("ZOO_CHATTER", "1")
        patch.chdir(folder)
        patch.setattr(loading, "load", functools.cache(loading.load))
        yield folder


def zoo(*arguments: str, typed: bytes | None = None, code: int = 0) -> tuple[str, str]:
    """(standard output, standard error), of which neither gives orders."""
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    assert not ORDERS.search(done.output)
    return done.stdout, done.stderr


@pytest.mark.parametrize("model", ["translator", "classifier", "tagger", "filler"])
def test_predict_answers_each_line(model):
    typed = "\n".join(LINES).encode()
    out, _ = zoo("predict", model, typed=typed)
    assert out.endswith("\n") and out.count("\n") == len(LINES)
    exact = zoo("predict", model, "--json", typed=typed)[0].split("\n")
    assert exact.pop() == "" and [json.loads(line)["text"] for line in exact] == LINES
    assert not any("\u2028" in line or "\x85" in line for line in exact)


def test_generate_goes_on_from_each_line(home):
    (home / "prompts").write_bytes("\n".join(LINES).encode())
    out, _ = zoo("generate", "writer", "--file", "prompts", "--json")
    found = [json.loads(line) for line in out.split("\n")[:-1]]
    assert [answer["prompt"] for answer in found] == LINES
    assert all(answer["text"] == answer["prompt"] + answer["continuation"] for answer in found)
    plain, _ = zoo(
        "generate", "writer", "--prompt", "ESC \x1b[2J \r\n two\u2028lines\t", "--temperature", "0"
    )
    assert plain.startswith("ESC \ufffd[2J \n two\u2028lines\t")


@pytest.mark.parametrize(
    "name", [name for name in BROKEN if name not in ("random bytes", "cut UTF-8", "flipped bits")]
)
def test_a_file_that_is_no_utf8_is_one_message(name):
    content = next(
        h.content for h in strings() if h.name == name and h.text != h.bytes.decode("utf-8", "ignore")
    )
    for command in (("predict", "classifier", "--file", "-"), ("generate", "writer", "--file", "-")):
        out, err = zoo(*command, typed=b"fine\n" + content.replace(b"\n", b""), code=2)
        assert out == "" and re.fullmatch(
            r"-:2: not UTF-8; convert it with `iconv -f [\w-]+ -t utf-8`\n", err
        )


@pytest.mark.parametrize("model", ["translator", "classifier", "tagger", "filler"])
def test_half_surrogate_pairs_of_a_command_line(model):
    """As Python hands on arguments that are no UTF-8."""
    out, _ = zoo("predict", model, "a \udcff\udcfe狗 b", "--json")
    assert json.loads(out)["text"] == "a \ufffd\ufffd狗 b"
    assert zoo("predict", model, "a \udcff\udcfe狗 b") == zoo("predict", model, "a \ufffd\ufffd狗 b")


def test_too_long_is_one_message():
    for command in (("predict", "tagger", "狗 " * 3000), ("generate", "writer", "--prompt", "a" * 9000)):
        out, err = zoo(*command, code=2)
        assert out == "" and re.fullmatch(
            r"a (text to tag|prompt) has [\d,]+ tokens, and .* at most: .*\n", err
        )
    for model in ("translator", "classifier", "filler"):
        assert zoo("predict", model, "狗 " * 30_000)[0].count("\n") == 1


def test_data_of_hostile_texts(home):
    """Training, its samples and figures: files of every class but those that are no text."""
    rows = [re.sub(r"[\n\t]", " ", line) for line in LINES if line.strip()]
    for split, part in (("train", rows), ("val", rows[:30])):
        (home / f"{split}.txt").write_text(
            "\n".join(f"{'ab'[i % 2]}\x1b[2J {line}" for i, line in enumerate(part)) + "\n", encoding="utf-8"
        )
        (home / f"{split}.text").write_text("\n".join(part) + "\n", encoding="utf-8")
    recipe = tiny.CLASSIFIER.replace("DIR", str(home)).replace("max_length: 12", "max_length: 64")
    (home / "colours.yaml").write_text(recipe, encoding="utf-8")
    (home / "rhyme.yaml").write_text(tiny.LANGUAGE_MODEL.replace("DIR", str(home)), encoding="utf-8")
    for name in ("colours", "rhyme"):
        out, _ = zoo("data", f"{name}.yaml", "--samples", "300")
        assert out
        json.loads(zoo("data", f"{name}.yaml", "--json")[0])
        run, _ = zoo("train", f"{name}.yaml", "train.steps=2", "train.validate_every=2", "train.samples=30")
        assert zoo("eval", run.strip())[0]
        written = [*Path(run.strip()).glob("samples/*.txt"), *Path(run.strip()).glob("eval/*.txt")]
        assert written and not any(ORDERS.search(path.read_text(encoding="utf-8")) for path in written)


def test_a_real_process(home):
    """Bytes of a command line that are no UTF-8, and a standard output of few letters."""
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    program = [sys.executable, "-c", "from zoo.cli import main; main()"]
    text = b"\xff \xe7\x8b\x97\x1b[2J \xe3\x83"
    done = subprocess.run(
        [*program, "tokenizer", "show", "writer", text, "--json"],
        capture_output=True,
        env=environment,
        cwd=home,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii() and not ORDERS.search(done.stdout.decode())
    assert json.loads(done.stdout)["text"] == "\ufffd 狗\x1b[2J \ufffd\ufffd"


def test_classes_are_met():
    """The lines are of all classes."""
    assert len(LINES) > 250 and {hostile.name for hostile in strings(300)} == {*CLASSES, *BROKEN}
    assert all(valid(line) == line and "\n" not in line for line in LINES)
