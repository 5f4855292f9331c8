"""Answers questions with exported ONNX folders, as run_tflite.py does with .tflite files: no zoo, no TensorFlow.

python -I run_onnx.py FOLDER QUESTIONS.jsonl [FOLDER QUESTIONS.jsonl ...]
"""

import importlib.util
from pathlib import Path

import onnxruntime

spec = importlib.util.spec_from_file_location("run_tflite", Path(__file__).with_name("run_tflite.py"))
run_tflite = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_tflite)


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

    def run(self, signature, arrays):
        arrays = {"token_ids" if name == "ids" else name: array for name, array in arrays.items()}
        return dict(zip(self.outputs, self.session.run(None, arrays), strict=True))


if __name__ == "__main__":
    run_tflite.main(Model)
