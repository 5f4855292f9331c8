"""Warnings of a training: on standard error as it begins or learns, and in env.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny

from zoo import tasks
from zoo.training.step_tensorflow import TensorFlowStep
from zoo.training.warnings import Warnings

TARGETS = ["2021-03-04", "2022-05-06"]


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """Steps that do nothing."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(TensorFlowStep, "train", lambda self, batch: 1.0)
    monkeypatch.setattr(TensorFlowStep, "evaluate", lambda self, batch: (1.0, 1.0))


def recorded(run: Path) -> list[str]:
    return json.loads((run / "env.json").read_text(encoding="utf-8"))["warnings"]


def repeating(monkeypatch, rates: dict[int, float]) -> None:
    """Validations of these steps come to these repetition rates."""
    left = iter(rates.values())
    monkeypatch.setattr(
        tasks.Translator, "validate", lambda *_: ({"bleu": 1.0, "repetition_rate": next(left)}, [])
    )


def test_warnings_of_data_and_recipe_are_said_and_recorded(tmp_path) -> None:
    """The validation texts of these colours are a part of the training texts."""
    _, said = tiny.train(
        tiny.classifier(tmp_path), tmp_path / "run", "train.steps=2", "train.learning_rate=0.2"
    )
    (line,) = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert line.startswith(
        "warning: val shares 16 of its 16 texts (100.0%) with train, such as 'red 0' (16 of them"
    )
    recipe, data = recorded(tmp_path / "run")
    assert "train.learning_rate: warning: 0.2 is far above" in recipe
    assert line == f"warning: {data}"
    _, again = tiny.train(
        tiny.classifier(tmp_path), tmp_path / "run", "train.steps=4", "train.learning_rate=0.2"
    )
    assert line in again and recorded(tmp_path / "run") == [recipe, data]


def test_nothing_to_warn_of(tmp_path, monkeypatch) -> None:
    repeating(monkeypatch, {2: 90.0, 4: 20.0})
    every = ("train.steps=4", "train.validate_every=2", "train.save_every=4", "data.max_length=40")
    _, said = tiny.train(tiny.translator(tmp_path), tmp_path / "run", *every)
    assert "warning" not in said and recorded(tmp_path / "run") == []


def test_answers_that_repeat_themselves_late_are_warned_of_once(tmp_path, monkeypatch) -> None:
    repeating(monkeypatch, {2: 90.0, 4: 80.0, 6: 70.0, 8: 60.0})
    run, every = tmp_path / "run", ("train.validate_every=2", "train.save_every=2", "data.max_length=40")
    _, said = tiny.train(tiny.translator(tmp_path), run, "train.steps=8", *every)
    (line,) = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert line.startswith(
        "warning: repetition: 70% of the validation answers at step 6 say something three times"
    )
    assert "(0% of the references): raise train.steps, lower train.learning_rate" in line
    assert recorded(run) == [line.removeprefix("warning: ")]
    repeating(monkeypatch, {10: 60.0})
    _, said = tiny.train(tiny.translator(tmp_path), run, "train.steps=10", *every)
    assert "warning" not in said and len(recorded(run)) == 1


@pytest.mark.parametrize(
    ("rate", "step", "targets", "warned"),
    [
        (26.0, 75, TARGETS, True),
        (25.0, 75, TARGETS, False),
        (99.0, 74, TARGETS, False),
        (99.0, 100, ["ha ha ha", "no"], False),
        (99.0, 100, ["ha ha ha", "no", "no"], True),
    ],
)
def test_when_repetition_is_a_fault(rate, step, targets, warned) -> None:
    said: list[str] = []
    warnings = Warnings(said.append)
    assert warnings.of_validation({"repetition_rate": rate}, targets, step, 100) == warned == bool(said)
    assert not warnings.of_validation({"loss": 3.0}, targets, step, 100)
