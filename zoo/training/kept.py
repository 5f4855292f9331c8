"""Which of a run's kept weights are averaged, and where to; asked before TensorFlow starts."""

from __future__ import annotations

import json
from functools import cmp_to_key
from pathlib import Path

from zoo.config.metrics import METRICS, is_better
from zoo.curves import Line, number, read_metrics
from zoo.errors import UserError
from zoo.recipe import load_recipe
from zoo.training.run_folder import RunFolder

RECORD = "average.json"
"""Says of which weights a model is the mean; it stands beside them."""


def averaged_run(path: Path) -> RunFolder:
    """The run in a folder that `zoo average` was given; a UserError where nothing is kept."""
    run = RunFolder(path)
    if not run.resolved.exists():
        what = "an average already" if (path / RECORD).exists() else "a saved model"
        raise UserError(f"{path}: is {what}, one set of weights: give a run folder")
    if not run.kept_steps():
        raise UserError(
            f"{path}: keeps only its best and its last weights: set train.keep, such as train.keep=5, and train "
            "it again, or go on with more train.steps"
        )
    return run


def choose(run: RunFolder, last: int | None, best: int | None) -> list[int]:
    """The steps whose weights are averaged, oldest first: all, the newest, or the best by the run's metric."""
    steps = run.kept_steps()
    wanted = last or best or len(steps)
    if wanted > len(steps):
        option = "--last" if last else "--best"
        raise UserError(
            f"{run.path}: keeps the weights of {len(steps)} validations, not of {wanted} (steps "
            f"{', '.join(map(str, steps))}): give {option} {len(steps)}, or train with train.keep={wanted}"
        )
    if not best:
        return steps[-wanted:]
    metric, figures = metric_of(run), validations(run)
    value = {step: number(figures[step].get(f"val_{metric}")) for step in steps}
    # Of equal ones the newer: sorting is stable.
    order = cmp_to_key(
        lambda a, b: is_better(metric, value[b], value[a]) - is_better(metric, value[a], value[b])
    )
    return sorted(sorted(reversed(steps), key=order)[:wanted])


def metric_of(run: RunFolder) -> str:
    """The figure that decides which of the run's weights are the best."""
    recipe = load_recipe(run.resolved).recipe
    return recipe.train.metric or METRICS[recipe.task][0]


def validations(run: RunFolder) -> dict[int, Line]:
    """Step -> the line of metrics.jsonl of its validation."""
    return {line["step"]: line for line in read_metrics(run.metrics) if "val_loss" in line}


def target(run: RunFolder, to: Path | None) -> Path:
    """The folder of the average: beside the run by default; what lies there must be an average, if anything."""
    to = to or run.path.resolve().with_name(f"{run.path.resolve().name}-average")
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return to
    try:
        json.loads((to / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{to}: is there and no average: name another folder with --to") from error
    return to
