"""The figures of a validation: which each task has, and which way each gets better."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

METRICS = {
    "language_modeling": ("loss", "perplexity"),
    "masked_language_modeling": ("loss", "perplexity", "accuracy"),
    "classification": ("accuracy", "macro_f1", "loss"),
    "tagging": ("accuracy", "macro_f1", "exact_match", "loss"),
    "translation": ("bleu", "bleu_lc", "chrf", "chrf_lc", "exact_match", "repetition_rate", "loss"),
}
"""Task -> its figures. The first decides which weights are the best where the recipe does not say."""

HIGHER_IS_BETTER = {
    "loss": False,
    "perplexity": False,
    "accuracy": True,
    "macro_f1": True,
    "exact_match": True,
    "bleu": True,
    "bleu_lc": True,
    "chrf": True,
    "chrf_lc": True,
    "repetition_rate": False,
}

Metric = Annotated[str, Field(json_schema_extra={"enum": list(HIGHER_IS_BETTER)})]
"""A figure's name; whether the task has it is asked by a rule, which can name those that it has."""


def is_better(metric: str, one: float, other: float) -> bool:
    """Whether one value of a figure is better than another; what is no number is the worst."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(other) and not math.isnan(one)
    return one > other if HIGHER_IS_BETTER[metric] else one < other


def beats(metric: str, found: tuple[float, float], best: tuple[float, float] | None) -> bool:
    """Whether a validation, its figure and loss, is the best so far: of equal figures that of lower loss is, and one
    whose figure is no number never."""
    if best is None or not math.isfinite(found[0]):
        return math.isfinite(found[0])
    return found[1] < best[1] if found[0] == best[0] else is_better(metric, found[0], best[0])
