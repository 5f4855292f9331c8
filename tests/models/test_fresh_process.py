"""Outputs in a fresh process, from weights in a file: on TensorFlow bit for bit, on JAX but for rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_contract import other_choices, small

from zoo import registry
from zoo.contract.cases import PAD, array

ELSEWHERE = Path(__file__).with_name("outputs_elsewhere.py")
BACKENDS = ["tensorflow", pytest.param("jax", marks=pytest.mark.jax)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fresh_process_gives_the_same_outputs(backend, tmp_path):
    """One process for all models: their weights are read from a file, so saving is tested too."""
    compare_elsewhere(backend, tmp_path, lambda name: [small(name)])


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fresh_process_gives_the_same_outputs_for_every_choice(backend, tmp_path):
    compare_elsewhere(backend, tmp_path, other_choices)


def compare_elsewhere(backend, tmp_path, cases_of):
    expected, asked = {}, {}
    for name in registry.MODELS:
        for number, made in enumerate(cases_of(name)):
            key = f"{name}-{number}"
            model, inputs = made.make(spread=0.4), made.inputs()
            inputs[made.first_input][1, 3:] = PAD
            model.save_weights(tmp_path / f"{key}.weights.h5")
            np.savez(tmp_path / f"{key}.inputs.npz", **inputs)
            expected[key] = array(model(inputs))
            asked[key] = {"model": name, "keywords": made.keywords}
    (tmp_path / "models.json").write_text(json.dumps(asked))
    process = subprocess.run(
        [sys.executable, str(ELSEWHERE), str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split()[-1] == backend
    for key, outputs in expected.items():
        scale = 1.0 + np.abs(outputs[np.abs(outputs) < 1e6]).max()
        tolerance = 0.0 if backend == "tensorflow" else 2e-5 * scale
        actual = np.load(tmp_path / f"{key}.outputs.npy")
        np.testing.assert_allclose(actual, outputs, rtol=0, atol=tolerance, err_msg=str(asked[key]))
