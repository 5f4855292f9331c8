"""A run folder or a shipped model becomes a task, in any process; what is damaged is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

import zoo
from zoo import hub
from zoo.errors import UserError
from zoo.loading import load
from zoo.saved.index import Entry, files_of, write_index

WORDS = ["red 1", "navy 2", "火"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run folder of a classifier."""
    folder = tmp_path_factory.mktemp("loading")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        tiny.train(tiny.classifier(folder), folder / "run", "train.steps=2")
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy to be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_a_fresh_process_answers_the_same(trained) -> None:
    program = """
import json, sys, zoo
assert "tensorflow" not in sys.modules and "keras" not in sys.modules, "import zoo should be light"
assert len(zoo.list_recipes()) > 3 and zoo.__version__
assert "tensorflow" not in sys.modules
model = zoo.load(sys.argv[1])
print(json.dumps([answer.probabilities for answer in model.classify(json.loads(sys.argv[2]))]))
"""
    command = [sys.executable, "-c", program, str(trained), json.dumps(WORDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    here = [answer.probabilities for answer in load(trained).classify(WORDS)]
    for one, two in zip(json.loads(done.stdout), here, strict=True):
        assert one == pytest.approx(two, abs=1e-6)


def test_best_or_last(trained) -> None:
    assert load(str(trained)).labels == ("cold", "warm")
    assert load(trained, "last").recipe.name == "test/colours"


def test_a_run_is_found_by_its_recipe_name_under_runs(trained, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, tmp_path / "runs" / "test" / "colours")
    assert zoo.load("test/colours").labels == ("cold", "warm")


def test_a_shipped_model(trained, tmp_path, monkeypatch) -> None:
    from zoo.export import save_task

    save_task(load(trained), tmp_path / "colours-tiny")
    entry = Entry(summary="Colours.", recipe="x", licence="none", files=files_of(tmp_path / "colours-tiny"))
    write_index(tmp_path, {"colours-tiny": entry})
    monkeypatch.setattr(hub, "saved_dir", lambda: tmp_path)
    assert zoo.load("colours-tiny").classify(WORDS) == load(trained).classify(WORDS)
    with pytest.raises(
        UserError, match="no saved model is called 'colors-tiny', did you mean 'colours-tiny'"
    ):
        zoo.load("colors-tiny")


def test_an_unknown_name_or_folder(tmp_path) -> None:
    with pytest.raises(UserError, match="no saved model is called 'nothing/like-it'"):
        load("nothing/like-it")
    with pytest.raises(UserError, match=r"neither a run folder nor a saved model: it has no recipe\.yaml"):
        load(tmp_path)


def test_no_weights_yet(run) -> None:
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match=r"no best\.weights\.h5 yet; train with `zoo train test/colours`"):
        load(run)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "nodes", "other model"])
def test_damaged_weights(run, damage) -> None:
    path = run / "checkpoints" / "best.weights.h5"
    content = path.read_bytes()
    if damage == "other model":
        resolved = run / "resolved.yaml"
        resolved.write_text(
            resolved.read_text(encoding="utf-8").replace("num_filters: 4", "num_filters: 6"), encoding="utf-8"
        )
    else:
        path.write_bytes(
            {
                "cut": content[: len(content) // 2],
                "empty": b"",
                "text": b"weights",
                "nodes": content.replace(b"SNOD", b"DONS"),  # of which HDF5 says RuntimeError
            }[damage]
        )
    with pytest.raises(UserError, match="damaged, or not of the model in the recipe") as error:
        load(run)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, "", "{", "5", "{}", "[1, 2]", '["warm"]'])
def test_missing_or_damaged_labels(run, content) -> None:
    path = run / "labels.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError) as error:
        load(run)
    assert str(path if content != '["warm"]' else run) in str(error.value)


def test_a_missing_tokenizer(run) -> None:
    (run / "tokenizer" / "tokenizer.model").unlink()
    with pytest.raises(UserError, match=r"tokenizer\.model: cannot be read"):
        load(run)


def test_a_broken_recipe_in_the_run(run) -> None:
    resolved = run / "resolved.yaml"
    text = resolved.read_text(encoding="utf-8")
    resolved.write_text(text.replace("num_filters:", "num_filterz:"), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"resolved\.yaml:\d+:\d+  model\.num_filterz: .*did you mean 'num_filters'"
    ):
        load(run)


def test_a_task_from_a_recipe() -> None:
    names = zoo.list_recipes()
    assert names == sorted(names) and "translation/dates-multi-lstm-tiny" in names
    task = zoo.from_recipe(
        "translation/dates-multi-lstm-tiny", "model.units=16", "data.train=50", "data.val=5"
    )
    assert task.model.units == 16
    assert task.tokenizer.encode("2021-03-04") == task.tokenizer.encode("2021-03-04")
    assert task.tokenizer.decode(task.tokenizer.encode("2021-03-04")) == "2021-03-04"
    assert len(task.translate(["3 March 2021"], beams=1, max_length=4)) == 1
    with pytest.raises(UserError, match="did you mean 'translation/dates-multi-lstm-tiny'"):
        zoo.from_recipe("translation/dates-multi-lstm-tin")


def test_a_tagger_and_a_language_model_from_a_recipe(tmp_path) -> None:
    tagger = zoo.from_recipe(tiny.tagger(tmp_path))
    assert tagger.labels == ("DET", "NOUN", "PUNCT", "VERB")
    assert [word for word, _ in tagger.tag(["my 狗 ."])[0]] == ["my", "狗", "."]
    writer = zoo.from_recipe(tiny.language_model(tmp_path))
    assert writer.labels is None and writer.generate(["Row"])[0].text.startswith("Row")


def test_a_classifier_from_a_recipe(tmp_path) -> None:
    task = zoo.from_recipe(tiny.classifier(tmp_path))
    assert task.labels == ("cold", "warm")
    assert {answer.label for answer in task.classify(WORDS)} <= {"cold", "warm"}
