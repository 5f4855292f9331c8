"""Run folders at a glance, for `zoo ls runs`: how far each is, how good, and whether it is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zoo.curves import Curves, best_of, deciding_metric, read_metrics
from zoo.errors import UserError
from zoo.yaml_strict import parse_yaml

COLUMNS = ("name", "step", "steps", "metric", "best", "minutes", "state")


def runs_in(root: Path) -> list[dict[str, Any]]:
    """A row for each run folder below `root`, the newest first; what is not known is None."""
    found = [path.parent for path in root.rglob("resolved.yaml")]
    newest = sorted(found, key=lambda folder: (-_changed(folder), str(folder)))
    return [_row(folder, folder.relative_to(root).as_posix()) for folder in newest]


def _row(folder: Path, name: str) -> dict[str, Any]:
    """`best` is that of the metric which the recipe chooses by; a damaged file leaves its figures out."""
    outcome = _read_json(folder / "outcome.json")
    try:
        lines = read_metrics(folder / "metrics.jsonl")
    except UserError:
        lines = []
    run, metric = Curves(name, lines, folder / "metrics.jsonl"), deciding_metric(folder)
    best, steps = best_of(run, metric) if metric else None, _steps(folder)
    step = lines[-1]["step"] if lines else 0
    seconds = next((line["seconds"] for line in reversed(lines) if "seconds" in line), outcome.get("seconds"))
    early = outcome.get("stopped_early") and outcome.get("steps") == step
    done = step and steps and step >= steps
    return {
        "name": name,
        "step": step,
        "steps": steps,
        "metric": metric,
        "best": best[1] if best else None,
        "minutes": round(seconds / 60, 1) if seconds is not None else None,
        "state": "stopped early" if early else "done" if done else "unfinished",
    }


def _changed(folder: Path) -> float:
    """When something was last logged, or the folder was made."""
    path = folder / "metrics.jsonl"
    return (path if path.exists() else folder / "resolved.yaml").stat().st_mtime


def _steps(folder: Path) -> int | None:
    try:
        return parse_yaml((folder / "resolved.yaml").read_text(encoding="utf-8"), "resolved.yaml")["train"][
            "steps"
        ]
    except (OSError, UserError, KeyError, TypeError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
