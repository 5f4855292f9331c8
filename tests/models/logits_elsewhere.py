"""Run as a program in a fresh process: rebuild models from JSON and weight files, write their logits.

    python logits_elsewhere.py FOLDER

FOLDER/models.json: {name: config}; FOLDER/<name>.weights.h5 and <name>.inputs.npz -> <name>.logits.npy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np

from zoo import registry

folder = Path(sys.argv[1])
for name, config in json.loads((folder / "models.json").read_text()).items():
    model = registry.resolve("model", name)(**config).build_from_ids()
    model.load_weights(folder / f"{name}.weights.h5")
    logits = model(dict(np.load(folder / f"{name}.inputs.npz")))
    np.save(folder / f"{name}.logits.npy", keras.ops.convert_to_numpy(logits))
print(keras.backend.backend())
