"""An exported file must answer as Python does, in a process that knows nothing of the zoo."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.errors import UserError
from zoo.export.kinds import Kind
from zoo.export.kinds.base import distance, same
from zoo.export.metric import measure
from zoo.export.process import exit_reason, tail

SHOWN = 3
MINUTES = 15
RUNNERS = {"saved_model": "run_saved_model.py", "tflite": "run_tflite.py", "onnx": "run_onnx.py"}


STEPPED = 16
"""Texts along whose answers a SavedModel's `step` is asked."""


@dataclass(frozen=True)
class Exam:
    """What a file is asked, and what it should answer."""

    kind: Kind
    rows: list[dict]
    expected: list[dict]
    gold: list = field(default_factory=list)
    """The right answers to the first rows."""


def exam(kind: Kind, texts: Sequence[str], validation=None, count: int = 0) -> Exam:
    """Rows whose right answers are known, the texts and some awkward ones, with Python's answers to all of them.

    Args:
        kind: the task, as it is exported.
        texts: what the file must answer as Python does.
        validation: a split, if the file is to be measured on it.
        count: rows of the split.
    """
    rows, gold = kind.graded(validation, count) if validation is not None and kind.figures else ([], [])
    known = {row.get("text") for row in rows}
    texts = [text for text in texts if text not in known] + awkward(kind.task, texts)
    rows = rows + kind.rows(texts)
    expected = kind.expected(rows)
    if kind.form == "saved_model" and kind.steps:
        _step_along(kind, rows, expected)
    if kind.figures:
        more = kind.scored(expected[len(gold) :][:STEPPED])
        rows, expected = rows + more, expected + kind.expected(more)
    return Exam(kind, rows, expected, gold)


def _step_along(kind: Kind, rows: list[dict], expected: list[dict]) -> None:
    """Some texts ask `step` for the probabilities of their answers, which Python finds without any cache."""
    spoken = [number for number, row in enumerate(rows) if "text" in row][:STEPPED]
    for number in spoken:
        given, asked, log_p = kind.forced(rows[number], expected[number])
        rows[number] = {**rows[number], "given": given, "asked": asked}
        expected[number]["steps: log_p"] = log_p


def verify(
    kind: Kind,
    path: Path,
    form: str,
    texts: Sequence[str],
    validation=None,
    count: int = 0,
    exact: bool = True,
) -> dict:
    """Compares a file with Python, and measures it; see `exam` and `compare`."""
    asked = exam(kind, texts, validation, count)
    (given,) = run_alone(form, [(path, asked.rows)])
    figures = compare(asked, given, form, exact)
    number = len(asked.gold)
    metric = measure(kind, asked.expected[:number], given["answers"][:number], asked.gold)
    return {**figures, "metric": metric, "latency_ms": latency(given["latency"])}


def compare(asked: Exam, given: dict, form: str, exact: bool = True) -> dict:
    """Compares what a runner gave with what was expected.

    Args:
        asked, given: questions and answers.
        form: what is compared, for messages.
        exact: a difference is a fault, and a UserError shows the first ones; else they are counted.

    Returns: samples, the rows that were answered in words or ids; differences, those that were answered otherwise;
        ties, those where Python finds the other answer as good; the largest difference of a score in the others.
    """
    rows, answers = asked.rows, given["answers"]
    if len(answers) != len(rows):
        raise UserError(f"the {form} gave {len(answers)} answers to {len(rows)} questions")
    differing, samples, ties, farthest = [], 0, 0, 0.0
    for row, python, exported in zip(rows, asked.expected, answers, strict=True):
        exported = asked.kind.trimmed(exported, row)
        samples += "inputs" in row
        wrong = [key for key in python if not same(python[key], exported.get(key), exact)]
        if not wrong:
            farthest = max([farthest, *(distance(python[key], exported[key]) for key in python)])
        # Of probabilities along a given answer no tie is an excuse.
        elif not any(key.startswith(("score: ", "steps: ")) for key in wrong) and asked.kind.is_tie(
            row, python, exported
        ):
            ties += 1
        else:
            differing.append((row.get("text", "a window of validation"), wrong, python, exported))
    if differing and exact:
        raise UserError(
            f"{form} not kept: it answers {len(differing)} of {len(rows)} questions otherwise than Python",
            *(_shown(*item) for item in differing[:SHOWN]),
            "this is a fault of the export, not of your model: please report it with the recipe",
        )
    return {
        "samples": samples,
        "differences": len(differing),
        "ties": ties,
        "largest_score_difference": farthest,
    }


def latency(given: dict) -> dict:
    """Texts at once -> from text to text and of the ids alone -> median and 95th percentile, in milliseconds."""
    return {
        size: {
            what: {f"p{part}": round(float(np.percentile(times, part)), 3) for part in (50, 95)}
            for what, times in measured.items()
        }
        for size, measured in given.items()
    }


def awkward(task, texts: Sequence[str]) -> list[str]:
    """Nothing, blanks, scripts that the model may never have seen, and a text far too long."""
    long = " ".join(texts[:8]) or "a"
    while len(task.tokenizer.encode(long)) <= task.recipe.data.max_length:
        long += " " + long
    return ["", " ", "你好,世界。", "🙂🇩🇪 naïve ﬁ", long]


def run_alone(form: str, asked: Sequence[tuple[Path, Sequence[dict]]]) -> list[dict]:
    """Answers of files of one form to their rows, in one process for all of them; one file alone is timed too.

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
