"""How an exported file is made, whatever its task."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import UserError

FILES = {"saved_model": "saved_model", "tflite": "model.tflite", "onnx": "onnx", "keras": "model.keras"}
"""Format -> name of its file or folder."""
QUANTIZED = {"tflite": ("float16", "dynamic_int8"), "onnx": ("float16", "dynamic_int8")}
"""Format -> how its weights can be made smaller."""
QUANTIZATIONS = ("none", "float16", "dynamic_int8")
SEVERAL = ("saved_model", "tflite")
"""Formats whose files hold several functions; the others have the answer's alone."""
MAX_DROP = 0.5
"""Points of its figure that a file may lose (zoo/export/metric.py)."""
NEEDS = {"onnx": ("tf2onnx", "onnx", "onnxruntime")}
"""Format -> packages of the extra of its name."""


@dataclass(frozen=True)
class Build:
    """What is decided about a file beside the search in it."""

    batch: int = 1
    """Texts that a TFLite file takes at once; the other formats take any number."""
    quantize: str = "none"
    """How weights are stored, of `QUANTIZATIONS`."""
    xla: bool = False
    """Whether the ids core of a SavedModel is compiled with XLA."""


def file_name(form: str, quantize: str = "none") -> str:
    """`model.tflite`, `model.float16.tflite`: files of one folder that differ in their weights lie side by side."""
    name, dot, ending = FILES[form].partition(".")
    return f"{name}{dot}{ending}" if quantize == "none" else f"{name}.{quantize}{dot}{ending}"


def check_quantize(formats, quantize: str) -> None:
    """Raises where a format's weights cannot be stored so."""
    if quantize not in QUANTIZATIONS:
        raise UserError(f"unknown quantisation '{quantize}': give one of {', '.join(QUANTIZATIONS)}")
    for form in formats:
        if quantize not in ("none", *QUANTIZED.get(form, ())):
            can = [name for name, ways in QUANTIZED.items() if quantize in ways]
            raise UserError(
                f"--quantize {quantize}: a {form} keeps its weights as they are; "
                f"give --format {','.join(can)}"
            )
