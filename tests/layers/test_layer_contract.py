"""What every exported layer promises: the checks of `zoo test`, over all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from layer_cases import CASES, case

import zoo.layers
from zoo.contract.layers import CHECKS, leaves

ELSEWHERE = Path(__file__).with_name("layers_elsewhere.py")


def test_the_table_is_complete():
    assert set(CASES) == set(zoo.layers.__all__)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(CASES))
def test_promise(name, check):
    check(case(name))


@pytest.mark.jax
def test_the_same_on_jax(tmp_path):
    """One process for all layers; none of them imports TensorFlow there."""
    expected = {}
    for name in CASES:
        made = case(name)
        layer = made.make()
        expected[name] = leaves(made.output(layer))
        np.savez(tmp_path / f"{name}.npz", *layer.get_weights())
    process = subprocess.run(
        [sys.executable, str(ELSEWHERE), str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    for name, outputs in expected.items():
        with np.load(tmp_path / f"{name}.outputs.npz") as actual:
            for key, wanted in zip(actual.files, outputs, strict=True):
                np.testing.assert_allclose(actual[key], wanted, atol=2e-5, rtol=2e-5, err_msg=name)
