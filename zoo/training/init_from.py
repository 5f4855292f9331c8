"""Begins a new run with the weights of another, wherever name and shape agree (`train.init_from`).

A weight's name is its path inside the model, such as `encoder/block_0/attention/query/kernel`; what the model
itself is called does not count. So a classifier takes the encoder of a masked language model, and a translator
the whole of another translator.
"""

from __future__ import annotations

import keras

from zoo.errors import UserError
from zoo.loading import load
from zoo.tasks import Task

OF_LABELS = ("head/", "crf/")
"""Weights that speak of labels; with other labels they are new."""
SHOWN = 6


def init_from(task: Task, name: str) -> dict:
    """Gives a new task the weights of a trained one.

    Args:
        task: its tokenizer must be the trained one's.
        name: as `zoo.load` takes it.

    Returns: {"run", "weights": how many were taken, "new": names of the others, "unused": the trained one's rest}.
    """
    source = load(name)
    if source.tokenizer.fingerprint != task.tokenizer.fingerprint:
        raise UserError(
            f"train.init_from: {name} was trained with another tokenizer, whose ids mean other texts; "
            f"take it along: tokenizer: {{name: pretrained, run: {name}}}"
        )
    theirs, ours = weights_by_name(source.model), weights_by_name(task.model)
    if source.labels != task.labels:
        theirs = {path: w for path, w in theirs.items() if not path.startswith(OF_LABELS)}
    common = [path for path in ours if path in theirs]
    misfits = [path for path in common if tuple(ours[path].shape) != tuple(theirs[path].shape)]
    if misfits:
        raise UserError(
            f"train.init_from: weights of {name} have other shapes than here",
            *(
                f"  {path}: {tuple(theirs[path].shape)} there, {tuple(ours[path].shape)} here"
                for path in misfits
            ),
            _remedy(source, task),
        )
    if not common:
        raise UserError(
            f"train.init_from: {name}, a {source.recipe.model.name}, has no weight that a "
            f"{task.recipe.model.name} has: choose a run of a model of the same family, or null"
        )
    for path in common:
        ours[path].assign(keras.ops.convert_to_numpy(theirs[path].value))
    return {
        "run": name,
        "weights": len(common),
        "new": [path for path in ours if path not in theirs],
        "unused": [path for path in weights_by_name(source.model) if path not in common],
    }


def describe(found: dict) -> str:
    """One line for the user."""
    new = found["new"]
    more = f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
    rest = f"new: {', '.join(new[:SHOWN])}{more}" if new else "nothing is new"
    return f"init_from  {found['run']}: {found['weights']} weights, {rest}"


def weights_by_name(model) -> dict[str, keras.Variable]:
    """Path inside the model -> weight; moving statistics are weights too."""
    return {w.path.partition("/")[2]: w for w in model.weights}


def _remedy(source: Task, task: Task) -> str:
    """The keys of the model that differ and may be the reason."""
    there, here = source.recipe.model.model_dump(), task.recipe.model.model_dump()
    differ = [
        f"model.{key}: {there[key]}"
        for key in here
        if key in there and key != "name" and "dropout" not in key and there[key] != here[key]
    ]
    if differ:
        return f"say as that recipe does: {', '.join(differ)}"
    return f"the models are of other kinds, {source.recipe.model.name} and {task.recipe.model.name}"
