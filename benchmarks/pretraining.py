"""What pre-training is worth: a fine-tuning recipe with `train.init_from` and from scratch, for several seeds.

    python benchmarks/pretraining.py classification/sst2-en-bert-tiny --seeds 5

Both sides are the same model with the same tokenizer, data, batches and steps; a seed decides the order of the
data, dropout and every weight that is new, so differences are taken seed by seed. The figure of a run is its best
on the validation split. Each run is a `zoo train` in a process of its own; the same command goes on where it was
stopped, and reads the runs that are done.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from zoo.errors import UserError
from zoo.recipe import load_recipe
from zoo.training.run_folder import RunFolder

SIDES = {"pretrained": (), "scratch": ("train.init_from=null",)}
"""Name of a side -> its overrides."""
ZOO = [sys.executable, "-c", "from zoo.cli import main; main()"]


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python"))
@click.argument("recipe")
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(1), help="Runs of each side.")
@click.option(
    "--runs",
    default="runs/benchmarks/pretraining",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the run folders.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(recipe: str, overrides: tuple[str, ...], seeds: int, runs: Path, as_json: bool) -> None:
    try:
        found = compare(recipe, overrides, range(1, seeds + 1), runs)
    except UserError as error:
        click.echo("\n".join(error.problems), err=True)
        raise SystemExit(2) from None
    click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else table(found))


def compare(recipe: str, overrides: Sequence[str], seeds: Sequence[int], runs: Path) -> dict[str, Any]:
    """Trains what is not trained yet; returns the figures of both sides, in the order of the seeds."""
    asked = load_recipe(recipe, overrides).recipe
    if asked.train.init_from is None:
        raise UserError(f"{recipe}: begins with no other run: give one with train.init_from=RUN")
    values: dict[str, list[float]] = {side: [] for side in SIDES}
    for seed in seeds:
        for side, more in SIDES.items():
            folder = runs / asked.name / f"{side}-{seed}"
            best = trained(recipe, [*overrides, *more, f"seed={seed}"], folder)
            values[side].append(best["value"])
            click.echo(f"{folder}: {best['metric']} {best['value']:.2f}", err=True)
    pairs = zip(values["pretrained"], values["scratch"], strict=True)
    values["difference"] = [pretrained - scratch for pretrained, scratch in pairs]
    return {
        "recipe": asked.name,
        "overrides": list(overrides),
        "init_from": asked.train.init_from,
        "metric": best["metric"],
        "seeds": list(seeds),
        **{name: summary(figures) for name, figures in values.items()},
    }


def trained(recipe: str, overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """The best figure of a run, which is trained first unless it is done."""
    loaded, run = load_recipe(recipe, overrides), RunFolder(folder)
    if not (
        run.resolved.exists() and load_recipe(run.resolved).recipe == loaded.recipe and done(folder, loaded)
    ):
        run.check_sources(loaded.recipe, fresh=False)
        train([*ZOO, "train", recipe, *overrides, "--run", str(folder)])
    return json.loads((folder / "outcome.json").read_text(encoding="utf-8"))["best"]


def done(folder: Path, loaded) -> bool:
    try:
        outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return outcome["steps"] >= loaded.recipe.train.steps or outcome["stopped_early"]


def train(command: Sequence[str]) -> None:
    """What it says goes to standard error; there it has said why, if it fails."""
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code:
        raise UserError(f"stopped: `zoo {' '.join(command[len(ZOO) :])}` ended with exit code {code}")


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Values, mean, and the standard deviation of the values (n - 1), which one value has not."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"values": list(values), "mean": statistics.fmean(values), "sd": sd}


def table(found: dict[str, Any]) -> str:
    """One row a seed, then means ± standard deviations."""
    sides = [*SIDES, "difference"]

    def cell(side: str, value: float, sd: float | None = None) -> str:
        text = f"{value:+.2f}" if side == "difference" else f"{value:.2f}"
        return text if sd is None else f"{text} ± {sd:.2f}"

    rows = [["seed", *sides]]
    for i, seed in enumerate(found["seeds"]):
        rows.append([str(seed), *(cell(side, found[side]["values"][i]) for side in sides)])
    rows.append(["mean", *(cell(side, found[side]["mean"], found[side]["sd"]) for side in sides)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    title = (
        f"{found['recipe']}: best validation {found['metric']}, from {found['init_from']} and from scratch"
    )
    return "\n".join([title, "", *(line.rstrip() for line in lines)])


if __name__ == "__main__":
    command()
