"""An exported file must answer as Python does, in a process that knows nothing of the zoo."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from zoo.compile import jit
from zoo.data.objectives import BOS_ID, source_ids
from zoo.decoding.search import beam_search, greedy_search
from zoo.errors import UserError
from zoo.export.process import exit_reason, tail

ABSOLUTE, RELATIVE = 1e-4, 1e-3
"""How far a score or a probability may lie from Python's."""
TIE = 1e-4
"""Answers whose scores in Python lie nearer than this are equally good: rounding decides between them."""
SHOWN = 3
MINUTES = 15
RUNNERS = {"saved_model": "run_saved_model.py", "tflite": "run_tflite.py"}


@dataclass(frozen=True)
class Search:
    """How a translator looks for its answer."""

    beams: int
    length_penalty: float
    max_length: int

    def __call__(self, model, ids):
        if self.beams == 1:
            return greedy_search(model, ids, self.max_length)
        answers, scores = beam_search(model, ids, self.max_length, self.beams, self.length_penalty)
        return answers[:, 0], scores[:, 0]


def verify(task, path: Path, form: str, texts: Sequence[str], search: Search) -> dict:
    """Compares on the texts and some awkward ones; raises a UserError that shows the first differences.

    Returns: samples, differences (0), ties, largest difference of a score, latency at batch 1.
    """
    texts = [*texts, *awkward(task, texts)]
    expected = python_answers(task, texts, search, form)
    rows = [{"text": text, "ids": ids} for text, ids in zip(texts, encoded(task, texts), strict=True)]
    out = run_alone(RUNNERS[form], path, rows)
    answers = out["answers"]
    if len(answers) != len(texts):
        raise UserError(f"{path.name} gave {len(answers)} answers to {len(texts)} texts")

    differing, ties, farthest = [], 0, 0.0
    for row, python, exported in zip(rows, expected, answers, strict=True):
        wrong = [key for key in python if not same(python[key], exported.get(key))]
        if not wrong:
            farthest = max([farthest, *(distance(python[key], exported[key]) for key in python)])
        elif is_tie(task, row, python, exported, search):
            ties += 1
        else:
            differing.append((row["text"], wrong, python, exported))
    if differing:
        raise UserError(
            f"{form} not kept: it answers {len(differing)} of {len(texts)} texts otherwise than Python",
            *(_shown(*item) for item in differing[:SHOWN]),
            "this is a fault of the export, not of your model: please report it with the recipe",
        )
    p50, p95 = np.percentile(out["milliseconds"], [50, 95])
    return {
        "samples": len(texts),
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


def encoded(task, texts: Sequence[str]) -> list[list[int]]:
    """Source ids as the pipeline makes them, without padding."""
    longest, tokenizer = task.recipe.data.max_length, task.tokenizer
    rows = [tokenizer.encode(text) or [tokenizer.unk_id] for text in texts]
    return [source_ids([row], 1, min(len(row) + 1, longest))[0].tolist() for row in rows]


def python_answers(task, texts: Sequence[str], search: Search, form: str) -> list[dict]:
    """What the exported file should say, in the words of its runner."""
    if task.recipe.task == "classification":
        answers = []
        for found in task.classify(texts):
            every = [found.probabilities[label] for label in task.labels]
            answer = {"label": found.label, "probability": found.probability, "probabilities": every}
            answers.append({**answer, "ids: probabilities": every} if form == "saved_model" else answer)
        return answers
    found = task.translate_n_best(texts, 1, search.beams, search.length_penalty, search.max_length)
    function = jit(lambda ids: search(task.model, ids), task.model.variables)
    ids = "ids: ids" if form == "saved_model" else "ids"
    return [
        {"text": best[0].text, "score": best[0].score, ids: row.tolist()}
        for best, (row, _) in zip(found, task.map_batches(function, texts), strict=True)
    ]


def run_alone(script: str, path: Path, rows: Sequence[dict]) -> dict:
    """Runs a script of this folder by itself: `-I` keeps the working folder and PYTHONPATH out."""
    command = [sys.executable, "-I", str(Path(__file__).parent / script), str(path)]
    lines = "\n".join(map(json.dumps, rows))
    try:
        done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=MINUTES * 60)
    except subprocess.TimeoutExpired:
        raise UserError(f"{path.name} had not answered {len(rows)} texts after {MINUTES} minutes") from None
    if done.returncode:
        raise UserError(
            f"{path.name} does not run by itself ({exit_reason(done.returncode)})", tail(done.stderr)
        )
    return json.loads(done.stdout.splitlines()[-1])


def same(python, exported) -> bool:
    """Equal; numbers with a fraction within the tolerance. NaN equals nothing."""
    if isinstance(python, float):
        return isinstance(exported, float) and distance(python, exported) <= ABSOLUTE + RELATIVE * abs(python)
    if isinstance(python, list):
        return len(python) == len(exported or []) and all(map(same, python, exported))
    return python == exported


def distance(python, exported) -> float:
    """The largest difference of fractions in two answers."""
    if isinstance(python, list):
        return max(map(distance, python, exported), default=0.0)
    return abs(python - exported) if isinstance(python, float) else 0.0


def is_tie(task, row: dict, python: dict, exported: dict, search: Search) -> bool:
    """Whether Python itself finds the other answer as good as its own."""
    if task.recipe.task == "classification":
        named = dict(zip(task.labels, python["probabilities"], strict=True))
        close = [key for key in python if key != "label" and not same(python[key], exported.get(key))]
        return not close and named.get(exported["label"], 0.0) >= python["probability"] - TIE
    if search.beams > 1:
        others = task.translate_n_best([row["text"]], search.beams, *_arguments(search))[0]
        best = others[0].score
        return any(
            other.text == exported["text"] and best - other.score <= TIE * max(1.0, abs(best))
            for other in others
        )
    # Greedy search is decided where the answers part: by two logits behind the same beginning.
    ours, theirs = ([*answer.get("ids", answer.get("ids: ids"))] for answer in (python, exported))
    parting = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b), None)
    if parting is None:
        return False
    inputs = {
        "encoder_token_ids": np.array([row["ids"]], "int32"),
        "decoder_token_ids": np.array([[BOS_ID, *ours[:parting]]], "int32"),
    }
    logits = keras.ops.convert_to_numpy(task.model(inputs, training=False))[0, parting]
    return bool(abs(logits[ours[parting]] - logits[theirs[parting]]) <= TIE)


def _arguments(search: Search) -> tuple:
    return search.beams, search.length_penalty, search.max_length


def _shown(text: str, wrong: list[str], python: dict, exported: dict) -> str:
    text = text if len(text) <= 100 else text[:100] + "…"
    parts = [f"{key}: Python {_short(python[key])}, export {_short(exported.get(key))}" for key in wrong]
    return f"  {text!r}  " + "; ".join(parts)


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:120] + "…"
