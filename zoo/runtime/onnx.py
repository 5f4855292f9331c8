"""An ONNX folder: model.onnx, with the files beside it that a .tflite has appended (zoo/runtime/tflite.py).

Their checksums stand in SHA256SUMS, which `sha256sum --check` reads too.

Needed beside numpy and sentencepiece: onnxruntime.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zoo.errors import UserError
from zoo.runtime.model import LABELS_FILE, PARTS, ExportedModel, Refused, broken, content_of

MODEL, CHECKSUMS = "model.onnx", "SHA256SUMS"


def load(path: str | Path) -> ExportedModel:
    """Reads an exported folder, named itself or by its model.onnx; raises UserError where a part is missing or
    damaged."""
    folder, origin = Path(path), str(path)
    if not folder.is_dir():
        folder = folder.parent
    parts = parts_of(folder, origin)
    model = parts.pop(MODEL)
    return ExportedModel(origin, parts, lambda: OnnxRuntime(model))


class OnnxRuntime:
    """A session of onnxruntime, on the CPU."""

    def __init__(self, content: bytes):
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "ONNX models are run by onnxruntime, which is not installed: pip install onnxruntime"
            ) from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what it has to complain about comes as an exception
        # Threads that wait by spinning take from each other what they wait for, where cores are few or busy.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its classes have no common name
            raise Refused(f"onnxruntime refuses it ({str(error).splitlines()[0]})") from None
        self.inputs = {
            value.name: [size if isinstance(size, int) else None for size in value.shape]
            for value in self._session.get_inputs()
        }
        self.outputs = [value.name for value in self._session.get_outputs()]

    def __call__(self, **arrays: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._session.run(None, arrays), strict=True))


def parts_of(folder: Path, origin: str) -> dict[str, bytes]:
    """The model and what it needs, after proving that they are as they were written."""
    if not (folder / CHECKSUMS).is_file():
        raise broken(origin, f"{CHECKSUMS} is missing beside it, or it was not made by `zoo export`")
    lines = content_of(folder / CHECKSUMS).decode("utf-8", "replace").splitlines()
    sums = {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}
    parts = {}
    for name in (MODEL, *PARTS, *({LABELS_FILE} & {*sums})):
        if not (folder / name).is_file():
            raise broken(origin, f"{name} is missing in {folder}")
        parts[name] = content_of(folder / name)
        if hashlib.sha256(parts[name]).hexdigest() != sums.get(name):
            raise broken(origin, f"{name} is damaged, or belongs to another model")
    return parts


def write(folder: str | Path, model: bytes, files: Mapping[str, bytes]) -> None:
    """A new folder of a model and what it needs, with their checksums."""
    folder = Path(folder)
    folder.mkdir()
    sums = ""
    for name, content in {MODEL: model, **files}.items():
        (folder / name).write_bytes(content)
        sums += f"{hashlib.sha256(content).hexdigest()}  {name}\n"
    (folder / CHECKSUMS).write_text(sums, encoding="utf-8")
