"""The state of a run in one file, written beside and renamed: a killed run finds the old one or the new one.

The state is everything that the next step depends on: weights, the optimizer's variables (its moving
average of the weights among them), and the counters of the dropout generators, which Keras saves nowhere
else. What is counted (step, best figure) rides along as JSON.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.errors import UserError


def save_state(path: Path, variables: Sequence, progress: dict) -> None:
    """Writes all variables and the progress; on an error the old file stays."""
    arrays = {f"v{i:05d}": np.asarray(v.value) for i, v in enumerate(variables)}
    arrays["progress"] = np.frombuffer(json.dumps(progress).encode(), "uint8")
    beside = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); the state before it is kept, "
            "free some space or mend the folder's rights and give the same command again"
        ) from error


def load_state(path: Path, variables: Sequence) -> dict:
    """Reads the variables back; returns the progress."""
    damaged = f"{path}: damaged; start anew with --fresh, or train from the weights in checkpoints/"
    try:
        with np.load(path) as arrays:
            values = [arrays[name] for name in sorted(arrays.files) if name != "progress"]
            progress = json.loads(arrays["progress"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(damaged) from error
    if [v.shape for v in values] != [tuple(v.shape) for v in variables]:
        raise UserError(f"{path}: holds another model than the recipe describes; start anew with --fresh")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return progress


def save_weights(path: Path, model) -> None:
    """Weights in Keras's own format, written beside and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"tmp.{path.name}")  # Keras wants the ending .weights.h5
    model.save_weights(beside)
    os.replace(beside, path)
