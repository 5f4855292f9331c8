"""benchmarks/gpu.py without a GPU: it says so, and its cases run at a tiny size."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

FILE = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gpu", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_cases(script) -> None:
    tensorflow, jax = script.cases("tensorflow", False), script.cases("jax", False)
    assert len(tensorflow) == 2 * 2 + 3 * 3 * 2
    assert len(jax) == 2 + 3 * 2 * 2
    assert not any("cudnn" in name and " XLA" in name for name in tensorflow)
    assert not any("cudnn" in name for name in script.cases("tensorflow", True))


@pytest.mark.parametrize(
    "name",
    ["tinyshakespeare-en-lstm-tiny xla no-XLA bfloat16", "multi30k-en-de-transformer-base no-XLA float32"],
)
def test_a_case_on_a_cpu(script, monkeypatch, name) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    case = script.cases("tensorflow", True)[name]
    found = script.measure(*case, steps=1, batch_tokens=None, peak=0.1, cpu=True)
    assert found["speed"] * found["ms"] / 1e3 == pytest.approx(256, rel=0.1)
    assert 0.0 < found["share"] < 1.0 and found["memory"] is None and "trial" in found["device"]


def test_the_products_of_a_matrix(script) -> None:
    import keras

    model = keras.Sequential([keras.layers.Dense(5, name="head")])
    model.build((None, 3))
    assert script.products(model, rows=2, length=7) == 6 * 2 * 7 * 3 * 5


def test_without_a_gpu(script, monkeypatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    result = CliRunner().invoke(script.main, ["--case", "tinyshakespeare-en-lstm-tiny xla XLA float32"])
    assert result.exit_code == 2 and "there is no GPU" in result.output
    result = CliRunner().invoke(script.main, ["--only", "zzz"])
    assert result.exit_code == 2 and "no case holds 'zzz'" in result.output
