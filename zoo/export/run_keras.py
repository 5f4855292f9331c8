"""Opens a .keras file as anybody would who has this package, and computes its logits.

    python -I run_keras.py MODEL.keras INPUTS.npz OUTPUTS.npz [CODE.py ...]

CODE.py: files of one's own whose classes are in the model.
"""

import sys
import time
from pathlib import Path

import keras
import numpy as np

import zoo.models  # noqa: F401 - registers the classes
from zoo import user_code

TIMED = 25

if __name__ == "__main__":
    path, asked, answered, *code = sys.argv[1:]
    for file in map(Path, code):
        user_code.run(file)
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    with np.load(asked) as arrays:
        inputs = {name: arrays[name] for name in arrays.files}
    logits = keras.ops.convert_to_numpy(model(inputs, training=False))
    milliseconds = []
    for i in range(min(TIMED, len(logits))):
        row = {name: array[i : i + 1] for name, array in inputs.items()}
        start = time.perf_counter()
        keras.ops.convert_to_numpy(model(row, training=False))
        milliseconds.append((time.perf_counter() - start) * 1000)
    np.savez(answered, logits=logits, milliseconds=milliseconds)
