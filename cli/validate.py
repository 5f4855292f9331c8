"""`zoo validate`: all mistakes of all given recipes, and nothing is run."""

from __future__ import annotations

from collections.abc import Iterator

import click
from zoo.cli import options, output

from zoo.errors import UserError


@click.command()
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True)
@options.allow_code
def command(recipes: tuple[str, ...]) -> None:
    """Check recipes (names or files). A RECIPE with `=` in it is an override such as train.steps=200."""
    from zoo.recipe import load_recipe

    files = [recipe for recipe in recipes if not _is_override(recipe)]
    overrides = [recipe for recipe in recipes if _is_override(recipe)]
    if not files:
        raise UserError("no recipe given: name one, such as `zoo validate my.yaml`")
    problems: list[str] = []
    for name in files:
        try:
            loaded = load_recipe(name, overrides)
        except UserError as error:
            problems += error.problems
            continue
        for warning in (*loaded.warnings, *_missing(loaded)):
            output.echo(warning, err=True)
        output.echo(f"{name}  is valid")
    if problems:
        raise UserError(*dict.fromkeys(problems))


def _missing(loaded) -> Iterator[str]:
    """Of each data file that is not here: no mistake of the recipe, which may be meant for another machine."""
    from zoo.config.data import Files

    data = loaded.recipe.data
    for key, path in data.files() if isinstance(data, Files) else ():
        if not path.exists():
            from zoo.data.text_files import missing

            yield loaded.warning(key, missing(path))


def _is_override(text: str) -> bool:
    # A full-width equals sign stands for one, and what reads overrides says so.
    return ("=" in text or "＝" in text) and not text.endswith((".yaml", ".yml"))
