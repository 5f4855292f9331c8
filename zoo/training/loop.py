"""The training loop: the one place to read how a recipe becomes a trained model.

The loop knows no backend; what depends on it is one step, in step_tensorflow.py or step_jax.py. A batch is a
pure function of (seed, step), so a stopped run that is started again sees the batches it had not seen.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
from rich.console import Console

from zoo.data.datasets import Dataset, load_dataset
from zoo.data.encoded import encode_split, fingerprint
from zoo.data.pipeline import make_batches
from zoo.data.tokenizers import Tokenizer
from zoo.data.vocabulary import hides_phrases, make_tokenizer
from zoo.errors import UserError
from zoo.recipe import LoadedRecipe
from zoo.tasks import build_task
from zoo.training.checkpoint import load_state, save_state, save_weights
from zoo.training.init_from import describe, init_from
from zoo.training.optim import make_optimizer, make_schedule
from zoo.training.reporter import Reporter
from zoo.training.run_folder import RunFolder

LOWER_IS_BETTER = ("loss", "perplexity")


@dataclass
class Progress:
    """What is counted while training; saved with the state."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    best: float | None = None
    best_step: int = 0
    worse_in_a_row: int = 0


@dataclass
class Outcome:
    """What a training came to."""

    run: Path
    progress: Progress
    metric: str
    figures: dict
    stopped_early: bool
    example: str
    """A first question for the model; empty where any text of its kind would do."""


def train(loaded: LoadedRecipe, run: Path, fresh: bool = False, console: Console | None = None) -> Outcome:
    """Trains a recipe in a run folder, or goes on where the folder's run stopped."""
    folder = RunFolder(run)
    console = console or Console(stderr=True)
    with folder.lock():
        resumed = folder.begin(loaded, fresh)
        return Trainer(loaded.recipe, folder, console, resumed).run()


class Trainer:
    """One run: made ready by the constructor, then `run()`."""

    def __init__(self, recipe, folder: RunFolder, console: Console, resumed: bool):
        self.recipe, self.config, self.folder, self.console = recipe, recipe.train, folder, console
        dataset = load_dataset(recipe)
        for line in dataset.report.lines():
            self.say(f"data  {line}")
        tokenizer = self._tokenizer(dataset)
        labels = dataset.labels(recipe.task)
        if labels:
            folder.write_json(folder.labels, labels)
        self.val = dataset.val
        self.task = build_task(recipe, tokenizer, labels)
        self.begun = self._init_from(resumed)
        self.batches, self.val_batches = (
            make_batches(recipe, encode_split(split, tokenizer, recipe.task, labels), training, tokenizer)
            for split, training in ((dataset.train, True), (dataset.val, False))
        )
        if self.batches.too_long:
            self.say(f"data  left out, longer than data.max_length: train {self.batches.too_long:,}")
        self.optimizer = make_optimizer(self.config)
        self.step = self._make_step()
        self.metric = self.config.metric or self.task.metric
        self.progress = Progress()
        self.variables = [*self.task.model.variables, *self.optimizer.variables]
        if resumed:
            self.progress = Progress(**load_state(folder.state, self.variables))
            folder.cut_metrics(self.progress.step)
            self.say(f"resume  {folder.path} at step {self.progress.step}")
        self._record(dataset)

    def run(self) -> Outcome:
        """Steps, validations and saved states until the last step, or until nothing gets better."""
        config, progress = self.config, self.progress
        stopped, losses, began = self._out_of_patience(), [], time.monotonic() - progress.seconds
        with (
            Reporter(
                self.console, self.folder.path / "tensorboard", progress.step, config.steps
            ) as self.reporter,
            self._batch_source() as batch_of,
        ):
            while progress.step < config.steps and not stopped:
                batch = batch_of(progress.step)
                loss = self.step.train(batch)
                progress.step += 1
                progress.tokens += batch.tokens
                losses.append(loss)
                if not math.isfinite(loss):
                    raise UserError(self._diverged(loss))
                self.reporter.step(progress.step, batch.tokens)
                last = progress.step == config.steps
                if progress.step % config.log_every == 0 or last:
                    self._log_training(sum(losses) / len(losses))
                    losses = []
                if progress.step % config.validate_every == 0 or last:
                    stopped = self._validate()
                progress.seconds = time.monotonic() - began
                if progress.step % config.save_every == 0 or last or stopped:
                    self._save()
        return self._finish(stopped)

    def say(self, text: str) -> None:
        """A line for the user."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    # --- what happens every so many steps ---

    def _log_training(self, loss: float) -> None:
        step = self.progress.step
        rate = float(make_schedule(self.config)(step))  # the optimizer may lag behind: see JaxStep.sync
        speed = self.reporter.training(step, loss, rate)
        self.folder.log(
            step=step,
            train_loss=loss,
            learning_rate=rate,
            tokens=self.progress.tokens,
            tokens_per_second=speed,
        )

    def _validate(self) -> bool:
        """Validates, keeps the best weights; returns whether training should stop."""
        progress, step = self.progress, self.progress.step
        with self._validated_weights():
            total = [self.step.evaluate(self.val_batches.batch(i)) for i in range(len(self.val_batches))]
            loss = sum(t for t, _ in total) / max(sum(n for _, n in total), 1.0)
            figures, shown = self.task.validate(self.val, loss, self.config.samples)
            figures = {"loss": loss, **figures}
            value = figures[self.metric]
            better = progress.best is None or (
                value < progress.best if self.metric in LOWER_IS_BETTER else value > progress.best
            )
            if better:
                progress.best, progress.best_step, progress.worse_in_a_row = value, step, 0
                save_weights(self.folder.best, self.task.model)
            else:
                progress.worse_in_a_row += 1
            save_weights(self.folder.last, self.task.model)
        said = "  ".join(f"{name} {figure:.4g}" for name, figure in figures.items())
        self.reporter.line(f"step {step}  val  {said}{'  (best)' if better else ''}")
        self.folder.log(step=step, **{f"val_{name}": figure for name, figure in figures.items()})
        self.reporter.scalars(step, **{f"val/{name}": figure for name, figure in figures.items()})
        self._samples(shown)
        self.reporter.restart_clock()
        return self._out_of_patience()

    def _out_of_patience(self) -> bool:
        return bool(self.config.patience) and self.progress.worse_in_a_row >= self.config.patience

    def _samples(self, lines: list[str]) -> None:
        """Some validation texts with their answers, on the screen and in samples/."""
        for line in lines:
            self.reporter.line(line)
        path = self.folder.samples / f"step-{self.progress.step:06d}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _save(self) -> None:
        self.step.sync()
        save_state(self.folder.state, self.variables, asdict(self.progress))

    @contextlib.contextmanager
    def _validated_weights(self):
        """The weights that are validated and kept: their moving average where the recipe has one."""
        self.step.sync()
        if not self.config.ema:
            yield
            return
        trainable = self.task.model.trainable_variables
        current = [keras.ops.convert_to_numpy(v.value) for v in trainable]
        self.optimizer.finalize_variable_values(trainable)
        try:
            yield
        finally:
            for variable, value in zip(trainable, current, strict=True):
                variable.assign(value)

    # --- beginning and end ---

    def _tokenizer(self, dataset: Dataset) -> Tokenizer:
        """The run's tokenizer: trained once from its own training split, or copied from another run."""
        folder = self.folder.tokenizer
        if not (folder / "tokenizer.json").exists():
            make_tokenizer(self.recipe, dataset).save(folder)
        tokenizer = Tokenizer.load(folder)
        phrases = f", {len(tokenizer.phrases):,} phrases" if hides_phrases(self.recipe) else ""
        self.say(f"tokenizer  {self.recipe.tokenizer.name}, {tokenizer.vocabulary_size:,} pieces{phrases}")
        return tokenizer

    def _init_from(self, resumed: bool) -> dict | None:
        """With which weights of another run this one began; one that goes on has them in its state."""
        if resumed or not self.config.init_from:
            return self.folder.begun() if resumed else None
        found = init_from(self.task, self.config.init_from)
        self.say(describe(found))
        return found

    def _make_step(self):
        if keras.backend.backend() == "jax":
            from zoo.training import step_jax as backend

            step_class = backend.JaxStep
        else:
            from zoo.training import step_tensorflow as backend

            step_class = backend.TensorFlowStep
        on, why = backend.choose_xla(self.config.xla)
        self.xla, self.devices = {"on": on, "why": why}, backend.devices()
        shapes = ", ".join(f"{rows}x{s}" + (f"+{t}" if t > 1 else "") for rows, s, t in self.batches.shapes)
        self.say(f"XLA  {'on' if on else 'off'}, because {why}")
        self.say(
            f"batches  {len(self.batches):,} an epoch, shapes {shapes}, padding {self.batches.padding_share():.0%}"
        )
        example = self.batches.batch(0)
        ranks = {name: x.ndim for name, x in example.inputs.items()}
        loss = self.task.loss_function()
        return step_class(self.task.model, self.optimizer, loss, on, ranks, example.labels.ndim)

    @contextlib.contextmanager
    def _batch_source(self):
        """`batch_of(step)`, which makes the next batch in a thread while a step runs."""
        with ThreadPoolExecutor(1) as thread:
            waiting: dict[int, object] = {}

            def batch_of(step: int):
                future = waiting.pop(step, None) or thread.submit(self.batches.batch, step)
                batch = future.result()
                waiting[step + 1] = thread.submit(self.batches.batch, step + 1)
                return batch

            yield batch_of

    def _record(self, dataset: Dataset) -> None:
        """env.json: with what this run was made."""
        packages = ("tensorflow", "keras", "tensorflow-text", "jax", "sentencepiece", "numpy")
        versions = {}
        for package in packages:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions[package] = importlib.metadata.version(package)
        self.folder.write_json(
            self.folder.env,
            {
                "python": platform.python_version(),
                "versions": versions,
                "backend": keras.backend.backend(),
                "devices": self.devices,
                "xla": self.xla,
                "parameters": self.task.model.count_params(),
                "shapes": self.batches.shapes,
                "init_from": self.begun,
                "tokenizer": self.task.tokenizer.fingerprint,
                "data": {name: fingerprint(split) for name, split in dataset.splits().items()},
                "data_report": dataset.report.counts,
            },
        )
        self.say(f"model  {self.recipe.model.name}, {self.task.model.count_params():,} parameters")

    def _diverged(self, loss: float) -> str:
        every = self.config.save_every
        saved = (self.progress.step - 1) // every * every
        kept = f"the state of step {saved} is kept" if saved else "nothing was saved before"
        return (
            f"the loss became {loss} at step {self.progress.step}; {kept}. Try a lower train.learning_rate, "
            "a longer train.warmup or a smaller train.clip_norm, and start anew with --fresh"
        )

    def _finish(self, stopped: bool) -> Outcome:
        progress = self.progress
        figures, example = _last_figures(self.folder.metrics), self.task.example(self.val)
        outcome = Outcome(self.folder.path, progress, self.metric, figures, stopped, example)
        self.folder.write_json(
            self.folder.path / "outcome.json",
            {
                "steps": progress.step,
                "seconds": round(progress.seconds, 1),
                "tokens": progress.tokens,
                "best": {"metric": self.metric, "value": progress.best, "step": progress.best_step},
                "stopped_early": stopped,
                "compilations": self.step.compilations,
            },
        )
        return outcome


def _last_figures(metrics: Path) -> dict:
    """The figures of the last validation, if there was one."""
    if not metrics.exists():
        return {}
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    return next((line for line in reversed(lines) if "val_loss" in line), {})
