"""Ctrl-C and SIGTERM: what was reached is saved, and the run goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import threading

import keras
import numpy as np
import pytest
import tiny

from zoo import tasks
from zoo.training import loop
from zoo.training.run_folder import RunFolder
from zoo.training.signals import Stopped, StopSignals

OVERRIDES = ("train.steps=8", "train.validate_every=4", "train.save_every=8", "train.log_every=3")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def colours(tmp_path):
    return tiny.classifier(tmp_path)


def figures_of_weights(monkeypatch):
    """Validations are functions of the weights; returns the list of the steps that were validated."""

    def validate(task, split, loss, samples):
        value = round(float(np.sum(task.model.trainable_variables[1].numpy())), 5)
        return {"accuracy": value % 1, "macro_f1": 0.0}, [f"  {value}"]

    monkeypatch.setattr(tasks.Classifier, "validate", validate)


def signalling(monkeypatch, owner, name: str, at: int, *signals: int, before: bool = True):
    """The process gets signals before, or after, the call number `at` of a method."""
    real, calls = getattr(owner, name), []

    def call(*arguments, **keywords):
        calls.append(arguments)
        here = len(calls) == at
        for number in signals if here and before else ():
            os.kill(os.getpid(), number)
        result = real(*arguments, **keywords)
        for number in signals if here and not before else ():
            os.kill(os.getpid(), number)
        return result

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [1, 3, 4, 7])
def test_a_signal_in_a_step_saves_after_it(colours, quick, tmp_path, monkeypatch, number, step) -> None:
    """Also at a step that is to be validated: that comes when the run goes on."""
    figures_of_weights(monkeypatch)
    tiny.train(colours, tmp_path / "whole", *OVERRIDES)
    run, handlers = tmp_path / "run", [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        signalling(patch, quick, "train", step, number)
        with pytest.raises(Stopped) as stopped:
            tiny.train(colours, run, *OVERRIDES)
    assert (stopped.value.signal, stopped.value.step) == (number, step)
    assert tiny.state(run)[1]["step"] == step and tiny.state(run)[1]["validated"] == (4 if step > 4 else 0)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    _, said = tiny.train(colours, run, *OVERRIDES)
    assert f"at step {step}" in said
    assert tiny.differences(tiny.outcome(run), tiny.outcome(tmp_path / "whole")) == []


@pytest.mark.parametrize("owner", ["evaluate", "validate"])
def test_a_signal_in_a_validation_does_not_wait_for_its_end(
    colours, quick, tmp_path, monkeypatch, owner
) -> None:
    """And it is done again, with the weights as they were, not with their average."""
    figures_of_weights(monkeypatch)
    overrides = (*OVERRIDES, "train.ema=0.5")
    tiny.train(colours, tmp_path / "whole", *overrides)
    run, late = tmp_path / "run", []
    with monkeypatch.context() as patch:
        holder = quick if owner == "evaluate" else tasks.Classifier
        signalling(patch, holder, owner, 1, signal.SIGTERM)
        patch.setattr(loop, "save_weights", lambda *_: late.append(1))
        with pytest.raises(Stopped) as stopped:
            tiny.train(colours, run, *overrides)
    assert stopped.value.step == 4 and not late
    _, progress = tiny.state(run)
    assert (progress["step"], progress["validated"], progress["best"]) == (4, 0, None)
    assert not RunFolder(run).best.exists()
    _, said = tiny.train(colours, run, *overrides)
    assert "step 4  val" in said
    assert tiny.differences(tiny.outcome(run), tiny.outcome(tmp_path / "whole")) == []


def test_a_signal_that_waits_when_a_validation_begins_ends_it(colours, quick, tmp_path, monkeypatch) -> None:
    """It came after the step was over, while the figures of training were written."""
    figures_of_weights(monkeypatch)
    check, calls = StopSignals.check, []

    def late(signals):
        check(signals)
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StopSignals, "check", late)
    with pytest.raises(Stopped) as stopped:
        tiny.train(colours, tmp_path / "run", *OVERRIDES)
    assert stopped.value.step == 4 and tiny.state(tmp_path / "run")[1]["validated"] == 0


def test_the_second_signal_stops_at_once(colours, quick, tmp_path, monkeypatch) -> None:
    run = tmp_path / "run"
    signalling(monkeypatch, quick, "train", 3, signal.SIGTERM, signal.SIGINT)
    with pytest.raises(Stopped) as stopped:
        tiny.train(colours, run, *OVERRIDES)
    assert stopped.value.step is None and RunFolder(run).states.paths() == []


def test_a_second_signal_while_saving_leaves_no_half_state(colours, quick, tmp_path, monkeypatch) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        signalling(patch, quick, "train", 3, signal.SIGTERM)
        signalling(patch, np, "savez", 1, signal.SIGTERM, before=False)
        with pytest.raises(Stopped):
            tiny.train(colours, run, *OVERRIDES)
    assert RunFolder(run).states.paths() == [] and not list(run.rglob(".tmp.*"))


def test_before_the_first_step_a_signal_stops_at_once(colours, quick, tmp_path, monkeypatch) -> None:
    signalling(monkeypatch, loop, "build_task", 1, signal.SIGTERM)
    with pytest.raises(Stopped) as stopped:
        tiny.train(colours, tmp_path / "run", *OVERRIDES)
    assert stopped.value.step is None


def test_in_a_notebook_it_is_a_keyboard_interrupt() -> None:
    assert issubclass(Stopped, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt), StopSignals():
        os.kill(os.getpid(), signal.SIGINT)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGINT)
            assert signals.received is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_is_installed(colours, quick, tmp_path) -> None:
    before, done = signal.getsignal(signal.SIGTERM), []

    def work():
        outcome, _ = tiny.train(colours, tmp_path / "run", "train.steps=2")
        done.append((outcome.progress.step, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert done == [(2, before)]


@pytest.mark.slow
def test_with_ema_the_weights_come_back(colours, tmp_path, monkeypatch) -> None:
    """Real steps: the average is in the model when the signal comes, and not in the state."""
    overrides = ("train.steps=4", "train.validate_every=2", "train.save_every=100", "train.ema=0.9")
    tiny.train(colours, tmp_path / "whole", *overrides)
    with monkeypatch.context() as patch:
        signalling(patch, tasks.Classifier, "validate", 1, signal.SIGTERM)
        with pytest.raises(Stopped):
            tiny.train(colours, tmp_path / "run", *overrides)
    keras.backend.clear_session()
    tiny.train(colours, tmp_path / "run", *overrides)
    assert tiny.differences(tiny.outcome(tmp_path / "run"), tiny.outcome(tmp_path / "whole")) == []
