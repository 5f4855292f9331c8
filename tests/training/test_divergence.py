"""A loss that is no number: the run stops with advice and what was reached, or leaves out the batch and counts it."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import tiny
from quick_steps import Step, scripted

from zoo.errors import UserError
from zoo.training.progress import Diverged, Progress
from zoo.training.run_folder import RunFolder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def colours(tmp_path):
    return tiny.classifier(tmp_path)


def bad_at(monkeypatch, *numbers: int, loss: float = math.nan) -> None:
    """These steps of a process change nothing and give a loss that is no number."""
    train, calls = Step.train, itertools.count(1)
    monkeypatch.setattr(
        Step, "train", lambda step, batch: loss if next(calls) in numbers else train(step, batch)
    )


@pytest.mark.parametrize(("at", "saved", "best"), [(1, None, None), (2, 1, None), (4, 3, 2), (5, 4, 4)])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_it_stops_with_what_was_reached(colours, quick, tmp_path, monkeypatch, at, saved, best, loss) -> None:
    run = tmp_path / "run"
    bad_at(monkeypatch, at, loss=loss)
    with pytest.raises(Diverged) as error:
        tiny.train(colours, run)
    said = error.value.problems
    assert said[0] == f"{run}: loss or gradient became {loss} at step {at}"
    assert said[1] == (f"  the state of step {saved} is saved" if saved else "  nothing was saved before")
    if best:
        assert said[2].startswith("  the best checkpoint has val accuracy ") and f"at step {best}" in said[2]
        assert "--fork" in said[3]
    else:
        assert "no checkpoint yet" in said[2] and "--fork" not in said[3]
    assert "lower train.learning_rate" in said[3] and "train.skip_nonfinite=10" in said[4]
    assert bool(RunFolder(run).states.paths()) == bool(saved)
    if saved:
        assert tiny.state(run)[1]["step"] == saved


def test_the_same_command_goes_on_to_the_same_place(colours, quick, tmp_path, monkeypatch) -> None:
    """As it would without having stopped: with leave to skip, to the bits of a run that had it from the start."""
    run = tmp_path / "run"
    scripted(monkeypatch, itertools.repeat(50.0))
    with monkeypatch.context() as patch:
        bad_at(patch, 4)
        with pytest.raises(Diverged):
            tiny.train(colours, run)
    with monkeypatch.context() as patch:
        bad_at(patch, 1)
        with pytest.raises(Diverged, match="at step 4"):
            tiny.train(colours, run)
    with monkeypatch.context() as patch:
        bad_at(patch, 1)
        tiny.train(colours, run, "train.skip_nonfinite=1")
    with monkeypatch.context() as patch:
        bad_at(patch, 4)
        tiny.train(colours, tmp_path / "whole", "train.skip_nonfinite=1")
    assert tiny.differences(tiny.outcome(run), tiny.outcome(tmp_path / "whole")) == []


def test_batches_are_left_out_and_counted(colours, quick, tmp_path, monkeypatch) -> None:
    run = tmp_path / "run"
    bad_at(monkeypatch, 2, 4)
    outcome, said = tiny.train(colours, run, "train.skip_nonfinite=2")
    assert (outcome.progress.step, outcome.progress.skipped) == (6, 2)
    assert "step 2  loss or gradient is nan: batch left out (1 of at most 2)" in said
    assert "step 4  loss or gradient is nan: batch left out (2 of at most 2)" in said
    lines = tiny.metrics(run)
    assert [(line["step"], line["skipped"]) for line in lines if "skipped" in line] == [(2, 1), (4, 2)]
    assert [line["step"] for line in lines if "train_loss" in line] == [1, 3, 5, 6], "no loss, no line"
    assert json.loads((run / "outcome.json").read_text())["skipped"] == 2
    assert tiny.state(run)[1]["skipped"] == 2


def test_one_more_than_allowed_stops(colours, quick, tmp_path, monkeypatch) -> None:
    """In a run, not in a process: those before the last start count."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        bad_at(patch, 2, 3)
        tiny.train(colours, run, "train.steps=4", "train.skip_nonfinite=2")
    bad_at(monkeypatch, 1)
    with pytest.raises(
        Diverged, match=r"at step 5, after the 2 that train.skip_nonfinite allows to leave out"
    ):
        tiny.train(colours, run, "train.skip_nonfinite=2")


def test_the_mean_is_that_of_the_batches_that_count(colours, quick, tmp_path, monkeypatch) -> None:
    bad_at(monkeypatch, 2)
    losses = {}
    train = Step.train
    monkeypatch.setattr(Step, "train", lambda step, batch: losses.setdefault(len(losses), train(step, batch)))
    tiny.train(colours, tmp_path / "run", "train.log_every=3", "train.skip_nonfinite=1")
    first = next(line for line in tiny.metrics(tmp_path / "run") if "train_loss" in line)
    assert first["train_loss"] == pytest.approx((losses[0] + losses[2]) / 2)


def test_weights_that_are_spoilt_are_not_saved(colours, quick, tmp_path, monkeypatch) -> None:
    """Whatever a step has done: the state before it stays."""
    train, calls = Step.train, itertools.count(1)

    def spoil(step, batch):
        if next(calls) < 4:
            return train(step, batch)
        step.variables[-1].assign(step.variables[-1] * np.nan)
        return math.nan

    monkeypatch.setattr(Step, "train", spoil)
    with pytest.raises(Diverged, match="the state of step 2 is saved"):
        tiny.train(colours, tmp_path / "run")
    assert all(np.isfinite(value).all() for value in tiny.state(tmp_path / "run")[0])


def test_a_validation_that_gives_no_number_is_never_the_best() -> None:
    progress = Progress(step=5)
    assert not progress.note("loss", math.nan, math.nan) and progress.best is None
    assert progress.note("loss", 2.0, 2.0) and not progress.note("loss", -math.inf, -math.inf)
    assert not progress.note("accuracy", math.inf, 1.0)
    assert (progress.best, progress.worse_in_a_row, progress.validated) == (2.0, 2, 5)


def test_of_validations_that_are_equally_good_that_of_lower_loss_is_the_best() -> None:
    progress = Progress(step=5)
    assert progress.note("bleu", 0.0, 5.1)
    progress.step = 6
    assert progress.note("bleu", 0.0, 4.8) and not progress.note("bleu", 0.0, 4.9)
    assert (progress.best_step, progress.best_loss) == (6, 4.8)
    assert progress.note("bleu", 0.1, 6.0), "the figure comes first"


def test_what_is_no_number_is_null_in_metrics(colours, quick, tmp_path) -> None:
    quick.losses = itertools.repeat((math.inf, 1.0))
    tiny.train(colours, tmp_path / "run", "train.steps=2")
    assert "Infinity" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert tiny.metrics(tmp_path / "run")[-1]["val_loss"] is None


def test_a_learning_rate_far_too_high_ends_in_words(colours, tmp_path) -> None:
    """A real one."""
    huge = ("train.learning_rate=1e38", "train.clip_norm=null", "train.validate_every=50")
    with pytest.raises(UserError, match=r"loss or gradient became (nan|inf) at step"):
        tiny.train(colours, tmp_path / "run", *huge)
    for path in RunFolder(tmp_path / "run").states.paths():
        with np.load(path / "variables.npz") as arrays:
            assert all(np.isfinite(arrays[name]).all() for name in arrays.files)
