"""The recipe's figure, measured again on what an exported file answers, beside Python's own.

A file is measured by the figure that training went by (`train.metric`), where its answers give that; else by the
first of its task that they give: a file of a translator or tagger says nothing of a loss, one of a masked language
model names only the best token, which is its accuracy.

How much was lost is told in points: the difference of figures in per cent (BLEU, accuracy). A loss has no such
scale: there it is by how many per cent the perplexity rises, which is a hundred times the difference of small
losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.config.metrics import HIGHER_IS_BETTER, METRICS
from zoo.export.kinds import Kind
from zoo.metrics import perplexity


def figure_of(kind: Kind) -> str | None:
    """The figure that files of this kind are measured by; None where their answers give none."""
    wanted = kind.recipe.train.metric or METRICS[kind.recipe.task][0]
    return wanted if wanted in kind.figures else next(iter(kind.figures), None)


def measure(kind: Kind, expected: Sequence[dict], given: Sequence[dict], gold: Sequence) -> dict | None:
    """{"name", "samples", "python", "export", "drop"} of answers to `kind.graded`; None where there are none."""
    name = figure_of(kind)
    if not gold or name is None:
        return None
    python, export = (float(kind.measured(answers, gold)[name]) for answers in (expected, given))
    return {
        "name": name,
        "samples": len(gold),
        "python": python,
        "export": export,
        "drop": drop(name, python, export),
    }


def drop(name: str, python: float, export: float) -> float:
    """How much worse the file is, in points; below 0 it is better. What is no number is infinitely worse."""
    if name == "loss":
        name, python, export = "perplexity", perplexity(python), perplexity(export)
    if name == "perplexity":
        found = 100.0 * (export / python - 1.0)
    else:
        found = python - export if HIGHER_IS_BETTER[name] else export - python
    return math.inf if math.isnan(found) else found
