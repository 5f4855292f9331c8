"""`zoo train` as a stranger meets it: stopped, refused, forked, gone astray; each message is followed to the letter."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from click.testing import CliRunner
from zoo.cli import main


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A folder to work in; descriptor 2 stays pytest's (ZOO_CHATTER), and nothing is traced."""
    import tensorflow as tf

    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_CHATTER", "1")
    monkeypatch.chdir(tmp_path)
    tiny.classifier(tmp_path)
    tf.config.run_functions_eagerly(True)
    yield tmp_path
    tf.config.run_functions_eagerly(False)


def zoo(line: str, code: int = 0) -> str:
    """Standard error of a command line, as typed or as printed."""
    name, *arguments = shlex.split(line)
    assert Path(name).name == "zoo"
    done = CliRunner().invoke(main, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stderr


def command_in(said: str) -> str:
    """The command that a message ends with."""
    return said.rstrip().splitlines()[-1].strip()


def test_another_recipe_can_be_forked(home) -> None:
    zoo("zoo train colours.yaml train.steps=2 --run 'my run'")
    said = zoo("zoo train colours.yaml train.steps=2 train.learning_rate=0.5 --run 'my run'", 2)
    assert "  train.learning_rate: 0.02 -> 0.5" in said
    command = command_in(said)
    assert command.endswith(
        "zoo train colours.yaml train.steps=2 train.learning_rate=0.5 --run 'my run' --fork 'my run-2'"
    )
    said = zoo(command)
    assert "init_from  my run: " in said and "nothing is new" in said
    env = json.loads((home / "my run-2" / "env.json").read_text())
    assert env["init_from"]["run"] == "my run" and env["init_from"]["new"] == []
    assert env["tokenizer"] == json.loads((home / "my run" / "env.json").read_text())["tokenizer"]
    resolved = (home / "my run-2" / "resolved.yaml").read_text()
    assert "init_from: my run\n" in resolved and "learning_rate: 0.5\n" in resolved
    # The same command goes on with the new run, not with a fork of the fork.
    assert "resume  my run-2 at step 2" in zoo(command.replace("train.steps=2", "train.steps=3"))
    assert "  train.learning_rate: 0.5 -> 0.1" in zoo(command.replace("=0.5", "=0.1"), 2)


def test_a_fork_needs_a_run(home) -> None:
    said = zoo("zoo train colours.yaml --run nothing --fork new", 2)
    assert said == "--fork: nothing holds no run to begin with; name one with --run\n"
    zoo("zoo train colours.yaml train.steps=2 --run old")
    assert "old is the folder of this run" in zoo("zoo train colours.yaml --run old --fork old --fresh", 2)
    assert (home / "old" / "checkpoints" / "best.weights.h5").exists()


def test_divergence_ends_with_a_command(home, monkeypatch) -> None:
    from zoo.training.step_tensorflow import TensorFlowStep

    train, calls = TensorFlowStep.train, []

    def bad(step, *batches):
        calls.append(batches)
        return float("nan") if len(calls) == 4 else train(step, *batches)

    monkeypatch.setattr(TensorFlowStep, "train", bad)
    said = zoo("zoo train colours.yaml --run old", 2)
    assert "old: loss or gradient became nan at step 4\n  the state of step 3 is saved\n" in said
    assert "Traceback" not in said
    command = command_in(said)
    assert command.endswith("zoo train colours.yaml train.learning_rate=0.01 --run old --fork old-2")
    assert "trained 6 steps" in zoo(command)
    calls.clear()
    said = zoo("zoo train colours.yaml --run new train.skip_nonfinite=1")
    assert "trained 6 steps" in said and "left out 1 batch whose loss or gradient was no number" in said


def test_before_the_first_checkpoint_there_is_nothing_to_fork(home, monkeypatch) -> None:
    from zoo.training.step_tensorflow import TensorFlowStep

    monkeypatch.setattr(TensorFlowStep, "train", lambda *_: float("inf"))
    said = zoo("zoo train colours.yaml --run old", 2)
    assert "nothing was saved before" in said and "zoo train" not in said


@pytest.mark.slow
def test_stopped_by_signals_and_gone_on(home) -> None:
    """Two real processes: SIGTERM to the first, Ctrl-C to the second, which is the command that the first printed."""
    environment = {k: v for k, v in os.environ.items() if k != "ZOO_CHATTER"}
    program = shlex.quote(str(Path(sys.executable).with_name("zoo")))
    run = home / "my run"
    overrides = "train.steps=100000 train.validate_every=40000 train.save_every=50000 train.log_every=1"
    line = f"{program} train colours.yaml {overrides} --run 'my run' --fresh"

    def stopped(line: str, number: int, lines: int) -> str:
        process = subprocess.Popen(
            shlex.split(line), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        until = time.monotonic() + 240
        while process.poll() is None and time.monotonic() < until:
            if (run / "metrics.jsonl").exists() and len(tiny.metrics(run)) > lines:
                process.send_signal(number)
                break
            time.sleep(0.02)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 128 + number, err
        assert out == "" and "Traceback" not in err
        return err

    said = stopped(line, signal.SIGTERM, 5)
    reached = tiny.state(run)[1]["step"]
    assert f"terminated; the state of step {reached:,} is saved; go on with\n" in said
    command = command_in(said)
    assert command.endswith(f"zoo train colours.yaml {overrides} --run 'my run'"), "without --fresh"
    said = stopped(command, signal.SIGINT, reached + 5)
    assert f"resume  my run at step {reached}" in said
    further = tiny.state(run)[1]["step"]
    assert further > reached
    assert f"interrupted; the state of step {further:,} is saved; go on with\n  {command}\n" in said


def test_what_to_try_next_runs_also_where_the_data_begin_with_a_dash(home) -> None:
    tiny.masked(home)
    (home / "val.text").write_text("- row your boat\n" * 4, encoding="utf-8")
    said = zoo("zoo train hidden.yaml train.steps=2 --run asks")
    command = next(line.strip() for line in said.splitlines() if " predict " in line)
    assert "predict asks -- '- " in command
    zoo(command)
