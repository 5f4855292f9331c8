"""What a run tells of the model that came out of it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo import hub
from zoo.config.recipe import Recipe
from zoo.curves import best_of, deciding_metric, read_run
from zoo.errors import UserError
from zoo.recipe import diff_recipes, load_recipe
from zoo.saved.card import Training
from zoo.saved.index import WEIGHTS
from zoo.training.kept import RECORD
from zoo.training.run_folder import MAY_CHANGE, RunFolder
from zoo.yaml_strict import parse_yaml

TELLS_NOTHING = ("name", "train.log_every", "train.samples", "train.skip_nonfinite", "expect", "export")
"""Keys that neither the weights nor their figures depend on."""


@dataclass(frozen=True)
class Origin:
    """A run, or an average of its weights (`zoo average`)."""

    path: Path
    """The folder that was named, with tokenizer and labels in it."""
    run: RunFolder
    recipe: Recipe
    averaged: Sequence[int] = ()
    """The steps whose weights are averaged."""
    best: bool = False
    """Whether those are the best ones, not the last."""

    @classmethod
    def of(cls, path: Path) -> Origin:
        """Raises where there is no trained model of data alone."""
        record = path / RECORD
        run, averaged, said = RunFolder(path), (), {}
        if record.is_file():
            said = json.loads(record.read_text(encoding="utf-8"))
            run, averaged = RunFolder(Path(said["run"])), said["steps"]
        if not run.resolved.is_file():
            what = f"its run {run.path} is gone" if averaged else "no run, nor an average of one"
            raise UserError(f"{path}: {what}; what is published is a run")
        if _imports(run.resolved):
            raise UserError(
                f"{path}: its recipe imports Python files, and a saved model is data alone, which nobody need "
                "trust; share the run folder and the files instead"
            )
        origin = cls(path, run, load_recipe(run.resolved).recipe, averaged, said.get("best", False))
        if averaged:
            origin._check_average(said["sha256"])
        if not origin.weights.is_file():
            raise UserError(f"{path}: has no {origin.weights.name} yet; train it to its first validation")
        return origin

    def _check_average(self, sha256: dict[str, str]) -> None:
        """Raises where the run is not what was averaged: the facts of a card are the run's."""
        then = load_recipe(self.path / "recipe.yaml").recipe
        free = ("name", "data", *(key for key in MAY_CHANGE if key != "train.steps"))
        changes = _differs(then, self.recipe, free)
        kept = {name: self.run.best.with_name(name) for name in sha256}
        changes += [
            f"{path.name} has other weights"
            for name, path in kept.items()
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != sha256[name]
        ]
        if changes:
            raise UserError(
                f"{self.path}: its run {self.run.path} has changed since: {'; '.join(changes)}; `zoo average` it again"
            )

    @property
    def weights(self) -> Path:
        return self.path / WEIGHTS if self.averaged else self.run.best

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer"

    @property
    def labels(self) -> Path:
        return self.path / "labels.json"

    def summary(self) -> str | None:
        """The first sentence of the recipe's header."""
        text = (self.run.path / "recipe.yaml").read_text(encoding="utf-8")
        lines = re.match(r"(#[^\n]+\n)*", text)[0].splitlines()
        header = " ".join(line.lstrip("# ").strip() for line in lines)
        return re.split(r"(?<=[.。])\s", header)[0] or None

    def training(self) -> Training:
        """How it was trained."""
        env = self.run.read_env() or {}
        try:
            outcome = json.loads(self.run.outcome.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{self.run.path}: is not finished: give its `zoo train` command again") from None
        metric = deciding_metric(self.run.path)
        best = best_of(read_run(self.run.path), metric) if metric and not self.averaged else None
        versions = env.get("versions", {})
        return Training(
            command=self.command(),
            steps=outcome["steps"],
            best_step=int(best[0]) if best else None,
            tokens=outcome["tokens"],
            minutes=round(outcome["seconds"] / 60, 1),
            cpus=env.get("cpus"),
            devices=env.get("devices", []),
            versions={name: versions[name] for name in ("tensorflow", "keras", "jax") if name in versions},
            xla=bool(env.get("xla", {}).get("on")),
        )

    def command(self) -> str:
        """What trains it again."""
        free = (*TELLS_NOTHING, "data.test", "decode", *(() if self.averaged else ("train.keep",)))
        if self.recipe.name in hub.recipe_names():
            shipped = load_recipe(self.recipe.name).recipe
            said = [
                f"{line.partition(':')[0]}={line.rpartition(' -> ')[2]}"
                for line in _differs(shipped, self.recipe, free)
            ]
            words = ["zoo", "train", self.recipe.name, *map(shlex.quote, said)]
        else:
            words = ["zoo", "train", "recipe.yaml"]
        if not self.averaged:
            return " ".join(words)
        which = f"--{'best' if self.best else 'last'} {len(self.averaged)}"
        return f"{' '.join(words)}; zoo average {self.recipe.name} {which}"

    def differs_in_seed(self, other: Origin) -> bool:
        """Whether two runs are alike but for their seed."""
        lines = _differs(self.recipe, other.recipe, (*TELLS_NOTHING, "train.keep"))
        alike = len(self.averaged) == len(other.averaged) and self.best == other.best
        return alike and [line.partition(":")[0] for line in lines] == ["seed"]


def _imports(path: Path) -> bool:
    return bool(parse_yaml(path.read_text(encoding="utf-8"), str(path)).get("imports"))


def _differs(one: Recipe, other: Recipe, free: Sequence[str]) -> list[str]:
    """What two recipes differ in, but for keys that are free to."""
    return [
        line
        for line in diff_recipes(one, other)
        if not any(line.startswith((f"{key}:", f"{key}.")) for key in free)
    ]
