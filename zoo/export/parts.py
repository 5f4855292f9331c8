"""What stands beside a model that runs without TensorFlow: all that turns texts into its ids, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping

from zoo.export.kinds import Kind
from zoo.recipe import dump_recipe


def parts(kind: Kind, inputs: Mapping[str, tuple[str, tuple]], batch: int | None) -> dict[str, bytes]:
    """File name -> content.

    Args:
        kind: the task with its search.
        inputs: name of each input of the model -> its type, and its shape without the batch.
        batch: rows that the model takes at once; None: as many as one likes.
    """
    task, recipe = kind.task, kind.recipe
    signature = {
        "task": recipe.task,
        "kind": recipe.model.name,
        "inputs": {name: [dtype, [batch, *shape]] for name, (dtype, shape) in inputs.items()},
        "outputs": {name: [dtype, [batch, *shape[1:]]] for name, (dtype, shape) in kind.outputs().items()},
        "max_length": recipe.data.max_length,
        "adds": kind.search.get("length") if task.generates else None,
        "positions": getattr(task.model, "longest", None),
        "whole_words": task.tokenizer.whole_words,
    }
    files = {
        "tokenizer.model": task.tokenizer.model_bytes,
        "recipe.yaml": dump_recipe(recipe).encode(),
        "signature.json": json.dumps(signature, indent=2).encode(),
    }
    if task.labels:
        files["labels.json"] = json.dumps(list(task.labels), ensure_ascii=False).encode()
    return files
