"""Answers texts with exported ONNX folders, as run_tflite.py does with .tflite files: no zoo, no TensorFlow.

    python -I run_onnx.py FOLDER TEXTS.jsonl [FOLDER TEXTS.jsonl ...]

What is computed is asked for twice, of one text at a time and of many at once: the batch is open.
"""

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime

spec = importlib.util.spec_from_file_location("run_tflite", Path(__file__).with_name("run_tflite.py"))
run_tflite = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_tflite)

BATCH = 32


class Model(run_tflite.Model):
    """An exported folder."""

    def open(self, path):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            str(Path(path, "model.onnx")), options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [value.name for value in self.session.get_outputs()]
        return {file.name: file.read_bytes() for file in Path(path).iterdir()}

    def run(self, **arrays):
        if "ids" in arrays:
            arrays["token_ids"] = arrays.pop("ids")
        return dict(zip(self.outputs, self.session.run(None, arrays), strict=True))

    def infer_many(self, rows):
        """Inputs of several texts, filled up with zeros."""
        arrays = {}
        for name in rows[0]:
            width = max(len(row[name]) for row in rows)
            shape = np.shape(rows[0][name])[1:]
            arrays[name] = np.zeros((len(rows), width, *shape), run_tflite.TYPES.get(name, "int32"))
            for array, row in zip(arrays[name], rows, strict=True):
                array[: len(row[name])] = row[name]
        found = self.run(**arrays)
        return [{name: value[i].tolist() for name, value in found.items()} for i in range(len(rows))]


def answers(path, rows):
    model = Model(path)
    given = run_tflite.answers(model, rows)
    for start in range(0, len(rows), BATCH):
        part = [row["inputs"] for row in rows[start : start + BATCH]]
        for answer, computed in zip(given["answers"][start:], model.infer_many(part), strict=False):
            answer.update({f"ids: {name}": value for name, value in computed.items()})
    return given


if __name__ == "__main__":
    run_tflite.main(answers)
