"""Exported models: text in, answer out, whatever runs them.

    model = zoo.runtime.load("model.tflite")  # or a folder with model.onnx, or a SavedModel
    model.answer("3 March 2021")

A .tflite and an ONNX folder need neither TensorFlow nor Keras.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from zoo.errors import UserError

MODEL_FILES = {"onnx": "model.onnx", "saved_model": "saved_model.pb"}
"""Kind of a folder -> the file that it is known by."""
ENDINGS = {".tflite": "tflite", ".onnx": "onnx", ".keras": "keras"}
MODULES = {
    "tflite": "zoo.runtime.tflite",
    "onnx": "zoo.runtime.onnx",
    "saved_model": "zoo.runtime.saved_model",
}
"""Kind -> the module whose `load` opens it; each imports its engine."""


def kind_of(path: str | Path) -> str | None:
    """Which kind of exported model a path is ("tflite", "onnx", "saved_model", "keras"); None: none that is known.

    A folder is known by what is in it, a file by its ending.
    """
    path = Path(path)
    for kind, name in MODEL_FILES.items():
        if (path / name).is_file():
            return kind
    return None if path.is_dir() else ENDINGS.get(path.suffix)


def load(path: str | Path):
    """An exported model; raises UserError where a part is missing, damaged or foreign.

    Returns: `ExportedModel` of zoo/runtime/model.py, or `SavedModel` with the same verbs.
    """
    kind = kind_of(path)
    if kind == "keras":
        raise UserError(
            f"{path}: a .keras file is the network alone, without tokenizer and search: open it with "
            "`keras.saving.load_model` after `import zoo.models`, or ask the run, a .tflite or a SavedModel"
        )
    if kind is None:
        raise UserError(
            f"{path}: no exported model: it should be a .tflite file, a folder with model.onnx, "
            "or a SavedModel with saved_model.pb"
        )
    return import_module(MODULES[kind]).load(path)
