"""`zoo train`: a recipe becomes a run folder; the same command goes on with it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from zoo.cli import options


@click.command()
@click.argument("recipe")
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--run", type=click.Path(path_type=Path), help="Run folder (default: runs/<recipe name>).")
@click.option("--fresh", is_flag=True, help="Empty the run folder and start anew.")
@options.allow_code
def command(recipe: str, overrides: tuple[str, ...], run: Path | None, fresh: bool) -> None:
    """Train RECIPE (a name of `zoo ls recipes`, or a file), with overrides such as train.steps=200.

    The same command on the same folder resumes a run that was stopped.
    """
    from zoo.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    for warning in loaded.warnings:
        click.echo(warning, err=True)
    folder = run or Path("runs") / loaded.recipe.name

    from zoo.training.run_folder import RunFolder

    RunFolder(folder).check_sources(loaded.recipe, fresh)  # before TensorFlow starts

    from zoo.cli import quiet

    quiet.start()
    from zoo.training.loop import train

    try:
        outcome = train(loaded, folder, fresh)
    except KeyboardInterrupt:
        click.echo("interrupted; the same command goes on from the state that was saved last", err=True)
        raise SystemExit(130) from None
    best = outcome.progress
    click.echo(str(folder))
    minutes = best.seconds / 60
    lines = [
        f"trained {best.step:,} steps, {best.tokens:,} tokens, {minutes:.1f} minutes"
        + (", stopped early: nothing got better" if outcome.stopped_early else ""),
    ]
    if best.best is None:  # train.steps was set below the state's step before anything was validated
        lines.append("no validation yet: give more train.steps")
    else:
        lines.append(f"best    val {outcome.metric} {best.best:.4g} at step {best.best_step:,}")
        lines += ["next", *_next_commands(folder, loaded.recipe, outcome.example)]
    click.echo("\n".join(lines), err=True)


def _next_commands(folder: Path, recipe, example: str) -> list[str]:
    """Commands that work as they are printed."""
    from zoo.cli.output import program

    run, zoo, text = shlex.quote(str(folder)), program("zoo"), shlex.quote(example or example_text(recipe))
    ask = f"generate {run} --prompt {text}" if recipe.task == "language_modeling" else f"predict {run} {text}"
    return [
        f"  {zoo} eval {run} --split val",
        f"  {zoo} {ask}",
        f"  {zoo} export {run} --format saved_model,tflite",
        f"  {program('tensorboard')} --logdir {run}/tensorboard",
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
