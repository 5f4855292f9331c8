"""The training loop: the one place to read how a recipe becomes a trained model.

The loop knows no backend; what depends on it is one step, in step_tensorflow.py or step_jax.py. A batch is a
pure function of (seed, step), so a stopped run that is started again sees the batches it had not seen.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

from zoo import files
from zoo.config.metrics import METRICS
from zoo.data.datasets import Dataset, load_dataset
from zoo.data.encoded import encode_split, encode_training, fingerprint
from zoo.data.pipeline import make_batches
from zoo.data.tokenizers import Tokenizer
from zoo.data.vocabulary import hides_phrases, make_tokenizer
from zoo.data.warnings import data_warnings
from zoo.recipe import LoadedRecipe
from zoo.tasks import build_task
from zoo.text import printable
from zoo.training.backend import find_backend, make_step
from zoo.training.checkpoint import save_weights
from zoo.training.cluster import find_cluster
from zoo.training.environment import changes, environment
from zoo.training.freeze import freeze
from zoo.training.init_from import describe, init_from
from zoo.training.optim import make_optimizer, make_schedule
from zoo.training.progress import Diverged, Outcome, Progress
from zoo.training.reporter import Reporter
from zoo.training.run_folder import RunFolder
from zoo.training.signals import Stopped, StopSignals
from zoo.training.warnings import Warnings


def train(
    loaded: LoadedRecipe, run: Path, fresh: bool = False, console: Console | None = None
) -> Outcome | None:
    """Trains a recipe in a run folder, or goes on where the folder's run stopped.

    Ctrl-C and SIGTERM save after the step that is running, then raise `Stopped`, a KeyboardInterrupt. Of several
    processes (docs/distributed.md) one alone has the folder; in the others None is returned.
    """
    folder = RunFolder(run)
    console = console or Console(stderr=True)
    cluster = find_cluster()
    if not cluster.leads:
        from zoo.training.together import follow

        return follow(loaded, cluster, console)
    with StopSignals() as signals, folder.lock():
        resumed = folder.begin(loaded, fresh)
        return Trainer(loaded.recipe, folder, console, resumed, signals, loaded.warnings).run()


class Trainer:
    """One run: made ready by the constructor, then `run()`."""

    def __init__(
        self,
        recipe,
        folder: RunFolder,
        console: Console,
        resumed: bool,
        signals: StopSignals,
        said: Sequence[str] = (),
    ):
        self.recipe, self.config, self.folder, self.console = recipe, recipe.train, folder, console
        self.signals = signals
        self.backend = find_backend(self.config)
        averages = getattr(recipe.model, "normalization", None) == "batch"
        self.parts = self.backend.share_cores(self.config, whole=averages)
        self.strategy = self.backend.make_strategy()
        self.warnings = Warnings(self.say, said, folder.recorded("warnings") or () if resumed else ())
        dataset = load_dataset(recipe)
        for line in dataset.report.lines():
            self.say(f"data  {line}")
        self.data = {name: fingerprint(split) for name, split in dataset.splits().items()}
        tokenizer = self._tokenizer(dataset)
        if resumed:
            folder.check_data(self.data, tokenizer.fingerprint)
        labels = dataset.labels(recipe.task)
        if labels:
            files.write_json(folder.labels, labels)
        self.val = dataset.val
        with self._on_devices():
            self.task = build_task(recipe, tokenizer, labels, self.config.precision)
        self.begun = self._init_from(resumed)
        if self.config.freeze:
            self.say(freeze(self.task.model, self.config.freeze))
        encoded = {
            "train": encode_training(recipe, dataset.train, tokenizer, labels),
            "val": encode_split(dataset.val, tokenizer, recipe.task, labels),
        }
        self.batches, self.val_batches = (
            make_batches(recipe, encoded[name], name == "train", tokenizer) for name in ("train", "val")
        )
        # Where ways of cutting are drawn a row stands there several times.
        ways = len(encoded["train"]) / len(dataset.train) if self.batches.too_long else 1
        too_long = math.ceil(self.batches.too_long / ways)
        for text in data_warnings(recipe, dataset, encoded, tokenizer, too_long):
            self.warnings.add(text)
        if too_long:
            self.say(f"data  left out, longer than data.max_length: train {too_long:,}")
        with self._on_devices():
            self.optimizer = make_optimizer(self.config)
            self.step = self._make_step()
        self.metric = self.config.metric or METRICS[recipe.task][0]
        self.progress = Progress()
        self.shapes: set = set()
        self.variables = [*self.task.model.variables, *self.optimizer.variables]
        if resumed:
            self._go_back()
        self._record(dataset)

    def run(self) -> Outcome:
        """Steps, validations and saved states until the last step, or until nothing gets better."""
        config, progress = self.config, self.progress
        self.began = time.monotonic() - progress.seconds
        with (
            Reporter(
                self.console, self.folder.path / "tensorboard", progress.step, config.steps
            ) as self.reporter,
            self._batch_source() as batches_of,
            self._saving_when_stopped(),
        ):
            if 0 < progress.step != progress.validated and self._due(config.validate_every):
                self._validate()  # a signal came before it
                self._save()
            if not self._is_done():
                self.folder.outcome.unlink(missing_ok=True)  # what it came to is not known any more
            while not self._is_done():
                self._train(*batches_of(progress.step))
                if self._due(config.log_every):
                    self._log_training()
                self.signals.check()
                if self._due(config.validate_every):
                    self._validate()
                if self._due(config.save_every) or self._out_of_patience():
                    self._save()
        if find_cluster().size > 1:
            self.step.end()
        if self.shapes:
            self._say_compilations()
        return self._finish()

    def say(self, text: str) -> None:
        """A line for the user."""
        self.console.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    # --- what happens every so many steps ---

    def _due(self, every: int) -> bool:
        """Whether something is to be done after this step; at the end everything is."""
        return self.progress.step % every == 0 or self.progress.step == self.config.steps

    def _train(self, *batches) -> None:
        """One step. A loss that is no number has updated nothing: the batch is left out, or training ends."""
        progress, tokens = self.progress, sum(batch.tokens for batch in batches)
        loss = self.step.train(*batches)
        self.shapes.update(batch.shape for batch in batches)
        if math.isfinite(loss):
            progress.loss_sum += loss
            progress.loss_count += 1
        else:
            if progress.skipped >= self.config.skip_nonfinite:
                raise Diverged(self.folder.path, progress, self.metric, loss, self._save_last_good())
            progress.skipped += 1
        progress.step += 1
        progress.tokens += tokens
        if not math.isfinite(loss):
            allowed = f"{progress.skipped} of at most {self.config.skip_nonfinite}"
            self.reporter.line(
                f"step {progress.step}  loss or gradient is {loss}: batch left out ({allowed})"
            )
            self._log(skipped=progress.skipped)
        self.reporter.step(progress.step, tokens)

    def _log(self, **figures) -> None:
        """A line of metrics.jsonl: where the run stands, and some figures."""
        progress, seconds = self.progress, round(time.monotonic() - self.began, 3)
        self.folder.log(step=progress.step, tokens=progress.tokens, seconds=seconds, **figures)
        self.progress.metrics_lines += 1

    def _log_training(self) -> None:
        step, loss = self.progress.step, self.progress.take_loss()
        if loss is None:
            return
        # The optimizer itself may lag behind (see JaxStep.sync), and counts no batch that was left out.
        rate = float(make_schedule(self.config)(step - self.progress.skipped))
        speed = self.reporter.training(step, loss, rate)
        self._log(train_loss=loss, learning_rate=rate, tokens_per_second=speed)

    def _validate(self) -> None:
        """Validates, keeps the best weights."""
        with self._validated_weights():
            with self.signals.held_back(False):  # it may take long, and can be done again
                total = [self.step.evaluate(self.val_batches.batch(i)) for i in range(len(self.val_batches))]
                loss = sum(t for t, _ in total) / max(sum(n for _, n in total), 1.0)
                figures, shown = self.task.validate(self.val, loss, self.config.samples)
            figures = {"loss": loss, **figures}
            better = self.progress.note(self.metric, figures[self.metric], loss)
            if better:
                save_weights(self.folder.best, self.task.model)
            save_weights(self.folder.last, self.task.model)
            step = self.progress.step
            if self.config.keep:
                save_weights(self.folder.kept(step), self.task.model)
        said = "  ".join(f"{name} {figure:.4g}" for name, figure in figures.items())
        self.reporter.line(f"step {step}  val  {said}{'  (best)' if better else ''}")
        self._log(**{f"val_{name}": figure for name, figure in figures.items()})
        self.reporter.scalars(step, **{f"val/{name}": figure for name, figure in figures.items()})
        self._samples(shown)
        if self.warnings.of_validation(figures, self.val.targets, step, self.config.steps):
            files.write_json(self.folder.env, self.env)
        self.reporter.restart_clock()

    def _is_done(self) -> bool:
        return self.progress.step >= self.config.steps or self._out_of_patience()

    def _out_of_patience(self) -> bool:
        return bool(self.config.patience) and self.progress.worse_in_a_row >= self.config.patience

    def _samples(self, lines: list[str]) -> None:
        """Some validation texts with their answers, on the screen, for TensorBoard and in samples/."""
        lines = [printable(line) for line in lines]
        self.reporter.samples(self.progress.step, lines)
        files.write(self.folder.samples / f"step-{self.progress.step:06d}.txt", "\n".join(lines) + "\n")

    def _save(self) -> None:
        self.progress.seconds = time.monotonic() - self.began
        self.step.sync()
        self.folder.save(self.variables, asdict(self.progress))
        self.folder.drop_old_weights(self.config.keep)
        self.reporter.restart_clock()

    def _save_last_good(self) -> int | None:
        """Saves what was reached before a step that spoilt the loss; returns the step of the newest saved state."""
        states, step = self.folder.states, self.progress.step
        self.step.sync()
        arrays = [keras.ops.convert_to_numpy(v.value) for v in self.task.model.variables]
        if step and step != states.step and all(np.isfinite(array).all() for array in arrays):
            self._save()
        return states.step

    @contextlib.contextmanager
    def _saving_when_stopped(self):
        """A signal ends the body after the step that is running, or in a validation; then the state is saved."""
        with self.signals.held_back():
            try:
                yield
            except Stopped as stopped:
                if not stopped.again and self.progress.step:
                    self._save()
                    stopped.step = self.progress.step
                raise

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
            return self.folder.recorded("init_from") if resumed else None
        found = init_from(self.task, self.config.init_from)
        self.say(describe(found))
        return found

    def _go_back(self) -> None:
        """To the newest good state, and to nothing later."""
        said, damaged = self.folder.states.load(self.variables)
        for line in damaged:
            self.say(f"state  {line}")
        self.progress = Progress(**said)
        self.folder.go_back(self.progress.metrics_lines, self.progress.validated)
        self.folder.drop_old_weights(self.config.keep)
        self.say(f"resume  {self.folder.path} at step {self.progress.step}")

    def _on_devices(self) -> contextlib.AbstractContextManager:
        """Where variables are made: on all devices that train."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def _say_compilations(self) -> None:
        count, shapes = self.step.compilations, len(self.shapes)
        times, several = "once" if count == 1 else f"{count} times", "s" if shapes > 1 else ""
        self.say(f"compiled  {times} for {shapes} shape{several} of batches")

    def _make_step(self):
        config = self.config
        on, why = self.backend.choose_xla(config.xla, self.strategy)
        self.xla, self.devices = {"on": on, "why": why}, self.backend.devices()
        shapes = ", ".join(f"{rows}x{s}" + (f"+{t}" if t > 1 else "") for rows, s, t in self.batches.shapes)
        if self.strategy:
            count, size = self.strategy.num_replicas_in_sync, find_cluster().size
            processes = f"{size} process{'es' if size > 1 else ''}"
            self.say(f"devices  {count} in {processes}, each a share of the rows")
        if self.parts > 1:
            self.say(f"cores  {self.parts} parts of each batch at the same time")
        self.say(f"XLA  {'on' if on else 'off'}, because {why}")
        several = f", {config.accumulate} a step" if config.accumulate > 1 else ""
        self.say(
            f"batches  {len(self.batches):,} an epoch{several}, shapes {shapes}, "
            f"padding {self.batches.padding_share():.0%}"
        )
        step = make_step(self.backend, config, self.task, self.optimizer, self.batches, on, self.parts)
        if find_cluster().size > 1:
            from zoo.training.together import Leading

            return Leading(step, self.task.tokenizer.fingerprint, lambda: self.progress.step)
        return step

    @contextlib.contextmanager
    def _batch_source(self):
        """`batches_of(step)`, which makes the batches of the next step in a thread while a step runs."""
        count = self.config.accumulate

        def make(step: int) -> list:
            return [self.batches.batch(step * count + i) for i in range(count)]

        with ThreadPoolExecutor(1) as thread:
            waiting: dict[int, object] = {}

            def batches_of(step: int):
                future = waiting.pop(step, None) or thread.submit(make, step)
                batches = future.result()
                waiting[step + 1] = thread.submit(make, step + 1)
                return batches

            yield batches_of

    def _record(self, dataset: Dataset) -> None:
        """env.json: with what this run was made."""
        now, before = (
            environment(self.devices, self.parts, self.xla, self.config.deterministic),
            self.folder.read_env(),
        )
        for line in changes(before, now) if before else ():
            self.say(f"resume  {line}: from here on the last bits may differ")
        self.env = {
            **now,
            "parameters": self.task.model.count_params(),
            "shapes": self.batches.shapes,
            "init_from": self.begun,
            "tokenizer": self.task.tokenizer.fingerprint,
            "data": self.data,
            "data_report": dataset.report.counts,
            "warnings": self.warnings.texts,
        }
        if before is None or not self._is_done():  # asked again when it is, nothing is made
            files.write_json(self.folder.env, self.env)
        self.say(f"model  {self.recipe.model.name}, {self.task.model.count_params():,} parameters")

    def _finish(self) -> Outcome:
        progress, stopped = self.progress, self._out_of_patience()
        figures, example = self.folder.last_figures(), self.task.example(self.val)
        outcome = Outcome(self.folder.path, progress, self.metric, figures, stopped, example)
        if not self.folder.outcome.is_file():  # asked again when it is done, it is what it was
            files.write_json(
                self.folder.outcome,
                {
                    "steps": progress.step,
                    "seconds": round(progress.seconds, 1),
                    "tokens": progress.tokens,
                    "best": {"metric": self.metric, "value": progress.best, "step": progress.best_step},
                    "stopped_early": stopped,
                    "skipped": progress.skipped,
                    "compilations": self.step.compilations,
                },
            )
        return outcome
