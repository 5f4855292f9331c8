"""benchmarks/kill.py with few kills: real processes, real steps, at random instants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "kill.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "arguments"),
    [(20, []), (6, ["train.xla=true"]), (6, ["--signal", "TERM"])],
    ids=["SIGKILL", "XLA", "SIGTERM"],
)
def test_killed_at_random(kills: int, arguments: list[str]) -> None:
    command = [sys.executable, str(FILE), "--kills", str(kills), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == kills == sum(found["fell"].values())
    assert len(found["fell"]) > 1, "at several places"
    assert found["equal"] == found["runs"] > 0 and found["differs"] == []
    assert found["damaged"] == 0, "a kill leaves no half state"
