"""The folder of a run: what was asked for, what came out, and the state from which it goes on.

recipe.yaml     the recipe as given           metrics.jsonl   one line of figures a time
resolved.yaml   the recipe with every default tensorboard/    the same for TensorBoard
env.json        versions, device, XLA, data   samples/        answers at each validation
tokenizer/      labels.json (classifiers)     checkpoints/    best and last weights
state/          everything the next step needs                eval/  figures of `zoo eval`
code/           copies of the Python files that the recipe imports
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from zoo import hub
from zoo.config import Recipe
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

LOCK = ".lock"
"""Stays when the folder is emptied: the process that holds it must go on holding it."""


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
        self.code = self.path / "code"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Makes the folder and holds it while training; a second process there is refused."""
        if self.path.exists() and not (self._items() == [] or self.resolved.exists()):
            raise UserError(f"{self.path}: not empty and not a run folder; name another one with --run")
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise UserError(
                f"{self.path}: another process trains here; wait for it, or name another folder with --run"
            ) from error
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def check_sources(self, recipe: Recipe, fresh: bool) -> None:
        """That the runs are there with which a new run begins; one that goes on needs them no more."""
        if self.state.exists() and not fresh:
            return
        named = {
            "train.init_from": recipe.train.init_from,
            "tokenizer.run": getattr(recipe.tokenizer, "run", None),
        }
        for key, name in named.items():
            if name is None:
                continue
            source = RunFolder(hub.find_pretrained(key, name))
            if source.path.resolve() == self.path.resolve():
                raise UserError(f"{key}: {name} is the folder of this run; name another one with --run")
            weights = (source.best, source.path / "model.weights.h5")
            if key == "train.init_from" and not any(path.exists() for path in weights):
                raise UserError(
                    f"{key}: {name} has no {source.best.name} yet: train it to its first validation"
                )

    def begin(self, loaded: LoadedRecipe, fresh: bool) -> bool:
        """Prepares the folder, which is locked; returns whether an earlier run goes on."""
        self.check_sources(loaded.recipe, fresh)
        if fresh:
            self._remove(self._items())
        elif self.state.exists():
            self._check_same(loaded)
        else:
            # Stopped before its first saved state, maybe with another recipe: nothing of it may be found.
            self._remove([self.tokenizer, self.labels, self.metrics, self.samples, self.path / "tensorboard"])
        try:
            (self.path / "recipe.yaml").write_text(loaded.text, encoding="utf-8")
            self.resolved.write_text(dump_recipe(self._with_own_code(loaded.recipe)), encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from error
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

    def begun(self) -> dict | None:
        """What env.json says of the weights that the run began with."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.env.read_text(encoding="utf-8")).get("init_from")
        return None

    def _items(self) -> list[Path]:
        """What lies in the folder; the folder itself where it is none, so that it counts as something else."""
        return [p for p in self.path.iterdir() if p.name != LOCK] if self.path.is_dir() else [self.path]

    def _remove(self, items: list[Path]) -> None:
        for item in items:
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: cannot be written ({error.strerror}); name another with --run")

    def _with_own_code(self, recipe):
        """The recipe with copies of its imports in this folder, which can then be moved as a whole."""
        names = [path.name for path in recipe.imports]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f"imports: two files are called {', '.join(twice)}: rename one")
        for path in recipe.imports:
            self.code.mkdir(exist_ok=True)
            copy = self.code / path.name
            if path.resolve() != copy.resolve():
                shutil.copyfile(path, copy)
        return recipe.model_copy(update={"imports": [Path(self.code.name, name) for name in names]})

    def _same_code(self, path: Path) -> bool:
        copy = self.code / path.name
        return copy.is_file() and copy.read_bytes() == path.read_bytes()

    def _check_same(self, loaded: LoadedRecipe) -> None:
        imports = loaded.recipe.imports
        # What the user allowed to run is compared byte by byte with what the run was begun with, which is not run.
        changes = [f"imports: {path.name} has changed" for path in imports if not self._same_code(path)]
        same = [f"imports={json.dumps([str(path) for path in imports])}"] if imports else []
        earlier = load_recipe(self.resolved, same, allow_code=bool(imports)).recipe
        changes += [
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
