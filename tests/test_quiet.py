"""Chatter on descriptor 2 is kept back, and shown if the process dies; Python's words arrive at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

START = """
import os, signal, sys
from zoo.cli import quiet
quiet.start()
quiet.start()
os.write(2, b"chatter\\n")
print("said", file=sys.stderr)
print("answer", flush=True)
"""


def run(end: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START + end]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)


@pytest.mark.parametrize(("end", "code"), [("", 0), ("sys.exit(0)", 0), ("sys.exit(2)", 2)])
def test_an_orderly_end_drops_it(end: str, code: int) -> None:
    done = run(end)
    assert (done.returncode, done.stdout, done.stderr) == (code, "answer\n", "said\n")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("1 / 0", 1),
        ("os._exit(3)", 3),
    ],
)
def test_a_crash_shows_it(end: str, code: int) -> None:
    done = run(end)
    assert done.returncode == code
    assert done.stdout == "answer\n"
    assert done.stderr.startswith("said\n")
    assert done.stderr.endswith("The process ended unexpectedly. TensorFlow had said:\nchatter\n")
    assert ("ZeroDivisionError" in done.stderr) == (end == "1 / 0")


def test_the_last_words_of_a_long_complaint_are_kept() -> None:
    done = run(
        "for _ in range(3000): os.write(2, b'x' * 99 + b'\\n')\nos.write(2, b'the end\\n')\nos.abort()"
    )
    assert done.stderr.endswith("x\nthe end\n")
    assert len(done.stderr) < 210_000


def test_it_can_be_turned_off() -> None:
    assert "chatter" in run("", ZOO_CHATTER="1").stderr


def test_a_user_error_of_a_command_drops_it() -> None:
    program = """
import os, click
from zoo import cli
from zoo.cli import quiet
from zoo.errors import UserError
@click.command()
def command():
    quiet.start()
    os.write(2, b"chatter")
    raise UserError("one", "two")
cli.main.get_command = lambda ctx, name: command
cli.main(["train"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "one\ntwo\n")


def test_nobody_waits_for_the_child() -> None:
    """Standard output ends with the process, though a program it started still holds descriptor 2."""
    done = subprocess.run(
        [sys.executable, "-c", START + "import subprocess\nsubprocess.Popen(['sleep', '20'], stdout=2)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=10,
    )
    assert done.stdout == "answer\n"
