"""The benchmark in which this project and its peers take turns: what it says of figures, and of mistakes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "train_speed.py"


@pytest.fixture(scope="module")
def speed():
    spec = importlib.util.spec_from_file_location("train_speed", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_speed"] = module  # its dataclass looks there for its own types
    spec.loader.exec_module(module)
    return module


def test_ratios_are_taken_turn_by_turn(speed):
    ours, theirs = speed.System("zoo", "", "zoo"), speed.System("other", "x", "other")
    ours.rates, ours.flops = [100.0, 10.0, 50.0], [2e6, 2e6, 2e6]
    theirs.rates, theirs.flops = [50.0, 5.0, 100.0], [2e6, 2e6, 2e6]
    for system in (ours, theirs):
        system.ready, system.last = {"warm_s": 1.0, "shapes": 4, "params": 7}, {"rss_mb": 5.0}
    found = speed.figures(theirs, ours, limit=1e9)
    assert found["zoo_over_it"] == 2.0  # of 2, 2, 0.5: one noisy turn says nothing
    assert found["tokens_per_second"] == 50.0 and found["share_of_limit"] == pytest.approx(0.1)
    assert speed.figures(ours, ours, 1e9)["zoo_over_it"] == 1.0


def test_a_system_that_does_not_run_is_named(speed):
    assert "did not run" in speed.figures(speed.System("gone", "x", "gone"), None, 1e9)["error"]


def test_mistakes(speed, tmp_path, monkeypatch):
    monkeypatch.delenv("ZOO_DATA", raising=False)
    unknown = CliRunner().invoke(speed.command, ["--data", str(tmp_path), "--models", "T-tiny,T-huge"])
    assert unknown.exit_code == 2 and "unknown: T-huge; known: T-tiny" in unknown.output
    missing = CliRunner().invoke(speed.command, ["--data", str(tmp_path)])
    assert missing.exit_code == 2 and "set ZOO_DATA" in missing.output
