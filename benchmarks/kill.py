"""Kills `zoo train` at random instants, starts the same command again, and compares with a run left in peace.

    python benchmarks/kill.py --kills 200

A small classifier with dropout, buckets, shuffling and a moving average of its weights is trained with steps of a
few milliseconds, a saved state every 4 and a validation every 8 of them, so that a kill falls as often into a
write or a validation as into a step. TensorFlow is imported once, before it computes anything; each attempt is
a fork of that process that runs the command `zoo train`. What must be equal, bit by bit: weights, optimizer, dropout
generators, metrics without their times, samples, both checkpoints.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

RECIPE = """\
name: kill/colours
task: classification
data: {name: labeled, train: train.txt, val: val.txt, max_length: 24, buckets: [10, 16]}
tokenizer: {name: byte}
model: {name: rnn_classifier, embedding_dim: 8, units: 8, dropout: 0.2}
train: {steps: 240, batch_tokens: 384, learning_rate: 0.02, validate_every: 8, save_every: 4, log_every: 3, ema: 0.9,
  xla: false}
"""
WORDS = {"warm": ["red", "orange", "yellow", "火"], "cold": ["blue", "teal", "navy", "蓝"]}
PHASES = ("starting", "step", "validation", "saving", "else")
"""Where a kill falls; the first step, which is compiled, belongs to the start."""


def write_recipe(folder: Path) -> Path:
    """The recipe with its data: colours with numbers of several lengths."""
    chance = random.Random(0)
    for name, count in (("train", 400), ("val", 24)):
        rows = []
        for _ in range(count):
            label = chance.choice(list(WORDS))
            rows.append(
                f"{label} {chance.choice(WORDS[label])} {chance.randrange(10 ** chance.randrange(1, 12))}"
            )
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    recipe = folder / "colours.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    return recipe


class Attempt:
    """A process that trains, and where it is."""

    def __init__(self, command: Sequence[str], log: Path):
        self.phase = mmap.mmap(-1, 1)
        self.pid = os.fork()
        if self.pid == 0:
            self._run(command, log)

    def where(self) -> str:
        return PHASES[self.phase[0]]

    def wait_for_steps(self) -> bool:
        """Whether it came through its first step."""
        while not self.phase[0]:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return False
            time.sleep(0.005)
        return True

    def done_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
            time.sleep(0.0005)
        return False

    def kill(self, number: int) -> str:
        """Where it was when it was killed."""
        where = self.where()
        os.kill(self.pid, number)
        return where

    def code(self) -> int:
        """As a shell gives it."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return 128 - code if code < 0 else code

    def _run(self, command: Sequence[str], log: Path) -> None:
        """The child; never returns."""
        code = 70
        try:
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            os.dup2(out, 2)
            self._tell_phases()
            from zoo.cli import main

            main(list(command), standalone_mode=True)
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else int(done.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _tell_phases(self) -> None:
        from zoo.training.loop import Trainer

        def telling(method: Callable, phase: int) -> Callable:
            def call(*arguments):
                if self.phase[0] or phase != PHASES.index("step"):  # the first step is compiled first
                    self.phase[0] = phase
                try:
                    return method(*arguments)
                finally:
                    self.phase[0] = PHASES.index("else")

            return call

        for name, phase in (("_train", "step"), ("_validate", "validation"), ("_save", "saving")):
            setattr(Trainer, name, telling(getattr(Trainer, name), PHASES.index(phase)))


def killing(
    kills: int, folder: Path, overrides: Sequence[str] = (), seed: int = 1, number: int = signal.SIGKILL
):
    """Kills a training so many times; returns what came of it.

    Args:
        kills: how many, over as many runs as that takes.
        folder: for recipe, runs and logs.
        overrides: of the recipe.
        seed: decides the instants.
        number: of the signal.
    """
    prepare(folder)
    recipe, chance = write_recipe(folder), random.Random(seed)

    def command(run: Path) -> list[str]:
        return ["train", str(recipe), *overrides, "--run", str(run)]

    began = time.monotonic()
    whole = Attempt(command(folder / "whole"), folder / "whole.log")
    if not whole.wait_for_steps() or ((stepping := time.monotonic()) and whole.code()):
        raise click.ClickException((folder / "whole.log").read_text(encoding="utf-8"))
    length, expected = time.monotonic() - stepping, outcome(folder / "whole")
    fallen, runs = Counter(), []
    while fallen.total() < kills:
        run = folder / f"run-{len(runs) + 1}"
        found = {"kills": 0, "differs": [], "damaged": 0, "codes": Counter()}
        while True:
            attempt = Attempt(command(run), log := run.with_suffix(".log"))
            if fallen.total() == kills:
                pass
            elif chance.random() < 0.1:  # while it is being made ready
                if not attempt.done_within(chance.uniform(0.0, 0.5 + (stepping - began) / 2)):
                    fallen[attempt.kill(number)] += 1
                    found["kills"] += 1
            elif attempt.wait_for_steps() and not attempt.done_within(chance.uniform(0.0, length / 3)):
                fallen[attempt.kill(number)] += 1
                found["kills"] += 1
            code = attempt.code()
            found["codes"][code] += 1
            if code not in (0, 128 + number):
                raise click.ClickException(log.read_text(encoding="utf-8"))
            if code == 0:
                break
        found["damaged"] = log.read_text(encoding="utf-8").count("damaged")
        found["differs"] = differences(outcome(run), expected)
        runs.append(found)
    return {
        "signal": signal.Signals(number).name,
        "overrides": list(overrides),
        "seed": seed,
        "kills": fallen.total(),
        "fell": {phase: fallen[phase] for phase in PHASES if fallen[phase]},
        "runs": len(runs),
        "equal": sum(not run["differs"] for run in runs),
        "damaged": sum(run["damaged"] for run in runs),
        "differs": sorted({name for run in runs for name in run["differs"]}),
        "seconds": round(time.monotonic() - began, 1),
    }


def prepare(folder: Path) -> None:
    """TensorFlow is imported, and has not computed anything: only then a fork is as good as a new process."""
    os.environ["ZOO_CHATTER"] = "1"
    os.environ["ZOO_CACHE"] = str(folder / "cache")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import zoo.training.loop
    import zoo.training.step_tensorflow  # noqa: F401


def outcome(run: Path) -> dict[str, Any]:
    """tests/tiny.py says what must be the same."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    try:
        import tiny
    finally:
        del sys.path[0]
    return tiny.outcome(run)


def differences(one: dict, two: dict) -> list[str]:
    return [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]


def table(found: dict[str, Any]) -> str:
    fell = ", ".join(f"{phase} {count}" for phase, count in found["fell"].items())
    lines = [
        f"signal    {found['signal']}",
        f"recipe    {' '.join(found['overrides']) or 'as it is'}",
        f"kills     {found['kills']} ({fell})",
        f"runs      {found['runs']}, equal to the one in peace: {found['equal']}",
        f"damaged   {found['damaged']} saved states",
        f"minutes   {found['seconds'] / 60:.1f}",
    ]
    return "\n".join([*lines, *(f"differs   {name}" for name in found["differs"])])


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python"))
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--kills", default=200, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--seed", default=1, show_default=True, help="Decides the instants.")
@click.option(
    "--signal", "name", default="KILL", show_default=True, type=click.Choice(["KILL", "TERM", "INT"])
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(overrides: tuple[str, ...], kills: int, seed: int, name: str, as_json: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = killing(kills, Path(folder), overrides, seed, signal.Signals[f"SIG{name}"])
    click.echo(json.dumps(found, indent=2) if as_json else table(found))
    raise SystemExit(int(found["equal"] < found["runs"]))


if __name__ == "__main__":
    command()
