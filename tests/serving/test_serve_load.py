"""benchmarks/serve_load.py with little time: every answer right, and batches where there are clients for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "serve_load.py"


@pytest.mark.slow
def test_it_measures() -> None:
    command = [
        sys.executable,
        str(FILE),
        "--seconds",
        "1",
        "--concurrency",
        "1,8",
        "--forms",
        "run",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = {(row["batching"], row["clients"]): row for row in json.loads(done.stdout)}
    assert all(row["wrong"] == 0 and row["requests/s"] > 1 for row in rows.values())
    assert rows["on", 8]["texts a batch"] > 1.5 > rows["on", 1]["texts a batch"]
    assert rows["off", 1]["texts a batch"] == rows["off", 8]["texts a batch"] == 1
