"""A process that dies, or a disk that fails, at any one operation on a file: the same command mends it all."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tiny
from quick_steps import Step

from zoo import files, tasks
from zoo.errors import UserError
from zoo.training.run_folder import RunFolder

COUNTED = ("open", "write", "fsync", "replace", "mkdir")
OVERRIDES = (
    "train.steps=8",
    "train.validate_every=3",
    "train.save_every=2",
    "train.log_every=3",
)


class Killed(BaseException):
    """What the process is after SIGKILL: nothing of ours runs any more."""


class Disk:
    """`os` as zoo/files.py sees it; one of the operations goes wrong.

    Args:
        at: number of that operation; 0 for none.
        kills: whether the process dies in its middle, else the disk is full from then on.
    """

    def __init__(self, at: int = 0, kills: bool = False):
        self.at, self.kills, self.done, self.names = at, kills, 0, []

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in COUNTED:
            return real

        def call(*arguments, **keywords):
            if self.goes_wrong(name):
                if name == "write" and self.kills:
                    real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                self.fail()
            return real(*arguments, **keywords)

        return call

    def goes_wrong(self, name: str) -> bool:
        self.done += 1
        self.names.append(name)
        return 0 < self.at <= self.done and (self.done == self.at or self.kills or name == "write")

    def fail(self):
        raise Killed if self.kills else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def colours(quick, tmp_path, monkeypatch):
    """The recipe of a classifier whose validation is a function of the weights."""

    def validate(task, split, loss, samples):
        value = round(float(np.sum(task.model.trainable_variables[1].numpy())), 5)
        return {"accuracy": value % 1, "macro_f1": 0.0}, [f"  {value}"]

    monkeypatch.setattr(tasks.Classifier, "validate", validate)
    return tiny.classifier(tmp_path)


def attempt(recipe: Path, run: Path, disk: Disk) -> str | None:
    """Trains on this disk; returns what a user is told, None when it went through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(run.with_name(f"{run.name}-cache")))  # which is written by each run
        patch.setattr(files, "os", disk)
        try:
            tiny.train(recipe, run, *OVERRIDES)
        except Killed:
            return "killed"
        except UserError as error:
            return str(error)
    return None


def check_whole(run: Path, variables: list[np.ndarray]) -> None:
    """What a later command would read in the folder is whole or not there."""
    folder = RunFolder(run)
    for path in (folder.best, folder.last):
        if path.exists():
            with h5py.File(path) as file:
                assert "layers" in file
    for path in (folder.env, folder.labels, folder.outcome):
        assert not path.exists() or path.read_text(encoding="utf-8").endswith(("}\n", "]\n"))
    if folder.states.paths():
        blank = [keras.Variable(np.zeros_like(value)) for value in variables]
        assert folder.states.load(blank)[1] == [], "no state is ever half written"


@pytest.fixture
def whole(colours, tmp_path):
    """(what an undisturbed run comes to, its variables, names of its operations)."""
    disk = Disk()
    assert attempt(colours, tmp_path / "whole", disk) is None
    assert set(disk.names) == {*COUNTED} and len(disk.names) > 150
    return tiny.outcome(tmp_path / "whole"), tiny.state(tmp_path / "whole")[0], disk.names


def places(names: list[str], stride: int) -> list[int]:
    """Numbers of operations, from 1, some of each kind where there is a stride."""
    kinds = {name: [i for i, other in enumerate(names, 1) if other == name] for name in names}
    return sorted(i for found in kinds.values() for i in found[:: min(stride, max(1, len(found) // 2))])


@pytest.mark.parametrize("stride", [40, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kills", [True, False], ids=["killed", "full disk"])
def test_one_operation_goes_wrong(colours, whole, tmp_path, kills, stride) -> None:
    expected, variables, names = whole
    for at in places(names, stride):
        run, where = tmp_path / f"run-{at}", f"operation {at}, {names[at - 1]}"
        disk = Disk(at, kills)
        said = attempt(colours, run, disk)
        assert disk.done >= at, f"{where}: never reached"
        if kills:
            assert said == "killed", where
        else:
            assert said is not None and "No space left on device" in said, where
            assert said.count("\n") == 0, where
        check_whole(run, variables)
        assert attempt(colours, run, Disk()) is None, where
        assert tiny.differences(tiny.outcome(run), expected) == [], where


def test_killed_again_and_again(colours, whole, tmp_path) -> None:
    """Twenty deaths in one run, some of them before anything was reached, then it ends as if there had been none."""
    expected, variables, names = whole
    chance, run = random.Random(1), tmp_path / "run"
    for _ in range(20):
        attempt(colours, run, Disk(chance.randrange(1, len(names) // 2), True))
        check_whole(run, variables)
    assert attempt(colours, run, Disk()) is None
    assert tiny.differences(tiny.outcome(run), expected) == []


def test_a_comparison_would_notice(whole, colours, tmp_path, monkeypatch) -> None:
    """The same with one batch seen twice."""
    expected, *_ = whole
    train, calls = Step.train, []

    def twice(step, batch):
        calls.append(batch)
        if len(calls) == 5:
            train(step, batch)
        return train(step, batch)

    monkeypatch.setattr(Step, "train", twice)
    assert attempt(colours, tmp_path / "run", Disk()) is None
    found = tiny.differences(tiny.outcome(tmp_path / "run"), expected)
    assert {"metrics", "samples/step-000006.txt"} <= set(found)
    assert any(name.startswith("last.weights.h5") for name in found)
