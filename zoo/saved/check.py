"""Whether a model still scores what its recipe expects, and answers what its card shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo import hub
from zoo.config.metrics import HIGHER_IS_BETTER
from zoo.data.datasets import load_dataset
from zoo.errors import UserError
from zoo.loading import load
from zoo.saved.card import CARD, read_card
from zoo.saved.samples import reproduced


@dataclass(frozen=True)
class Check:
    """What was expected of a model, and what was found."""

    name: str
    metric: str | None = None
    split: str | None = None
    expected: float | None = None
    tolerance: float | None = None
    measured: float | None = None
    samples: str = ""
    """How many of the card's are answered as it says."""
    problem: str = ""
    """Why it does not pass."""

    @property
    def passed(self) -> bool:
        return not self.problem


def check(name: str, progress: Callable[[str], None] = lambda line: None) -> Check:
    """Measures the `expect` of a saved model or run again, and asks what its card shows; nothing is raised."""
    progress(name)
    try:
        return _check(name, hub.find_model(name))
    except UserError as error:
        return Check(name, problem=" ".join(error.problems))


def _check(name: str, folder: Path) -> Check:
    task = load(folder)
    expect = task.recipe.expect
    if expect is None:
        return Check(name, problem="its recipe has no `expect`: there is nothing to check")
    rows = load_dataset(task.recipe).splits().get(expect.split)
    if rows is None:
        return Check(name, problem=f"its data has no split '{expect.split}'")
    figures, _ = task.score(rows)
    if expect.metric not in figures:
        return Check(name, problem=f"expect.metric: `zoo eval` of {task.called} does not say {expect.metric}")
    measured = float(figures[expect.metric])
    worse = expect.value - measured if HIGHER_IS_BETTER[expect.metric] else measured - expect.value
    # Not `worse > tolerance`: what is no number does not pass.
    problem = "" if worse <= expect.tolerance else f"{expect.metric} is worse by {worse:.4g}"
    samples = ""
    if (folder / CARD).is_file():
        card = read_card(folder)
        count = len(card.good) + len(card.bad) + len(card.asked)
        wrong = reproduced(task, card)
        samples = f"{count - len(wrong)} of {count}"
        if wrong:
            problem = "; ".join(filter(None, [problem, f"answers otherwise than its card: {wrong[0]!r}"]))
    return Check(
        name, expect.metric, expect.split, expect.value, expect.tolerance, measured, samples, problem
    )
