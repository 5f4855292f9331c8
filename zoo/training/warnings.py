"""What a training says once on standard error as `warning: ...`, and keeps in env.json.

What can be known before (zoo/config/rules.py, zoo/data/warnings.py), and what shows while a model learns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from zoo.metrics import repeats

REPEATS, LATE = 25.0, 0.75
"""Per cent of the answers that say something three times in a row, and from which share of the steps on it counts:
every translator stutters before it has learnt what it has said already."""
STUTTER = "repetition: "


class Warnings:
    """Each is said once; what shows while a model learns once a run, also over a resume.

    Args:
        say: prints a line.
        said: those of the recipe, which are printed already.
        before: what env.json has, of a run that goes on; what can be known before is found and said again.
    """

    def __init__(self, say: Callable[[str], None], said: Sequence[str] = (), before: Sequence[str] = ()):
        self.say, self.texts = say, [*said, *(text for text in before if text.startswith(STUTTER))]

    def add(self, text: str) -> bool:
        """Says a warning that is new; returns whether it was."""
        if text in self.texts:
            return False
        self.texts.append(text)
        self.say(f"warning: {text}")
        return True

    def of_validation(
        self, figures: Mapping[str, float], targets: Sequence[str], step: int, steps: int
    ) -> bool:
        """Warns once where late in training many answers repeat themselves; returns whether it did."""
        rate = figures.get("repetition_rate", 0.0)
        said = any(text.startswith(STUTTER) for text in self.texts)
        if said or rate <= REPEATS or step < LATE * steps:
            return False
        wanted = 100.0 * sum(map(repeats, targets)) / max(len(targets), 1)
        if rate <= 2 * wanted:
            return False
        return self.add(
            f"{STUTTER}{rate:.0f}% of the validation answers at step {step:,} say something three times in a row "
            f"({wanted:.0f}% of the references): raise train.steps, lower train.learning_rate, or see with `zoo data` "
            "whether sources and targets belong together"
        )
