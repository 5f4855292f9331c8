"""The saved states of a run, and its weights for others to load: each there whole or not at all.

state/step-00000500/variables.npz   everything that the next step depends on: weights, the optimizer's variables
                                    (its moving average of the weights among them), and the counters of the
                                    dropout generators, which Keras saves nowhere else
                    progress.json   what is counted while training
                    checksums       sha256 of both, as `sha256sum -c` reads it

The two newest are kept: where one is damaged, the one before it is as good a place to go on from.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo import files
from zoo.errors import UserError

VARIABLES, PROGRESS, CHECKSUMS = "variables.npz", "progress.json", "checksums"


class States:
    """The states in a folder, of which one process at a time takes care."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.current: Path | None = None
        """The state that was saved or loaded last: known to be good."""

    @property
    def step(self) -> int | None:
        """The step of the state that was saved or loaded last."""
        return _numbers(self.current)[0] if self.current else None

    def paths(self) -> list[Path]:
        """All states, damaged ones too, from the oldest to the newest."""
        found = self.folder.glob("step-*") if self.folder.is_dir() else ()
        return sorted((path for path in found if _numbers(path)), key=_numbers)

    def save(self, variables: Sequence, progress: dict) -> None:
        """A new state; those before the last good one are removed when it is in place."""
        path = self._new_path(progress["step"])
        arrays = {f"v{i:05d}": np.asarray(v.value) for i, v in enumerate(variables)}
        with files.whole(path, folder=True) as beside:
            sums = []
            for name in (VARIABLES, PROGRESS):
                with files.new_file(beside / name) as file:
                    if name == VARIABLES:
                        np.savez(file, **arrays)
                    else:
                        file.write(json.dumps(progress, indent=2).encode())
                sums.append(f"{file.raw.sha256.hexdigest()}  {name}\n")
            with files.new_file(beside / CHECKSUMS) as file:
                file.write("".join(sums).encode())
        for other in self.paths():
            if other not in (path, self.current):
                files.remove(other)
        self.current = path

    def load(self, variables: Sequence) -> tuple[dict, list[str]]:
        """Reads the newest good state into the variables; returns its progress, and a line for each damaged one."""
        damaged: list[str] = []
        for path in reversed(self.paths()):
            try:
                values, progress = _read(path)
            except (OSError, ValueError) as error:
                said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
                damaged.append(f"{path}: damaged: {said}")
                continue
            if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
                raise UserError(
                    f"{path}: holds another model than the recipe describes; start anew with --fresh"
                )
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            self.current = path
            return progress, [f"{line}; {path.name} is used instead" for line in damaged]
        raise UserError(
            *damaged,
            f"{self.folder}: no good state is left; start anew with --fresh, or with the weights in checkpoints/ "
            "in another folder, with --fork",
        )

    def _new_path(self, step: int) -> Path:
        """A name that is free: a run may be stopped at a step, and save there again when it goes on."""
        taken = [number for found, number in map(_numbers, self.paths()) if found == step]
        return self.folder / (f"step-{step:08d}" + (f"-{max(taken) + 1}" if taken else ""))


def _numbers(path: Path) -> tuple[int, int] | None:
    """(step, how often it was saved there before) of a state's name."""
    found = re.fullmatch(r"step-(\d+)(?:-(\d+))?", path.name)
    return (int(found[1]), int(found[2] or 1)) if found else None


def _read(path: Path) -> tuple[list[np.ndarray], dict]:
    """The variables and the progress of a state; a ValueError or OSError says what is wrong with it."""
    said = (path / CHECKSUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    for name in (VARIABLES, PROGRESS):
        with open(path / name, "rb") as file:
            if f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}" not in said:
                raise ValueError(f"{name} is not what was written: its sha256 is not the one in {CHECKSUMS}")
    with np.load(path / VARIABLES) as arrays:
        values = [arrays[name] for name in sorted(arrays.files)]
    return values, json.loads((path / PROGRESS).read_text(encoding="utf-8"))


def save_weights(path: Path, model) -> None:
    """Weights in Keras's own format, whose names end in .weights.h5."""
    memory = _Memory()
    model.save_weights(memory)
    files.write(path, memory.getbuffer())


class _Memory(io.BytesIO):
    """What Keras writes weights to: a full disk in the hands of HDF5 would end the process with a crash."""

    def __str__(self) -> str:
        return "memory.weights.h5"  # the ending that Keras asks for
