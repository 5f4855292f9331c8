"""`zoo train`: a recipe becomes a run folder; the same command goes on with it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command()
@click.argument("recipe")
@click.argument("overrides", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--run", type=click.Path(path_type=Path), help="Run folder (default: runs/<recipe name>).")
@click.option("--fresh", is_flag=True, help="Empty the run folder and start anew.")
def command(recipe: str, overrides: tuple[str, ...], run: Path | None, fresh: bool) -> None:
    """Train RECIPE (a name of `zoo ls recipes`, or a file), with overrides such as train.steps=200.

    The same command on the same folder resumes a run that was stopped.
    """
    from zoo.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    for warning in loaded.warnings:
        click.echo(warning, err=True)
    folder = run or Path("runs") / loaded.recipe.name

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
        lines += ["next", *_next_commands(folder, loaded.recipe)]
    click.echo("\n".join(lines), err=True)


def _next_commands(folder: Path, recipe) -> list[str]:
    """Commands that work as they are printed."""
    from zoo.cli.output import program

    run, zoo = shlex.quote(str(folder)), program("zoo")
    return [
        f"  {zoo} eval {run} --split val",
        f"  {zoo} predict {run} {shlex.quote(example_text(recipe))}",
        f"  {zoo} export {run} --format saved_model,tflite",
        f"  {program('tensorboard')} --logdir {run}/tensorboard",
    ]


def example_text(recipe) -> str:
    """A first question for a model of this data set."""
    questions = {
        "dates": "3 mars 2021",
        "numbers": "two hundred and five",
        "multi30k": {"en": "A dog runs on the grass.", "de": "Ein Hund rennt.", "fr": "Un chien court."},
        "tatoeba_en_zh": {"en": "I like tea.", "zh": "我喜欢茶。"},
        "sst2": "a stirring , funny film",
        "trec": "What is the capital of France ?",
    }
    found = questions.get(recipe.data.name, "a text of yours")
    return found[recipe.data.source] if isinstance(found, dict) else found
