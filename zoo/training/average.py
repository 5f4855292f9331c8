"""The mean of several weights of one run, as a model of its own (Vaswani et al. 2017, section 6.1).

Weights late in training lie around a better place than any of them; their mean is nearer to it. Which weights
there are `train.keep` decides; which of them are averaged, `choose`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo import files
from zoo.compile import jit
from zoo.config.metrics import METRICS
from zoo.data.datasets import Split, load_dataset
from zoo.data.encoded import encode_split
from zoo.data.pipeline import make_batches
from zoo.loading import load, load_weights
from zoo.tasks import Task
from zoo.training.checkpoint import save_weights
from zoo.training.kept import RECORD
from zoo.training.run_folder import RunFolder


def average(run: RunFolder, steps: Sequence[int], to: Path, best: bool = False) -> dict[str, Any]:
    """Writes a folder that is taken wherever a saved model is, and in it RECORD; returns what that says.

    Args:
        run: with the weights of these validations.
        steps: which of them, as `choose` gives them.
        to: the folder; an earlier average there is replaced.
        best: whether these were chosen as the best, not as the last.
    """
    paths = [run.kept(step) for step in steps]
    task = load(run.path, checkpoint=paths[0])
    values = mean_of(task, paths)
    for variable, value in zip(task.model.variables, values, strict=True):
        variable.assign(value)
    record = {
        "run": str(run.path.resolve()),
        "recipe": task.recipe.name,
        "steps": list(steps),
        "best": best,
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
        "ema": task.recipe.train.ema,
        "metric": task.recipe.train.metric or METRICS[task.recipe.task][0],
        "val": validation_figures(task, load_dataset(task.recipe).val),
    }
    _write(run, task, to, record)
    return record


def mean_of(task: Task, paths: Sequence[Path]) -> list[np.ndarray]:
    """The mean of each variable over files of weights, in float64; what is no fraction (a counter) is the newest's."""
    variables = task.model.variables
    sums = [0.0] * len(variables)
    for path in paths:
        load_weights(task, path)
        values = [keras.ops.convert_to_numpy(v.value) for v in variables]
        sums = [total + np.asarray(value, "float64") for total, value in zip(sums, values, strict=True)]
    return [
        np.asarray(total / len(paths), value.dtype) if keras.backend.is_float_dtype(v.dtype) else value
        for v, total, value in zip(variables, sums, values, strict=True)
    ]


def validation_figures(task: Task, split: Split) -> dict[str, float]:
    """The figures that training writes down at a validation, of the weights that the task has."""
    encoded = encode_split(split, task.tokenizer, task.recipe.task, task.labels)
    batches = make_batches(task.recipe, encoded, False, task.tokenizer)
    loss, example = task.loss_function(), batches.batch(0)
    kinds = {name: (x.ndim, "int32") for name, x in example.inputs.items()}

    def total(given):
        inputs = {name: given[name] for name in kinds}
        return loss.total(given["labels"], task.model(inputs, training=False), smoothing=False)

    compiled = jit(total, task.model.variables, {**kinds, "labels": (example.labels.ndim, "int32")})
    sums = np.zeros(2)
    for i in range(len(batches)):
        batch = batches.batch(i)
        sums += [float(part) for part in compiled({**batch.inputs, "labels": batch.labels})]
    mean = sums[0] / max(sums[1], 1.0)
    return {"loss": mean, **task.validate(split, mean, 0)[0]}


def _write(run: RunFolder, task: Task, to: Path, record: dict[str, Any]) -> None:
    """All that a saved model has, made beside and renamed."""
    with files.whole(to, folder=True) as beside:
        # The run's own recipe, whose paths of own code start at its folder.
        shutil.copyfile(run.resolved, beside / "recipe.yaml")
        for part in (run.tokenizer, run.code):
            if part.is_dir():
                shutil.copytree(part, beside / part.name)
        if run.labels.exists():
            shutil.copyfile(run.labels, beside / run.labels.name)
        save_weights(beside / "model.weights.h5", task.model)
        files.write_json(beside / RECORD, record)
        if to.exists():
            files.remove(to)
