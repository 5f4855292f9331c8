"""Run as a program in a fresh process: call every layer with the weights in a folder, write what comes out.

KERAS_BACKEND=jax python layers_elsewhere.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
from layer_cases import CASES, case

folder = Path(sys.argv[1])
for name in CASES:
    made = case(name)
    with np.load(folder / f"{name}.npz") as saved:
        weights = [saved[key] for key in saved.files]
    outputs = keras.tree.flatten(made.output(made.make(), weights))
    np.savez(folder / f"{name}.outputs.npz", *map(keras.ops.convert_to_numpy, outputs))
