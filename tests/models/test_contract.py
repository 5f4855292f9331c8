"""What every model of the registry promises: the checks of `zoo test`, over all of them and their choices."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo import registry
from zoo.config.recipe import MODEL_SECTIONS
from zoo.contract.cases import PAD, array, case, variants
from zoo.contract.models import QUICK, checks_of

ELSEWHERE = Path(__file__).with_name("outputs_elsewhere.py")


def class_of(name):
    return registry.resolve("model", name)


def small(name):
    return case(name, class_of(name), MODEL_SECTIONS[name])


def other_choices(name):
    """Every other choice of a recipe, one at a time."""
    return list(variants(name, class_of(name), MODEL_SECTIONS[name]))[1:]


def test_every_model_has_a_section():
    assert set(MODEL_SECTIONS) == set(registry.MODELS)
    for name, section in MODEL_SECTIONS.items():
        assert section.task == class_of(name).task


@pytest.mark.parametrize("name", registry.MODELS)
def test_promises(name, subtests):
    made = small(name)
    for check in checks_of(made):
        with subtests.test(promise=check.__name__):
            check(made)


@pytest.mark.parametrize("name", registry.MODELS)
def test_masks_of_every_choice(name, subtests):
    for variant in other_choices(name):
        for check in checks_of(variant):
            if check in QUICK:
                with subtests.test(choice=str(variant), promise=check.__name__):
                    check(variant)


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.MODELS)
def test_all_promises_of_every_choice(name, subtests):
    for variant in other_choices(name):
        for check in checks_of(variant):
            if check not in QUICK:
                with subtests.test(choice=str(variant), promise=check.__name__):
                    check(variant)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_fresh_process_gives_the_same_outputs(backend, tmp_path):
    """One process for all models: their weights are read from a file, so saving is tested too."""
    compare_elsewhere(backend, tmp_path, lambda name: [small(name)])


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_fresh_process_gives_the_same_outputs_for_every_choice(backend, tmp_path):
    compare_elsewhere(backend, tmp_path, other_choices)


def compare_elsewhere(backend, tmp_path, cases_of):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
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
