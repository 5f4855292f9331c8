"""The folder of a run: what was asked for, what came out, and the state from which it goes on.

recipe.yaml     the recipe as given           metrics.jsonl   one line of figures a time
resolved.yaml   the recipe with every default tensorboard/    the same for TensorBoard
env.json        versions, device, XLA, data   samples/        answers at each validation
tokenizer/      labels.json (classifiers)     checkpoints/    best and last weights
state/          everything the next step needs                eval/  figures of `zoo eval`
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.errors import UserError
from zoo.recipe import LoadedRecipe, diff_recipes, dump_recipe, load_recipe

MAY_CHANGE = (
    "train.steps",
    "train.log_every",
    "train.patience",
    "train.samples",
    "expect",
    "decode",
    "export",
)
"""What the same run may be continued with: length, logging, early stopping, and what training does not read."""


class RunFolder:
    """Paths of a run, and the rules by which it is begun or continued."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self.resolved = self.path / "resolved.yaml"
        self.env = self.path / "env.json"
        self.metrics = self.path / "metrics.jsonl"
        self.tokenizer = self.path / "tokenizer"
        self.labels = self.path / "labels.json"
        self.samples = self.path / "samples"
        self.state = self.path / "state" / "latest.npz"
        self.best = self.path / "checkpoints" / "best.weights.h5"
        self.last = self.path / "checkpoints" / "last.weights.h5"
        self.evaluations = self.path / "eval"

    def lock(self) -> FileLock:
        """Held while training; a second process in the same folder is refused."""
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise UserError(
                f"{self.path}: another process trains here; wait for it, or name another folder with --run"
            ) from error
        return lock

    def begin(self, loaded: LoadedRecipe, fresh: bool) -> bool:
        """Prepares the folder; returns whether an earlier run goes on."""
        if fresh and self.path.exists():
            self._clear()
        if self.state.exists():
            self._check_same(loaded)
        elif self.path.is_dir() and any(self.path.iterdir()) and not self.resolved.exists():
            raise UserError(f"{self.path}: not empty and not a run folder; name another one with --run")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "recipe.yaml").write_text(loaded.text, encoding="utf-8")
            self.resolved.write_text(dump_recipe(loaded.recipe), encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror}); name another with --run"
            ) from error
        return self.state.exists()

    def log(self, **figures) -> None:
        """Adds one line to metrics.jsonl."""
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(figures, ensure_ascii=False) + "\n")

    def cut_metrics(self, step: int) -> None:
        """Drops what was logged after the saved state: it will be logged again."""
        if self.metrics.exists():
            lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            beside = self.metrics.with_suffix(".tmp")
            beside.write_text("".join(kept), encoding="utf-8")
            os.replace(beside, self.metrics)

    def write_json(self, path: Path, content) -> None:
        """Pretty JSON, any language as it is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _clear(self) -> None:
        if not self.path.is_dir() or (any(self.path.iterdir()) and not self.resolved.exists()):
            raise UserError(
                f"{self.path}: not a run folder, so --fresh will not empty it; name another with --run"
            )
        for item in self.path.iterdir():
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()

    def _check_same(self, loaded: LoadedRecipe) -> None:
        earlier = load_recipe(self.resolved).recipe
        changes = [
            change
            for change in diff_recipes(earlier, loaded.recipe)
            if not any(change.startswith((f"{key}:", f"{key}.")) for key in MAY_CHANGE)
        ]
        if changes:
            raise UserError(
                f"{self.path}: holds a run of another recipe; it differs in",
                *(f"  {change}" for change in changes),
                "go on with the old values, name another folder with --run, or start anew with --fresh",
            )
