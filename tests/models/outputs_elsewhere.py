"""Run as a program in a fresh process: rebuild models from JSON and weight files, write their outputs.

    python outputs_elsewhere.py FOLDER

FOLDER/models.json: {key: {model, keywords}}; FOLDER/<key>.weights.h5 and <key>.inputs.npz -> <key>.outputs.npy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np

from zoo import registry

folder = Path(sys.argv[1])
for key, asked in json.loads((folder / "models.json").read_text()).items():
    model = registry.resolve("model", asked["model"])(**asked["keywords"]).build_from_ids()
    model.load_weights(folder / f"{key}.weights.h5")
    outputs = model(dict(np.load(folder / f"{key}.inputs.npz")))
    np.save(folder / f"{key}.outputs.npy", keras.ops.convert_to_numpy(outputs))
if keras.backend.backend() == "jax":
    assert "tensorflow" not in sys.modules, "a model imported TensorFlow under JAX"
print(keras.backend.backend())
