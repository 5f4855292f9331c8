"""Does a language model write what it is asked for? It is asked by labels, and a classifier reads what it wrote.

The language model learnt documents `LABEL: text` (zoo/data/labels.py) and is asked `LABEL:`; a classifier that
was trained apart says which label each answer looks like. Three figures belong together, for each alone can be
had cheaply: a parrot is recognised, noise is diverse.
"""

from __future__ import annotations

from typing import Any

from zoo.data.datasets import Split
from zoo.data.labels import asked, texts_of
from zoo.errors import UserError
from zoo.metrics import copied, distinct_n
from zoo.tasks import Task


def judge(
    task: Task, judging: Task, train: Split, samples: int, seed: int = 0
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Figures of texts written by labels, and the texts.

    Args:
        task: a language model.
        judging: a classifier that knows the labels.
        train: what the language model learnt, with its labels.
        samples: texts in all, spread evenly over the labels.
        seed: decides, with the recipe's `decode` section, what is drawn.

    Returns: `recognised`, the share (percent) in which the judge sees the label that was asked for, and the same
        as `per_label`; `distinct_2`, different pairs of words over all pairs; `copied`, the share (percent) that
        stands word for word in train. Of each text: `label`, `recognised_as`, `text`.
    """
    labels = _labels(task, judging, train)
    wanted = [labels[i % len(labels)] for i in range(samples)]
    texts = [found.continuation.strip() for found in task.generate([asked(x) for x in wanted], seed=seed)]
    seen = [answer.label for answer in judging.classify(texts)]
    rows = [
        {"label": label, "recognised_as": said, "text": text}
        for label, said, text in zip(wanted, seen, texts, strict=True)
    ]
    drawn = {key: value for key, value in task.settings().items() if key != "length"}
    figures = {
        "samples": samples,
        **drawn,
        "seed": seed,
        "recognised": _recognised(rows),
        "distinct_2": distinct_n(texts, 2),
        "copied": copied(texts, texts_of(train)),
        "per_label": {
            label: _recognised([row for row in rows if row["label"] == label]) for label in sorted({*wanted})
        },
    }
    return figures, rows


def _labels(task: Task, judging: Task, train: Split) -> list[str]:
    """The labels that texts can be asked for, or why none can."""
    if not task.generates:
        raise UserError(f"--judge reads what a language model writes; {task.recipe.name} is {task.called}")
    if judging.recipe.task != "classification":
        raise UserError(f"--judge: {judging.recipe.name} is {judging.called}: name a classifier")
    labels = sorted({*train.targets} - {""})
    if not labels:
        raise UserError(
            f"data: {task.recipe.data.name} has no labels to ask {task.recipe.name} for; "
            "train it on texts with labels, such as trec, sst2 or a table with text and label"
        )
    strange = [label for label in labels if label not in judging.labels]
    if strange:
        raise UserError(
            f"--judge: {judging.recipe.name} does not know {_some(strange)}; it knows {_some(judging.labels)}: "
            f"train it on the labels of {task.recipe.name}"
        )
    return labels


def _some(labels) -> str:
    return ", ".join(f"'{label}'" for label in labels[:5]) + (" ..." if len(labels) > 5 else "")


def _recognised(rows: list[dict[str, str]]) -> float:
    return 100.0 * sum(row["label"] == row["recognised_as"] for row in rows) / len(rows)
