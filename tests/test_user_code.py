"""Layers and models of the user's own: the documented page works as it stands, and code runs only when allowed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner
from zoo.cli import main

import zoo
from zoo import registry, user_code
from zoo.errors import UserError
from zoo.recipe import load_recipe

PAGE = (Path(__file__).parents[1] / "docs" / "your-own-layers.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The page's files in a folder, with data of two kinds of colours; what is registered is forgotten after."""
    tiny.classifier(tmp_path)
    (tmp_path / "my_layers.py").write_text(block("python"), encoding="utf-8")
    recipe = block("yaml").replace("classification/sst2-en-lstm-tiny", "colours.yaml")
    (tmp_path / "mine.yaml").write_text(recipe, encoding="utf-8")
    monkeypatch.setattr(registry, "REGISTERED", {"model": {}, "layer": {}})
    monkeypatch.setattr(user_code, "_loaded", {})
    monkeypatch.setattr(user_code, "_allowed", False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(main, arguments)


def test_code_is_refused_unless_allowed(own):
    (own / "my_layers.py").write_text("open('ran', 'w').close()\n", encoding="utf-8")
    result = run("validate", "mine.yaml")
    assert result.exit_code == 2
    assert result.output == (
        "mine.yaml:3:11  imports.0: would run the code of my_layers.py: read it, and if you trust it "
        "add --allow-code\n"
    )
    assert not (own / "ran").exists()


def test_the_page_from_test_to_answer(own):
    result = run("test", "my_layers.py", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["broken"] == 0
    assert {row["of"] for row in report["checks"]} == {"Highway", "highway_classifier"}
    registry.REGISTERED.update(model={}, layer={})
    user_code._loaded.clear()

    result = run("train", "mine.yaml", "--allow-code", "train.steps=3", "train.xla=false")
    assert result.exit_code == 0, result.output
    folder = own / "runs" / "mine" / "sst2-highway"
    assert (folder / "code" / "my_layers.py").read_text(encoding="utf-8") == block("python")
    (own / "my_layers.py").unlink()  # the run has its own copy
    registry.REGISTERED.update(model={}, layer={})
    user_code._loaded.clear()
    user_code._allowed = False
    with pytest.raises(UserError, match="--allow-code"):
        zoo.load(folder)
    answers = zoo.load(folder, allow_code=True).classify(["red", "blue"])
    assert {answer.label for answer in answers} <= {"warm", "cold"}


def test_keys_of_an_own_model_are_checked_like_all_others(own):
    with pytest.raises(UserError) as caught:
        load_recipe("mine.yaml", ["model.hidden_dims=3", "model.num_layers=two"], allow_code=True)
    assert [line.split("  ", 1)[1] for line in caught.value.problems] == [
        "model.hidden_dims: unknown key, did you mean 'hidden_dim'?",
        "model.num_layers: expected a whole number, got the text 'two'",
    ]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = (", "my_layers.py:1  SyntaxError"),
        ("\n\n1 / 0\n", "my_layers.py:3  ZeroDivisionError: division by zero"),
        ("import zoo\nzoo.register('modle', 'x')", "cannot register a modle: model or layer"),
        ("import zoo\nzoo.register('model', 'transformer')", "comes with the zoo: choose another name"),
        ("import zoo\n@zoo.register('model', 'x')\nclass X: pass", "derive it from a kind of model"),
        (
            "import zoo\nfrom zoo.models.base import Classifier\n@zoo.register('model', 'x')\n"
            "class X(Classifier):\n    def __init__(self, *, width, **kwargs): pass",
            "X.__init__: 'width' has no type",
        ),
    ],
)
def test_mistakes_in_own_code(own, code, told):
    (own / "my_layers.py").write_text(code, encoding="utf-8")
    result = run("validate", "mine.yaml", "--allow-code", "model.name=x")
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output


def test_a_missing_file(own):
    (own / "my_layers.py").unlink()
    result = run("validate", "mine.yaml", "--allow-code")
    assert (result.exit_code, "my_layers.py: cannot be read" in result.output) == (2, True)


BROKEN = '''
import keras
import zoo
from keras import ops
from zoo.models.base import Classifier

@zoo.register("model", "leaky")
@keras.saving.register_keras_serializable("test")
class Leaky(Classifier):
    """Averages over padding too."""
    def __init__(self, *, vocabulary_size, num_classes, width: int, **kwargs):
        super().__init__(vocabulary_size=vocabulary_size, num_classes=num_classes, width=width, **kwargs)
        self.embedding = keras.layers.Embedding(vocabulary_size, width, name="embedding")
        self.head = keras.layers.Dense(num_classes, name="head", dtype="float32")
        self.unused = keras.layers.Dense(num_classes, name="unused")
        self.width = width
    def build(self, shape):
        self.embedding.build()
        self.head.build((None, self.width))
        self.unused.build((None, self.width))
    def call(self, inputs):
        return self.head(ops.mean(self.embedding(inputs["token_ids"]), axis=1))
'''


def test_broken_promises_are_named(own):
    (own / "my_layers.py").write_text(BROKEN, encoding="utf-8")
    result = run("test", "my_layers.py")
    assert result.exit_code == 2
    for told in (
        "leaky: ignores padding: seven more paddings change the outputs",
        "leaky: sends gradients everywhere: no gradient reaches leaky",
        "/unused/kernel",
    ):
        assert told in result.output
    assert "Traceback" not in result.output


def test_a_file_that_registers_nothing(own):
    (own / "my_layers.py").write_text("x = 1\n", encoding="utf-8")
    result = run("test", "my_layers.py")
    assert (result.exit_code, "registers nothing" in result.output) == (2, True)


def test_a_recipes_model_can_be_tested(own):
    result = run("test", "classification/trec-en-textcnn-tiny", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["broken"] == 0


@pytest.mark.slow
def test_an_own_model_as_a_keras_file(own):
    """The process that opens it knows the package and the user's file, and nothing else."""
    from zoo.export.worker import make

    assert run("train", "mine.yaml", "--allow-code", "train.steps=1", "train.xla=false").exit_code == 0
    task = zoo.load(own / "runs" / "mine" / "sst2-highway", allow_code=True)
    report = make(task, "keras", own / "out", ["red", "blue"])
    assert report["differences"] == 0 and report["operators"]["Highway"] == 2
