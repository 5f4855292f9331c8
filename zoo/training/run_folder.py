"""The folder of a run: what was asked for, what came out, and the state from which it goes on.

recipe.yaml     the recipe as given           metrics.jsonl   one line of figures a time
resolved.yaml   the recipe with every default tensorboard/    the same for TensorBoard
env.json        versions, device, XLA, data   samples/        answers at each validation
tokenizer/      labels.json (classifiers)     checkpoints/    best and last weights, and train.keep of them
state/          everything the next step needs                eval/  figures of `zoo eval`
code/           copies of the Python files that the recipe imports
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from zoo import files, hub
from zoo.config import Recipe
from zoo.curves import read_metrics
from zoo.errors import UserError
from zoo.recipe import LoadedRecipe, diff_recipes, dump_recipe, load_recipe
from zoo.training.checkpoint import States

MAY_CHANGE = (
    "train.steps",
    "train.log_every",
    "train.patience",
    "train.samples",
    "train.keep",
    "train.skip_nonfinite",
    "expect",
    "data.test",
    "decode",
    "export",
)
"""What the same run may be continued with: length, logging, early stopping, and what training does not read."""

READ_BY_TRAINING = ("train", "val")
"""Splits that must be the same as when the run began."""

LOCK = ".lock"
"""Stays when the folder is emptied: the process that holds it must go on holding it."""


class AnotherRecipe(UserError):
    """The folder holds a run of another recipe, or of other data."""


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
        self.outcome = self.path / "outcome.json"
        self.states = States(self.path / "state")
        self.best = self.path / "checkpoints" / "best.weights.h5"
        self.last = self.path / "checkpoints" / "last.weights.h5"
        self.evaluations = self.path / "eval"
        self.code = self.path / "code"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Makes the folder and holds it while training; a second process there is refused."""
        if self.path.exists() and not (self.resolved.exists() or self._items() == []):
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
            files.remove_leftovers(self.path)
            yield
        finally:
            lock.release()

    def check_sources(self, recipe: Recipe, fresh: bool) -> None:
        """That the runs are there with which a new run begins; one that goes on needs them no more."""
        if self.states.paths() and not fresh:
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
            self._remove([self.states.folder, *self._items()])
        elif self.states.paths():
            self._check_same(loaded)
        else:
            if (self.states.folder / "latest.npz").exists():
                raise UserError(
                    f"{self.states.folder}: saved by an older version, which this one cannot read; "
                    "start anew with --fresh, or with the weights in checkpoints/ in another folder, with --fork"
                )
            if self.outcome.exists():
                raise UserError(
                    f"{self.path}: a finished run whose saved states are gone; start anew with --fresh, "
                    "or with its weights in another folder, with --fork"
                )
            # Stopped before its first saved state, maybe with another recipe: nothing of it may be found.
            made = (self.tokenizer, self.labels, self.metrics, self.samples, self.env)
            self._remove([*made, self.best.parent, self.path / "tensorboard"])
        # resolved.yaml first and gone last: it says that this is a run folder, which may be emptied.
        files.write(self.resolved, dump_recipe(self._with_own_code(loaded.recipe)))
        files.write(self.path / "recipe.yaml", loaded.text)
        self._copy_code(loaded.recipe)
        return bool(self.states.paths())

    def check_data(self, fingerprints: dict[str, str], tokenizer: str) -> None:
        """That a run which goes on reads what it read before, in the same pieces."""
        env = self.read_env() or {}
        before = env.get("data", {})
        changes = [
            f"data: the {split} split is another"
            for split in READ_BY_TRAINING
            if before.get(split, fingerprints[split]) != fingerprints[split]
        ]
        if env.get("tokenizer", tokenizer) != tokenizer:
            changes.append(f"tokenizer: {self.tokenizer} is another")
        if changes:
            self._refuse(changes, "put the old files back")

    def log(self, **figures) -> None:
        """Adds one line to metrics.jsonl; a figure that is no number is null there."""
        said = {
            name: None if isinstance(figure, float) and not math.isfinite(figure) else figure
            for name, figure in figures.items()
        }
        files.append(self.metrics, json.dumps(said, ensure_ascii=False) + "\n")

    def last_figures(self) -> dict:
        """The figures of the last validation, if there was one."""
        lines = self.metrics.read_bytes().splitlines() if self.metrics.exists() else []
        return next((line for line in map(json.loads, reversed(lines)) if "val_loss" in line), {})

    def save(self, variables: Sequence, progress: dict) -> None:
        """A new state, which counts on what was logged before."""
        if self.metrics.exists():
            with files.explained(self.metrics):
                files.sync(self.metrics)
        self.states.save(variables, progress)

    def go_back(self, lines: int, step: int) -> None:
        """Drops what was written after the saved state: later lines of metrics.jsonl, samples of later steps."""
        if self.metrics.exists():
            files.write(self.metrics, b"".join(self.metrics.read_bytes().splitlines(keepends=True)[:lines]))
        written = {path: path.stem.removeprefix("step-") for path in self.samples.glob("step-*.txt")}
        self._remove([path for path, number in written.items() if number.isdigit() and int(number) > step])

    def kept(self, step: int) -> Path:
        """The weights of a validation, where `train.keep` keeps them."""
        return self.best.with_name(f"step-{step:08d}.weights.h5")

    def kept_steps(self) -> list[int]:
        """The validations in metrics.jsonl whose weights are there, oldest first."""
        return [step for step in self._validated() if self.kept(step).exists()]

    def drop_old_weights(self, keep: int) -> None:
        """Leaves the weights of the newest validations; of `keep` 0 all, but none that the metrics do not know.

        Called behind each saved state and not before it: a run that is killed and goes on from there finds what
        it had.
        """
        validated = self._validated()
        stay = {self.kept(step) for step in validated[-keep:]}
        self._remove([path for path in self.best.parent.glob("step-*.weights.h5") if path not in stay])

    def _validated(self) -> list[int]:
        lines = read_metrics(self.metrics) if self.metrics.exists() else []
        return [line["step"] for line in lines if "val_loss" in line]

    def read_env(self) -> dict | None:
        """What env.json says, where it can be read."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self.env.read_text(encoding="utf-8"))
        return None

    def recorded(self, key: str):
        """What env.json says of something, if anything."""
        return (self.read_env() or {}).get(key)

    def _items(self) -> list[Path]:
        """What lies in the folder; the folder itself where it is none, so that it counts as something else."""
        if not self.path.is_dir():
            return [self.path]
        names = sorted(
            p for p in self.path.iterdir() if p.name != LOCK and not p.name.startswith(files.LEFTOVER)
        )
        return [p for p in names if p != self.resolved] + [p for p in names if p == self.resolved]

    def _remove(self, items: list[Path]) -> None:
        for item in items:
            files.remove(item)

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: cannot be written ({error.strerror}); name another with --run")

    def _with_own_code(self, recipe):
        """The recipe with copies of its imports in this folder, which can then be moved as a whole."""
        names = [path.name for path in recipe.imports]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f"imports: two files are called {', '.join(twice)}: rename one")
        return recipe.model_copy(update={"imports": [Path(self.code.name, name) for name in names]})

    def _copy_code(self, recipe) -> None:
        for path in recipe.imports:
            copy = self.code / path.name
            if path.resolve() != copy.resolve():
                files.write(copy, path.read_bytes())

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
            self._refuse(changes, "go on with the old values")

    def _refuse(self, changes: list[str], remedy: str):
        raise AnotherRecipe(
            f"{self.path}: holds a run of another recipe or other data; it differs in",
            *(f"  {change}" for change in changes),
            f"{remedy}, name another folder with --run, begin there with these weights with --fork, "
            "or start anew with --fresh",
        )
