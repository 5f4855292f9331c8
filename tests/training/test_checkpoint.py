"""Saved states: whole, checked, two of them; a damaged one is named and the one before it used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

from zoo import files
from zoo.errors import UserError
from zoo.training.checkpoint import States


class Variable:
    def __init__(self, value):
        self.value, self.shape = np.asarray(value), np.shape(value)

    def assign(self, value):
        self.value = value


def variables(number: float = 0.0) -> list[Variable]:
    return [
        Variable(np.arange(1000.0) * number),
        Variable(np.int64(number)),
        Variable(np.uint32([number, 1])),
    ]


@pytest.fixture
def states(tmp_path):
    """Those of steps 2, 4 and 6, of which the first is gone."""
    states = States(tmp_path / "state")
    for step in (2, 4, 6):
        states.save(variables(step), {"step": step})
    return states


def names(states: States) -> list[str]:
    return sorted(path.name for path in states.folder.iterdir())


def test_the_two_newest_are_kept(states) -> None:
    assert names(states) == ["step-00000004", "step-00000006"]
    found = variables()
    assert States(states.folder).load(found) == ({"step": 6}, [])
    assert found[0].value[-1] == 999 * 6 and found[1].value == 6 and found[2].value.tolist() == [6, 1]
    assert found[1].value.dtype == np.int64 and found[2].value.dtype == np.uint32


def test_the_checksums_are_those_of_sha256sum(states) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    folder = states.folder / "step-00000006"
    done = subprocess.run(["sha256sum", "-c", "checksums"], cwd=folder, capture_output=True, text=True)
    assert done.stdout == "variables.npz: OK\nprogress.json: OK\n", done.stderr


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "cut": (cut, "variables.npz"),
    "flipped": (flip, "variables.npz"),
    "empty": (lambda path: path.write_bytes(b""), "variables.npz"),
    "gone": (Path.unlink, "variables.npz"),
    "progress flipped": (flip, "progress.json"),
    "progress gone": (Path.unlink, "progress.json"),
    "checksums flipped": (flip, "checksums"),
    "checksums empty": (lambda path: path.write_bytes(b""), "checksums"),
    "checksums binary": (lambda path: path.write_bytes(b"\xff\xfe\0"), "checksums"),
    "checksums gone": (Path.unlink, "checksums"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named_and_the_one_before_is_used(states, damage) -> None:
    hurt, name = DAMAGES[damage]
    hurt(states.folder / "step-00000006" / name)
    again, found = States(states.folder), variables()
    progress, (line,) = again.load(found)
    assert progress == {"step": 4} and found[1].value == 4
    assert (
        line.startswith(f"{states.folder}/step-00000006: damaged: ")
        and name.split(".")[0] in line + "checksums"
    )
    assert line.endswith("; step-00000004 is used instead")
    # Going on, the damaged one goes, not the good one.
    again.save(variables(5), {"step": 5})
    assert names(again) == ["step-00000004", "step-00000005"]


def test_no_good_state_is_one_clear_error(states) -> None:
    for path in states.paths():
        cut(path / "variables.npz")
    found = variables()
    with pytest.raises(UserError) as error:
        States(states.folder).load(found)
    assert [problem.partition(": ")[0] for problem in error.value.problems[:2]] == [
        f"{states.folder}/step-00000006",
        f"{states.folder}/step-00000004",
    ]
    assert "no good state is left; start anew with --fresh" in error.value.problems[2]
    assert found[1].value == 0, "nothing was read"


def test_a_step_can_be_saved_twice(states) -> None:
    """Stopped at a step before its validation, and saved there again after it."""
    states.save(variables(7), {"step": 6, "validated": 6})
    assert names(states) == ["step-00000006", "step-00000006-2"]
    again = States(states.folder)
    assert again.load(variables())[0]["validated"] == 6 and again.step == 6
    again.save(variables(8), {"step": 10})
    assert names(again) == ["step-00000006-2", "step-00000010"]


def test_another_model_is_no_damage(states) -> None:
    for other in (variables()[:2], [*variables()[:2], Variable(3)]):
        with pytest.raises(UserError, match="step-00000006: holds another model than the recipe describes"):
            States(states.folder).load(other)


def test_foreign_files_are_let_alone(states) -> None:
    (states.folder / "step-notes.txt").write_text("mine")
    states.save(variables(8), {"step": 8})
    assert names(states) == ["step-00000006", "step-00000008", "step-notes.txt"]


class Failing:
    """`os`, one of whose functions fails from a certain call on."""

    def __init__(self, name: str, number: int, after: int):
        self.name, self.number, self.after, self.calls = name, number, after, 0

    def __getattr__(self, name):
        if name != self.name:
            return getattr(os, name)

        def call(*arguments, **keywords):
            self.calls += 1
            if self.calls > self.after:
                raise OSError(self.number, os.strerror(self.number))
            return getattr(os, name)(*arguments, **keywords)

        return call


@pytest.mark.parametrize(
    ("name", "number"), [("write", 28), ("fsync", 5), ("replace", 13), ("mkdir", 30), ("open", 30)]
)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_cannot_be_written_leaves_the_old_states(states, monkeypatch, name, number, after) -> None:
    """A full disk, one that is broken, folders that may not be written or are mounted read-only."""
    if after and name in ("mkdir", "replace"):
        pytest.skip("it comes once")
    with monkeypatch.context() as patch:
        patch.setattr(files, "os", Failing(name, number, after))
        with pytest.raises(UserError) as error:
            states.save(variables(8), {"step": 8})
    (line,) = error.value.problems
    assert line.startswith(f"{states.folder}/step-00000008: cannot be written ({os.strerror(number)}); ")
    assert "the same command again" in line
    assert names(states) == ["step-00000004", "step-00000006"]
    states.save(variables(8), {"step": 8})
    assert names(states) == ["step-00000006", "step-00000008"]


FULL = """
import resource, sys
from pathlib import Path
import tiny
from zoo.errors import UserError
from zoo.loading import load
recipe, run = Path(sys.argv[1]), Path(sys.argv[2])
tiny.train(recipe, run, "train.steps=2", "train.validate_every=3")
for limit in (30_000, 44_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        tiny.train(recipe, run, "train.validate_every=3")
    except UserError as error:
        print(error)
    load(run)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
outcome, said = tiny.train(recipe, run, "train.validate_every=3")
print("resumed at step", said.partition("at step ")[2].split()[0], "ended at", outcome.progress.step)
"""


@pytest.mark.slow
def test_a_disk_that_really_takes_no_more(tmp_path) -> None:
    """The system cuts a file at its limit: first the weights of a validation, then, larger, a state."""
    recipe, run = tiny.classifier(tmp_path), tmp_path / "run"
    environment = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(tiny.__file__).parent), *sys.path])
    command = [sys.executable, "-c", FULL, str(recipe), str(run)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    first, second, last = done.stdout.splitlines()
    assert re.match(
        rf"{run}/checkpoints/(best|last).weights.h5: cannot be written \(File too large\); ", first
    ), first
    assert second.startswith(f"{run}/state/step-00000004: cannot be written (File too large); "), second
    assert last == "resumed at step 2 ended at 6"
