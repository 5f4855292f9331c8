"""`zoo train`: a recipe becomes a run folder; the same command goes on with it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
from zoo.cli import options, output


@click.command()
@click.argument("recipe")
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--run", type=click.Path(path_type=Path), help="Run folder (default: runs/<recipe name>).")
@click.option("--fresh", is_flag=True, help="Empty the run folder and start anew.")
@click.option(
    "--fork",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Begin a new run in DIR with the best weights and the tokenizer of the run in --run.",
)
@options.allow_code
def command(
    recipe: str, overrides: tuple[str, ...], run: Path | None, fresh: bool, fork: Path | None
) -> None:
    """Train RECIPE (a name of `zoo ls recipes`, or a file), with overrides such as train.steps=200.

    The same command on the same folder resumes a run that was stopped, killed or ended by an error. Ctrl-C and
    SIGTERM save first; a second one stops at once.
    """
    from zoo.errors import UserError
    from zoo.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    folder = run or Path("runs") / loaded.recipe.name

    from zoo.cache import keep_compilations
    from zoo.training.cluster import find_cluster
    from zoo.training.run_folder import AnotherRecipe, RunFolder

    typed = Typed(recipe, overrides, run, fork)
    if fork:
        if not RunFolder(folder).resolved.exists():
            raise UserError(f"--fork: {folder} holds no run to begin with; name one with --run")
        of = json.dumps(str(folder), ensure_ascii=False)
        begun = (f"train.init_from={of}", f"tokenizer={{name: pretrained, run: {of}}}")
        loaded, folder = load_recipe(recipe, (*overrides, *begun)), fork
    for warning in loaded.warnings:
        output.echo(warning, err=True)
    if find_cluster().leads:
        RunFolder(folder).check_sources(loaded.recipe, fresh)  # before TensorFlow starts

    from zoo.cli import quiet

    keep_compilations()
    quiet.start()
    from zoo.training.loop import train
    from zoo.training.progress import Diverged
    from zoo.training.signals import Stopped

    try:
        outcome = train(loaded, folder, fresh)
    except Stopped as stopped:
        output.echo(f"{_stopped(stopped, RunFolder(folder))}; go on with\n  {typed.again()}", err=True)
        raise SystemExit(128 + stopped.signal) from None
    except Diverged as error:
        if error.progress.best is None:
            raise
        slower = f"train.learning_rate={loaded.recipe.train.learning_rate / 2:g}"
        raise UserError(*error.problems, f"  {typed.forked(folder, slower)}") from error
    except AnotherRecipe as error:
        if not RunFolder(folder).best.exists():
            raise
        raise UserError(*error.problems, f"  {typed.forked(folder)}") from error
    if outcome is None:  # one of several processes, and not the one that writes
        return
    progress = outcome.progress
    output.echo(str(folder))
    minutes = progress.seconds / 60
    lines = [
        f"trained {progress.step:,} steps, {progress.tokens:,} tokens, {minutes:.1f} minutes"
        + (", stopped early: nothing got better" if outcome.stopped_early else ""),
    ]
    if progress.skipped:
        batches = f"{progress.skipped:,} batch{'es' if progress.skipped > 1 else ''}"
        lines.append(f"left out {batches} whose loss or gradient was no number (train.skip_nonfinite)")
    if progress.best is not None:
        lines.append(f"best    val {outcome.metric} {progress.best:.4g} at step {progress.best_step:,}")
        lines += ["next", *_next_commands(folder, loaded.recipe, outcome.example)]
    elif progress.validated:
        lines.append(f"no validation gave a number for {outcome.metric}: no checkpoint is the best")
    else:  # train.steps was set below the state's step before anything was validated
        lines.append("no validation yet: give more train.steps")
    output.echo("\n".join(lines), err=True)


class Typed:
    """The command as it was typed, and those that follow from it; all work as they are printed."""

    def __init__(self, recipe: str, overrides: tuple[str, ...], run: Path | None, fork: Path | None):
        self.recipe, self.overrides, self.run, self.fork = recipe, overrides, run, fork

    def again(self) -> str:
        """The same without --fresh, which would start anew."""
        return self._command(self.overrides, self.run, self.fork)

    def forked(self, run: Path, *more: str) -> str:
        """A new run from the weights of this one, in the next folder that is free."""
        number = 2
        while (fork := run.with_name(f"{run.name}-{number}")).exists():
            number += 1
        said = {override.partition("=")[0]: override for override in (*self.overrides, *more)}
        return self._command(tuple(said.values()), run, fork)

    def _command(self, overrides: tuple[str, ...], run: Path | None, fork: Path | None) -> str:
        from zoo import user_code

        named = [*(("--run", run) if run else ()), *(("--fork", fork) if fork else ())]
        allowed = ["--allow-code"] if user_code.allowed() else []
        return f"{output.program('zoo')} " + shlex.join(
            ["train", self.recipe, *overrides, *map(str, named), *allowed]
        )


def _stopped(stopped, folder) -> str:
    """By what, and what is kept."""
    by = {"SIGINT": "interrupted", "SIGTERM": "terminated"}[stopped.signal.name]
    if stopped.step is not None:
        return f"{by}; the state of step {stopped.step:,} is saved"
    states = folder.states.paths()
    return f"{by} at once; " + (
        f"{states[-1]} is the last saved state" if states else "nothing was saved yet"
    )


def _next_commands(folder: Path, recipe, example: str) -> list[str]:
    """Commands that work as they are printed."""
    run, zoo, example = shlex.quote(str(folder)), output.program("zoo"), example or example_text(recipe)
    text = shlex.quote(example)
    if recipe.task == "language_modeling":
        ask = f"generate {run} --prompt {text}"
    else:
        ask = f"predict {run} {'-- ' if example.startswith('-') else ''}{text}"
    return [
        f"  {zoo} eval {run} --split val",
        f"  {zoo} {ask}",
        f"  {zoo} export {run} --format saved_model,tflite",
        f"  {zoo} plot {run}",
        f"  {output.program('tensorboard')} --logdir {run}/tensorboard",
    ]


EXAMPLES = {
    "dates": "3 mars 2021",
    "numbers": {"to_digits": "two hundred and five", "to_words": "en 205"},
    "multi30k": {"en": "A dog runs on the grass.", "de": "Ein Hund rennt.", "fr": "Un chien court."},
    "tatoeba_en_zh": {"en": "I like tea.", "zh": "我喜欢茶。"},
    "sst2": "a stirring , funny film",
    "trec": "What is the capital of France ?",
    "ud_ewt": "I saw her duck .",
    "tinyshakespeare": {"next": "ROMEO:", "copy": "To be, or not to be", "reverse": "To be, or not to be"},
}
"""A first question for a model of each data set; where there are several, by what the data section says."""


def example_text(recipe) -> str:
    """A first question for a model of this recipe."""
    found = EXAMPLES.get(recipe.data.name, "a text of yours")
    if isinstance(found, str):
        return found
    said = {getattr(recipe.data, key, None) for key in ("source", "direction", "target")}
    return next((text for key, text in found.items() if key in said), "a text of yours")
