"""metrics.jsonl as curves: what `zoo plot` draws, `zoo curves` prints, `zoo average` chooses by. No Keras, no NumPy."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo import hub
from zoo.config.metrics import METRICS, beats, is_better
from zoo.errors import UserError
from zoo.registry import did_you_mean
from zoo.yaml_strict import parse_yaml

Line = dict[str, Any]

AXES = {"step": ("step", 1.0), "tokens": ("tokens", 1.0), "minutes": ("seconds", 60.0)}
"""What a curve may run along -> its field in metrics.jsonl, and what that is divided by."""

SAME_VALIDATION = {"data.dir", "data.buckets", "data.train", "data.test", "tokenizer.sampling"}
"""Keys that leave a validation what it is, whatever they say."""


def read_metrics(path: Path) -> list[Line]:
    """The lines of metrics.jsonl; a last one that is not finished is still being written."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    lines = []
    for number, raw in enumerate(text.splitlines(keepends=True), 1):
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
        elif raw.endswith("\n") and raw.strip():
            raise UserError(f"{path}:{number}: damaged: remove this line, then the rest can be read")
    return lines


def number(value: Any) -> float:
    """A figure; what is none, such as null, is nan."""
    return float(value) if isinstance(value, int | float) else math.nan


@dataclass(frozen=True)
class Curves:
    """What a run logged."""

    name: str
    lines: list[Line]
    path: Path

    def curve(self, figure: str, axis: str = "step") -> tuple[list[float], list[float]]:
        """Places and values of a figure, such as `train_loss` or `val_bleu`; nothing where it was not logged."""
        known = [line for line in self.lines if figure in line]
        return [self._place(line, axis) for line in known], [number(line[figure]) for line in known]

    def metrics(self) -> list[str]:
        """The figures of its validations, as recipes call them."""
        names = (key for line in self.lines for key in line if key.startswith("val_"))
        return [name.removeprefix("val_") for name in dict.fromkeys(names)]

    def places(self, line: Line) -> Line:
        """Where a line stands on every axis."""
        whole = {axis: round(self._place(line, axis)) for axis in ("step", "tokens")}
        return whole | {"minutes": self._place(line, "minutes")}

    def _place(self, line: Line, axis: str) -> float:
        """Where a line stands; between two lines that say so, if it does not say so itself."""
        field, unit = AXES[axis]
        if field in line:
            return line[field] / unit
        said = [other for other in self.lines if field in other]
        if not said:
            raise UserError(f"{self.path}: has no '{field}', so that {axis} are not known: use --x step")
        steps = [0, *(other["step"] for other in said)]
        values = [0.0, *(other[field] for other in said)]
        right = min(bisect_left(steps, line["step"]), len(steps) - 1)
        left = max(right - 1, 0)
        share = (line["step"] - steps[left]) / max(steps[right] - steps[left], 1)
        return (values[left] + min(share, 1.0) * (values[right] - values[left])) / unit


def best_of(run: Curves, metric: str, axis: str = "step") -> tuple[float, float] | None:
    """Place and value of a run's best validation, of equal ones that of lower loss; None where none is a number."""
    best, place, losses = None, None, dict(zip(*run.curve("val_loss", axis), strict=True))
    for x, y in zip(*run.curve(f"val_{metric}", axis), strict=True):
        found = y, losses.get(x, math.inf)
        if beats(metric, found, best):
            best, place = found, x
    return best and (place, best[0])


def validations(run: Curves, metrics: Sequence[str]) -> list[Line]:
    """A row for each validation: where it stands on every axis, and its figures."""
    metrics = [metric for metric in dict.fromkeys(("loss", *metrics)) if metric in run.metrics()]
    rows: dict[int, Line] = {}
    for line in run.lines:
        found = {metric: number(line[f"val_{metric}"]) for metric in metrics if f"val_{metric}" in line}
        found = {metric: value if math.isfinite(value) else None for metric, value in found.items()}
        if found:
            rows.setdefault(line["step"], {"run": run.name} | run.places(line)).update(found)
    return list(rows.values())


def reached(run: Curves, metric: str, value: float) -> Line:
    """Where a figure was first as good as `value`; a row without a place where it never was."""
    row = {"run": run.name, metric: value}
    for line in run.lines:
        found = number(line.get(f"val_{metric}"))
        if found == value or is_better(metric, found, value):
            return row | run.places(line)
    return row | dict.fromkeys(AXES)


def read_run(folder: Path, name: str | None = None) -> Curves:
    """What a run logged; a UserError where that is nothing."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        raise UserError(f"{folder}: has no metrics.jsonl: give the folder of a run that was trained")
    lines = read_metrics(path)
    if not lines:
        raise UserError(f"{path}: holds nothing yet: a first line comes after train.log_every steps")
    return Curves(name or folder.name, lines, path)


def find_run(name: str) -> Path:
    """A run folder, however it is named; one of an earlier version may have no recipe any more."""
    return Path(name) if (Path(name) / "metrics.jsonl").is_file() else hub.find_model(name)


def read_runs(folders: Sequence[Path]) -> list[Curves]:
    """What several runs logged, each with a name of its own."""
    return [read_run(*one) for one in zip(folders, short_names(folders), strict=True)]


def choose_metrics(runs: Sequence[Curves], asked: Sequence[str]) -> list[str]:
    """The figures that were asked for, which a run must have; else those that decide which weights are the best."""
    known = list(dict.fromkeys(metric for run in runs for metric in run.metrics()))
    for metric in asked:
        if metric not in known:
            has = f"these runs have {', '.join(known)}" if known else "nothing was validated yet"
            raise UserError(f"--metric {metric}: {has}{did_you_mean(metric, known)}")
    decide = (deciding_metric(run.path.parent) for run in runs)
    return list(dict.fromkeys(asked or (metric for metric in decide if metric in known)))


def short_names(folders: Sequence[Path]) -> list[str]:
    """The last parts of each path, as few as tell it from all others."""
    whole = [folder.resolve().parts for folder in folders]
    names = []
    for parts in whole:
        count = next(
            (n for n in range(1, len(parts)) if sum(other[-n:] == parts[-n:] for other in whole) == 1),
            len(parts),
        )
        names.append("/".join(parts[-count:]))
    return names


def deciding_metric(folder: Path) -> str | None:
    """The figure that decides which of a run's weights are the best; None where its recipe cannot be read."""
    recipe = recipe_of(folder)
    try:
        return recipe["train"].get("metric") or METRICS[recipe["task"]][0]
    except (KeyError, TypeError, AttributeError):
        return None


def recipe_of(folder: Path) -> Line:
    """The recipe of a run or of a saved model with all its keys, as plain data; empty where it cannot be read."""
    path = next(
        (folder / name for name in ("resolved.yaml", "recipe.yaml") if (folder / name).is_file()), folder
    )
    try:
        found = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError, UserError):
        return {}
    return found if isinstance(found, dict) else {}


def differing(folders: Sequence[Path], sections: Sequence[str] = ("data", "tokenizer")) -> list[str]:
    """Keys of their recipes in which runs differ so that their losses cannot be compared, each with its values: the
    task, else names, else what else these sections say."""
    told = []
    for recipe in filter(None, map(recipe_of, folders)):
        said = {name: recipe[name] for name in sections if isinstance(recipe.get(name), dict)}
        keys = {f"{name}.{key}": value for name, section in said.items() for key, value in section.items()}
        if "language_modeling" not in str(recipe.get("task")):
            keys.pop("data.max_length", None)  # of others it leaves out a text or two
        told.append({"task": recipe.get("task"), **keys})
    values = {  # a key that an earlier version did not have says nothing
        key: list(dict.fromkeys(str(one[key]) for one in told))
        for key in (told[0] if told else ())
        if key not in SAME_VALIDATION and all(key in one for one in told)
    }
    differ = [key for key, said in values.items() if len(said) > 1]
    first = (
        [key for key in differ if key == "task"] or [key for key in differ if key.endswith(".name")] or differ
    )
    return [f"{key} ({', '.join(values[key])})" for key in first]
