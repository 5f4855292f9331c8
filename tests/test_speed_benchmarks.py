"""The benchmarks in which this project and its peers take turns: what they say of figures, and of mistakes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def scripts():
    """The folder as Python sees it when one of its scripts runs."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def speed(scripts):
    return importlib.import_module("train_speed")


@pytest.fixture(scope="module")
def decoding(scripts):
    return importlib.import_module("decode_speed")


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


def test_our_fastest_is_compared_with_their_fastest_turn_by_turn(decoding):
    slow, fast = decoding.System("zoo a", "", "zoo"), decoding.System("zoo b", "", "zoo")
    peer, other = decoding.System("peer", "x", "peer"), decoding.System("gone", "x", "gone")
    cell = (1, 4)
    slow.rounds, fast.rounds = {cell: [5.0, 5.0, 90.0]}, {cell: [30.0, 3.0, 30.0]}
    peer.rounds = {cell: [10.0, 1.0, 30.0]}
    assert decoding.ratio([slow, fast], [peer, other], cell) == 3.0  # of 3, 3, 1
    assert decoding.ratio([slow, fast], [other], cell) is None
    assert decoding.name(cell) == "batch 1, beam 4" and decoding.name((64, 1)) == "batch 64, greedy"


def test_a_table_shows_what_is_missing(decoding):
    found = {
        "systems": {"zoo": {"batch 1, greedy": 56.5}, "peer": {}},
        "over_the_peers": {decoding.name(cell): None for cell in decoding.CELLS},
        "over_ctranslate2": {decoding.name(cell): 1.5 for cell in decoding.CELLS},
    }
    columns = {column.header: [*column.cells] for column in decoding.table("T-tiny", found).columns}
    assert columns["batch 1, greedy"] == ["56.5", "-", "-", "1.50"]


@pytest.mark.parametrize("name", ["speed", "decoding"])
def test_mistakes(name, request, tmp_path, monkeypatch):
    speed = request.getfixturevalue(name)
    monkeypatch.delenv("ZOO_DATA", raising=False)
    unknown = CliRunner().invoke(speed.command, ["--data", str(tmp_path), "--models", "T-tiny,T-huge"])
    assert unknown.exit_code == 2 and "unknown: T-huge; known: T-tiny" in unknown.output
    missing = CliRunner().invoke(speed.command, ["--data", str(tmp_path)])
    assert missing.exit_code == 2 and "set ZOO_DATA" in missing.output
