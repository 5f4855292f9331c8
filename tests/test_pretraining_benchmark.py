"""benchmarks/pretraining.py: pairs of runs, and figures that say how sure they are."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import tensorflow as tf
import tiny
from click.testing import CliRunner
from zoo.cli import main

FILE = Path(__file__).parents[1] / "benchmarks" / "pretraining.py"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script; its processes are calls here, and nothing is traced."""
    spec = importlib.util.spec_from_file_location("pretraining", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.commands = []

    def train(command):
        module.commands.append(command)
        result = CliRunner().invoke(main, command[len(module.ZOO) :])
        assert result.exit_code == 0, result.output

    monkeypatch.setattr(module, "train", train)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    tf.config.run_functions_eagerly(True)
    yield module
    tf.config.run_functions_eagerly(False)


def test_pairs_of_runs(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = tiny.classifier(tmp_path)
    quick = ["train.steps=1", "train.samples=0"]
    tiny.train(recipe, tmp_path / "runs" / "first", *quick)
    arguments = [str(recipe), *quick, "train.init_from=first", "--seeds", "2"]
    result = CliRunner().invoke(script.command, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(script.commands) == 4
    for side in ("pretrained", "scratch"):
        for seed, value in enumerate(found[side]["values"], 1):
            run = tmp_path / "runs/benchmarks/pretraining/test/colours" / f"{side}-{seed}"
            assert json.loads((run / "outcome.json").read_text())["best"]["value"] == value
            begun = json.loads((run / "env.json").read_text())["init_from"]
            assert (begun is None) == (side == "scratch")
            assert f"seed: {seed}\n" in (run / "resolved.yaml").read_text()
    differences = [
        a - b for a, b in zip(found["pretrained"]["values"], found["scratch"]["values"], strict=True)
    ]
    assert found["difference"]["values"] == differences
    # What is done is read, not trained again.
    result = CliRunner().invoke(script.command, arguments)
    assert len(script.commands) == 4 and result.stdout.startswith(
        "test/colours: best validation accuracy, from first"
    )


def test_figures(script):
    assert script.summary([80.0, 82.0, 84.0]) == {"values": [80.0, 82.0, 84.0], "mean": 82.0, "sd": 2.0}
    found = {
        "recipe": "a",
        "init_from": "b",
        "metric": "accuracy",
        "seeds": [1, 2],
        "pretrained": script.summary([82.0, 84.0]),
        "scratch": script.summary([80.0, 81.0]),
        "difference": script.summary([2.0, 3.0]),
    }
    assert script.table(found) == (
        "a: best validation accuracy, from b and from scratch\n\n"
        "seed  pretrained    scratch       difference\n"
        "1     82.00         80.00         +2.00\n"
        "2     84.00         81.00         +3.00\n"
        "mean  83.00 ± 1.41  80.50 ± 0.71  +2.50 ± 0.71"
    )
    assert script.summary([1.0])["sd"] is None


def test_mistakes_are_one_line(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = str(tiny.classifier(tmp_path))
    result = CliRunner().invoke(script.command, [recipe])
    assert result.exit_code == 2 and "give one with train.init_from=RUN" in result.stderr
    result = CliRunner().invoke(script.command, [recipe, "train.init_from=nowhere"])
    assert result.exit_code == 2 and "no run and no saved model is 'nowhere'" in result.stderr
    assert CliRunner().invoke(script.command, ["--help"]).exit_code == 0
