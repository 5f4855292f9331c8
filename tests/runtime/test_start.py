"""How soon `zoo predict` and `zoo generate` answer with an exported file, and how little they import for it."""

from __future__ import annotations

import subprocess
import sys
import time

HEAVY = {
    "tensorflow",
    "keras",
    "jax",
    "pydantic",
    "yaml",
    "rich",
    "sacrebleu",
    "google.protobuf",
    "onnx",
    "pandas",
}
COMMAND = "from zoo.cli import main; main(prog_name='zoo')"
LISTED = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", *sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr))
{COMMAND}
"""


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "utf8", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def seconds(program: str, *arguments: str, times: int = 5) -> float:
    """Of the quickest of some runs: the others say what else the machine was doing."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        assert python(program, *arguments).returncode == 0
        taken.append(time.perf_counter() - start)
    return min(taken)


def test_nothing_heavy_is_imported(make):
    done = python(LISTED, "predict", str(make("echo")), "狗 3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "狗 3\n", "loaded:\n")
    done = python(LISTED, "generate", str(make("abc", "language_modeling")), "--prompt", "x")
    assert (done.returncode, done.stderr) == (0, "loaded:\n") and done.stdout.startswith("x")


def test_an_answer_comes_at_once(make):
    """0.2 s where an empty program takes 0.025 s; a machine that is slower at both gets more."""
    taken = seconds(COMMAND, "predict", str(make("echo")), "3 March")
    assert taken < max(0.5, 20 * seconds("pass"))
