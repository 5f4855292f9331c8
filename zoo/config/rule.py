"""One thing that must hold between the keys of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zoo.config.metrics import METRICS
from zoo.config.recipe import Recipe
from zoo.config.tasks import ROLES, models_for
from zoo.registry import did_you_mean


@dataclass(frozen=True)
class Rule:
    """One rule: the key it is shown at, the condition that breaks it, and what is said then."""

    key: str
    broken: Callable[[Recipe], object]
    says: str

    def message(self, recipe: Recipe) -> str:
        task = getattr(recipe, "task", "translation")  # absent only where no rule about tasks can be broken
        return self.says.format(
            r=recipe,
            metrics=", ".join(METRICS[task]),
            meant=did_you_mean(str(_value(recipe, self.key)), METRICS[task]) or ":",
            models=" or ".join(models_for(task)),
            role=ROLES[task],
        )


def _value(recipe: Recipe, key: str) -> object:
    for part in key.split("."):
        recipe = getattr(recipe, part, None)
    return recipe
