"""From a run folder or the name of a shipped model to a task: `zoo.load`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from zoo import hub
from zoo.data.tokenizers import Tokenizer
from zoo.errors import UserError
from zoo.recipe import load_recipe
from zoo.tasks import TASKS, Task, build_task
from zoo.training.run_folder import RunFolder


def load(
    name_or_folder: str | Path,
    checkpoint: str | Path = "best",
    allow_code: bool = False,
    decode: Sequence[str] = (),
) -> Task:
    """A trained model with its tokenizer, a Keras model ready to answer or to be trained on.

    Args:
        name_or_folder: a run folder, the name of a recipe that was trained under runs/, or the name of a
            shipped model (`zoo ls saved`).
        checkpoint: "best" or "last", of a run, or a file of weights of its model.
        allow_code: run the Python files that the recipe imports.
        decode: what is otherwise in the recipe's section `decode`: ["beams=5", "forbidden=[a, b]"].
    """
    folder = RunFolder(hub.find_model(name_or_folder))
    shipped = not folder.resolved.exists()
    file = folder.path / "recipe.yaml" if shipped else folder.resolved
    recipe = load_recipe(file, [f"decode.{change}" for change in decode], allow_code).recipe
    weights = _weights(folder, checkpoint, shipped)
    if not weights.exists():
        raise UserError(f"{folder.path}: no {weights.name} yet; train with `zoo train {recipe.name}`")
    tokenizer = Tokenizer.load(folder.tokenizer)
    labels = _read_labels(folder.labels) if TASKS[recipe.task].needs_labels else None
    task = build_task(recipe, tokenizer, labels)
    load_weights(task, weights)
    return task


def load_weights(task: Task, path: Path) -> None:
    """Gives a task the weights in a file."""
    try:
        task.model.load_weights(path)
    except (
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        RuntimeError,
        TypeError,
    ) as error:  # HDF5 raises any
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: damaged, or not of the model in the recipe beside it ({reason})") from error


def _weights(folder: RunFolder, checkpoint: str | Path, shipped: bool) -> Path:
    if isinstance(checkpoint, Path):
        return checkpoint
    return folder.path / "model.weights.h5" if shipped else getattr(folder, checkpoint)


def _read_labels(path: Path) -> list[str]:
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        labels = None
    if not (labels and isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
        raise UserError(f"{path}: missing or damaged; the model needs the names of its labels")
    return labels
