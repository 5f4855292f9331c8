"""A run that begins with the weights and the tokenizer of another one, and then stands alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny
from click.testing import CliRunner
from model_tools import small_model
from zoo.cli import main

import zoo
from zoo import registry
from zoo.data.tokenizers import Tokenizer
from zoo.errors import UserError
from zoo.loading import load
from zoo.training.init_from import describe, weights_by_name

ENCODER = "{name: transformer_classifier, num_layers: 1, hidden_dim: 8, intermediate_dim: 8, num_heads: 2}"


@pytest.fixture(scope="module", autouse=True)
def quickly(tmp_path_factory):
    """Three steps are not worth tracing a graph."""
    tf.config.run_functions_eagerly(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    """A recipe of a Transformer that tells warm from cold colours, with sub-words."""
    path = tiny.classifier(tmp_path_factory.mktemp("colours"))
    text = path.read_text(encoding="utf-8")
    text = text.replace("{name: byte}", "{name: sentencepiece, vocabulary_size: 30, byte_fallback: false}")
    text = re.sub("(?m)^model: .*", f"model: {ENCODER}", text)
    path.write_text(text.replace("steps: 6", "steps: 2"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def source(colours, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("source") / "run"
    tiny.train(colours, run)
    return run


def begun(source: Path, *more: str) -> list[str]:
    return [f"train.init_from={source}", "tokenizer.name=pretrained", f"tokenizer.run={source}", *more]


def weights(run: Path) -> dict[str, np.ndarray]:
    return {path: keras.ops.convert_to_numpy(w) for path, w in weights_by_name(load(run).model).items()}


def other_labels(colours: Path, folder: Path) -> Path:
    """The same texts and three labels, of which one is Chinese."""
    for name in ("train.txt", "val.txt"):
        lines = (colours.parent / name).read_text(encoding="utf-8").splitlines()
        renamed = [line.replace("warm 火", "热 火").replace("cold", "cool") for line in lines]
        (folder / name).write_text("\n".join(renamed) + "\n", encoding="utf-8")
    text = colours.read_text(encoding="utf-8").replace(str(colours.parent), str(folder))
    path = folder / "labels.yaml"
    path.write_text(text, encoding="utf-8")
    return path


STILL = ("train.steps=1", "train.learning_rate=1e-12")
"""One step that moves nothing."""


def test_goes_on_from_the_weights_of_another_run(colours, source, tmp_path):
    _, said = tiny.train(colours, tmp_path / "run", *begun(source, *STILL))
    theirs, ours = weights(source), weights(tmp_path / "run")
    assert f"init_from  {source}: {len(theirs)} weights, nothing is new" in said
    assert list(ours) == list(theirs)
    for path, value in theirs.items():
        np.testing.assert_allclose(ours[path], value, atol=1e-6, err_msg=path)


def test_with_other_labels_the_head_is_new(colours, source, tmp_path):
    recipe = other_labels(colours, tmp_path)
    _, said = tiny.train(recipe, tmp_path / "run", *begun(source, *STILL, "seed=5"))
    theirs, ours = weights(source), weights(tmp_path / "run")
    assert f"{len(theirs) - 2} weights, new: head/kernel, head/bias" in said
    assert ours["head/kernel"].shape == (8, 3) and np.abs(ours["head/bias"]).max() < 1e-9
    for path in theirs:
        assert path.startswith("head/") or np.allclose(ours[path], theirs[path], atol=1e-6), path
    recorded = json.loads((tmp_path / "run" / "env.json").read_text())["init_from"]
    assert recorded["weights"] == len(theirs) - 2 and recorded["run"] == str(source)
    assert recorded["new"] == recorded["unused"] == ["head/kernel", "head/bias"]


def test_labels_of_the_same_number_are_other_labels_too(colours, source, tmp_path):
    recipe = other_labels(colours, tmp_path)
    for name in ("train.txt", "val.txt"):
        text = (tmp_path / name).read_text(encoding="utf-8").replace("热 火", "warm 火")
        (tmp_path / name).write_text(text, encoding="utf-8")
    _, said = tiny.train(recipe, tmp_path / "run", *begun(source, *STILL))
    assert "new: head/kernel, head/bias" in said


def test_the_new_run_stands_alone(colours, source, tmp_path):
    """It resumes, loads and gives its tokenizer on where the first run is gone; the record stays."""
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    run, overrides = tmp_path / "run", begun(moved)
    tiny.train(colours, run, *overrides)
    before = json.loads((run / "env.json").read_text())["init_from"]
    shutil.rmtree(moved)
    _, said = tiny.train(colours, run, *overrides, "train.steps=3")
    assert "resume" in said and "init_from" not in said
    assert json.loads((run / "env.json").read_text())["init_from"] == before
    assert len(load(run).classify(["red 火 🙂", ""])) == 2
    tokenizer = Tokenizer.load(run / "tokenizer")
    assert tokenizer.fingerprint == Tokenizer.load(source / "tokenizer").fingerprint
    assert tokenizer.config["name"] == "sentencepiece"
    third = zoo.from_recipe(colours, "tokenizer.name=pretrained", f"tokenizer.run={run}")
    assert third.tokenizer.fingerprint == tokenizer.fingerprint


def test_what_a_run_began_with_does_not_change(colours, source, tmp_path):
    tiny.train(colours, tmp_path / "run", *begun(source))
    with pytest.raises(UserError, match=r"train.init_from: .* -> null"):
        tiny.train(colours, tmp_path / "run", *begun(source, "train.init_from=null"))


def test_misfits_are_named_all_at_once_with_the_keys_that_make_them(colours, source, tmp_path):
    with pytest.raises(UserError) as caught:
        tiny.train(
            colours, tmp_path / "run", *begun(source, "model.intermediate_dim=12", "model.dropout=0.1")
        )
    first, *shapes, remedy = caught.value.problems
    assert first == f"train.init_from: weights of {source} have other shapes than here"
    names = [line.split(":")[0].strip() for line in shapes]
    assert len(names) == 3 and all(name.startswith("encoder/block_0/") for name in names), names
    assert any("(8, 8) there, (8, 12) here" in line for line in shapes)
    assert remedy == "say as that recipe does: model.intermediate_dim: 8"


def test_nothing_in_common(colours, source, tmp_path):
    model = ["model.name=textcnn", "model.embedding_dim=4", "model.num_filters=2", "model.kernel_sizes=[2]"]
    recipe = other_labels(colours, tmp_path)
    with pytest.raises(UserError, match="a transformer_classifier, has no weight that a textcnn has"):
        tiny.train(recipe, tmp_path / "run", *begun(source, *model))


def test_another_tokenizer_is_refused_with_the_remedy(colours, source, tmp_path):
    with pytest.raises(UserError, match=r"another tokenizer.*tokenizer: \{name: pretrained, run: "):
        tiny.train(colours, tmp_path / "run", f"train.init_from={source}", "tokenizer.vocabulary_size=28")


def test_the_kind_of_a_pretrained_tokenizer_is_looked_at(source, tmp_path):
    """What a recipe alone cannot tell: an RNN tagger, given sub-words."""
    recipe = tiny.tagger(tmp_path)
    with pytest.raises(
        UserError, match=r"tokenizer\.name: rnn_tagger reads one id a word, sentencepiece gives"
    ):
        zoo.from_recipe(recipe, "tokenizer.name=pretrained", f"tokenizer.run={source}")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("runs/nowhere/火", "train.init_from: no run and no saved model is 'runs/nowhere/火'"),
        ("translation/dates-multi-lstm-tiny", "is not trained yet: run `zoo train translation/dates"),
    ],
)
def test_a_missing_run_is_said_before_anything_starts(colours, tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    arguments = [str(colours), f"train.init_from={name}"]
    assert CliRunner().invoke(main, ["validate", *arguments]).exit_code == 0
    result = CliRunner().invoke(main, ["train", *arguments])
    assert result.exit_code == 2 and says in result.stderr, result.output
    assert not (tmp_path / "runs").exists()


def test_neither_itself_nor_a_run_without_weights(colours, source, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(source, run)
    with pytest.raises(UserError, match="is the folder of this run"):
        tiny.train(colours, run, *begun(run), fresh=True)
    assert (run / "checkpoints" / "best.weights.h5").exists(), "--fresh must not empty it before"
    (run / "checkpoints" / "best.weights.h5").unlink()
    with pytest.raises(UserError, match=r"has no best\.weights\.h5 yet"):
        tiny.train(colours, tmp_path / "other", *begun(run))


def test_commands_know_a_pretrained_tokenizer(colours, source, tmp_path):
    pretrained = ["tokenizer.name=pretrained", f"tokenizer.run={source}"]
    result = CliRunner().invoke(main, ["data", str(colours), *pretrained, "--json"])
    assert json.loads(result.stdout)["tokenizer"] == {"name": "pretrained", "vocabulary_size": 30}
    arguments = ["tokenizer", "train", str(colours), *pretrained, "--out", str(tmp_path / "t"), "--json"]
    facts = json.loads(CliRunner().invoke(main, arguments).stdout)
    assert facts["kind"] == "sentencepiece"
    assert facts["sha256"] == Tokenizer.load(source / "tokenizer").fingerprint
    result = CliRunner().invoke(
        main, ["data", str(colours), "tokenizer.name=pretrained", "tokenizer.run=no/run"]
    )
    assert result.exit_code == 2 and "tokenizer.run: no run and no saved model is 'no/run'" in result.stderr


def test_the_line_stays_short():
    found = {"run": "r", "weights": 2, "new": [f"w{i}" for i in range(9)], "unused": []}
    assert describe(found) == "init_from  r: 2 weights, new: w0, w1, w2, w3, w4, w5 and 3 more"


@pytest.mark.parametrize("name", registry.MODELS)
def test_names_of_weights_do_not_hang_on_what_was_built_before(name):
    """Two models of a kind in one process: the names inside are the same, and no two weights share one."""
    first, second = (weights_by_name(small_model(name)) for _ in range(2))
    assert list(first) == list(second)
    assert len(first) == len(small_model(name).weights)


@pytest.mark.parametrize(("source", "positions"), [("bert", "sinusoidal"), ("xlnet", "transformer_xl")])
@pytest.mark.parametrize("name", ["transformer_classifier", "transformer_tagger"])
def test_what_reads_text_finds_its_whole_encoder_in_a_pretrained_model(source, positions, name):
    theirs, ours = (weights_by_name(small_model(kind, positions=positions)) for kind in (source, name))
    shapes = {path: tuple(w.shape) for path, w in theirs.items()}
    assert [path for path, w in ours.items() if shapes.get(path) != tuple(w.shape)] == [
        "head/kernel",
        "head/bias",
    ]


@pytest.mark.jax
def test_on_jax(colours, source, tmp_path):
    """The weights that TensorFlow wrote, read and kept by JAX."""
    program = f"""
import sys; sys.path.insert(0, {str(Path(tiny.__file__).parent)!r})
import tiny
_, said = tiny.train({str(colours)!r}, {str(tmp_path / "run")!r}, *{begun(source, *STILL)!r})
assert "nothing is new" in said, said
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path, value in weights(source).items():
        np.testing.assert_allclose(weights(tmp_path / "run")[path], value, atol=1e-6)
