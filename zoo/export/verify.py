"""An exported file must answer as Python does, in a process that knows nothing of the zoo."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.errors import UserError
from zoo.export.kinds import Kind
from zoo.export.kinds.base import distance, same
from zoo.export.process import exit_reason, tail

SHOWN = 3
MINUTES = 15
RUNNERS = {"saved_model": "run_saved_model.py", "tflite": "run_tflite.py", "onnx": "run_onnx.py"}


@dataclass(frozen=True)
class Exam:
    """What a file is asked, and what it should answer."""

    kind: Kind
    rows: list[dict]
    expected: list[dict]


def exam(kind: Kind, texts: Sequence[str]) -> Exam:
    """The texts and some awkward ones, with Python's answers."""
    texts = [*texts, *awkward(kind.task, texts)]
    rows = kind.rows(texts)
    return Exam(kind, rows, kind.expected(rows))


def verify(kind: Kind, path: Path, form: str, texts: Sequence[str]) -> dict:
    """Compares a file with Python; see `compare`."""
    asked = exam(kind, texts)
    (given,) = run_alone(form, [(path, asked.rows)])
    return compare(asked, given, form)


def compare(asked: Exam, given: dict, form: str) -> dict:
    """Compares what a runner gave with what was expected; a UserError shows the first differences.

    Returns: samples, differences (0), ties, largest difference of a score, latency at batch 1.
    """
    rows, answers = asked.rows, given["answers"]
    if len(answers) != len(rows):
        raise UserError(f"the {form} gave {len(answers)} answers to {len(rows)} texts")
    differing, ties, farthest = [], 0, 0.0
    for row, python, exported in zip(rows, asked.expected, answers, strict=True):
        exported = asked.kind.trimmed(exported, row)
        wrong = [key for key in python if not same(python[key], exported.get(key))]
        if not wrong:
            farthest = max([farthest, *(distance(python[key], exported[key]) for key in python)])
        elif asked.kind.is_tie(row, python, exported):
            ties += 1
        else:
            differing.append((row["text"], wrong, python, exported))
    if differing:
        raise UserError(
            f"{form} not kept: it answers {len(differing)} of {len(rows)} texts otherwise than Python",
            *(_shown(*item) for item in differing[:SHOWN]),
            "this is a fault of the export, not of your model: please report it with the recipe",
        )
    p50, p95 = np.percentile(given["milliseconds"], [50, 95])
    return {
        "samples": len(rows),
        "differences": 0,
        "ties": ties,
        "largest_score_difference": farthest,
        "latency_ms": {"p50": round(float(p50), 3), "p95": round(float(p95), 3)},
    }


def awkward(task, texts: Sequence[str]) -> list[str]:
    """Nothing, blanks, scripts that the model may never have seen, and a text far too long."""
    long = " ".join(texts[:8]) or "a"
    while len(task.tokenizer.encode(long)) <= task.recipe.data.max_length:
        long += " " + long
    return ["", " ", "你好,世界。", "🙂🇩🇪 naïve ﬁ", long]


def run_alone(form: str, asked: Sequence[tuple[Path, Sequence[dict]]]) -> list[dict]:
    """Answers of files of one form to their rows, in one process for all of them.

    The runner is a script of this folder, alone: `-I` keeps the working folder and PYTHONPATH out.
    """
    command, count = [sys.executable, "-I", str(Path(__file__).parent / RUNNERS[form])], 0
    with tempfile.TemporaryDirectory(prefix="zoo-rows-") as folder:
        for number, (path, rows) in enumerate(asked):
            file = Path(folder) / f"{number}.jsonl"
            file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
            command += [str(path), str(file)]
            count += len(rows)
        names = ", ".join(Path(path).name for path, _ in asked)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=MINUTES * 60)
        except subprocess.TimeoutExpired:
            raise UserError(f"{names} had not answered {count} texts after {MINUTES} minutes") from None
    if done.returncode:
        raise UserError(f"{names} does not run by itself ({exit_reason(done.returncode)})", tail(done.stderr))
    return [json.loads(line) for line in done.stdout.splitlines()[-len(asked) :]]


def _shown(text: str, wrong: list[str], python: dict, exported: dict) -> str:
    text = text if len(text) <= 100 else text[:100] + "…"
    parts = [f"{key}: Python {_short(python[key])}, export {_short(exported.get(key))}" for key in wrong]
    return f"  {text!r}  " + "; ".join(parts)


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:120] + "…"
