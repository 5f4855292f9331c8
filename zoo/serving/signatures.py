"""What a served model takes and gives, by name: TensorFlow Serving's signatures, and those of the tasks.

Shapes are tuples; None is an axis that is left open, the first one being the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

DEFAULT = "serving_default"
PREDICT = "tensorflow/serving/predict"
KINDS = {
    "DT_STRING": object,
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_BOOL": "bool",
}
"""TensorFlow's name of a type that a request may have -> NumPy's; texts are Python's `str`."""


@dataclass(frozen=True)
class Tensor:
    """One input or output.

    Args:
        dtype: TensorFlow's name of its type.
        shape: its axes; None where even their number is open.
        name: what the graph calls it.
    """

    dtype: str
    shape: tuple[int | None, ...] | None
    name: str = ""

    def record(self) -> dict[str, Any]:
        """A TensorInfo as TensorFlow Serving writes it in JSON."""
        sizes = [str(-1 if size is None else size) for size in self.shape or ()]
        shape = {"dim": [{"size": size, "name": ""} for size in sizes], "unknown_rank": self.shape is None}
        return {"dtype": self.dtype, "tensor_shape": shape, "name": self.name}


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    @cached_property
    def mixes(self) -> bool:
        """Whether requests may share a batch: rows of texts know nothing of each other. A seed is for a whole
        batch, and ids would have to be padded."""
        return all(x.dtype == "DT_STRING" and x.shape == (None,) for x in self.inputs.values())

    def record(self) -> dict[str, Any]:
        """A SignatureDef as TensorFlow Serving writes it in JSON."""
        inputs, outputs = (
            {name: tensor.record() for name, tensor in side.items()} for side in (self.inputs, self.outputs)
        )
        return {"inputs": inputs, "outputs": outputs, "method_name": PREDICT, "defaults": {}}


def of_task(task: str, labels: int = 0, seeded: bool = False) -> Signature:
    """The signature that a SavedModel of a task has (`zoo.export.kinds`), for models that are none.

    Args:
        task: its name in the recipe.
        labels: how many labels it has.
        seeded: whether it draws.
    """
    text = {"text": "DT_STRING"}
    inputs = {name: Tensor(kind, (None,), f"{DEFAULT}_{name}:0") for name, kind in text.items()}
    if seeded:
        inputs["seed"] = Tensor("DT_INT32", (), f"{DEFAULT}_seed:0")
    said = {
        "translation": {**text, "score": "DT_FLOAT"},
        "classification": {"label": "DT_STRING", "probability": "DT_FLOAT", "probabilities": "DT_FLOAT"},
        "tagging": {"tags": "DT_STRING", "words": "DT_STRING"},
        "language_modeling": text,
        "masked_language_modeling": {**text, "probability": "DT_FLOAT"},
    }[task]
    outputs = {
        name: Tensor(
            said[name],
            (None, labels) if name == "probabilities" else (None,),
            f"StatefulPartitionedCall:{number}",
        )
        for number, name in enumerate(sorted(said))
    }
    return Signature(inputs, outputs)
