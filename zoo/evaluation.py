"""The figures of a task on a split, by its own metric."""

from __future__ import annotations

from zoo.data.datasets import Split
from zoo.metrics import score_classification, score_translation


def evaluate(task, split: Split, **decode) -> tuple[dict, list[str]]:
    """Figures and answers; `decode` as `Translator.translate` takes it."""
    if task.recipe.task == "classification":
        answers = [answer.label for answer in task.classify(split.sources)]
        return score_classification(answers, split.targets, task.labels), answers
    answers = task.translate(split.sources, **decode)
    # Named data sets know their language; of files of one's own only the script is seen.
    language = getattr(task.recipe.data, "target", "")
    return score_translation(answers, split.targets, language), answers
