"""`zoo show`: a recipe as it is written, or with every default and all it extends; a run's; a saved model's card."""

from __future__ import annotations

from pathlib import Path

import click
from zoo.cli import options, output


@click.command()
@click.argument("recipe", metavar="NAME|FILE|RUN|SAVED")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--resolved", is_flag=True, help="Every key with its value: defaults, `extends` and overrides worked in."
)
@click.option("--json", "as_json", is_flag=True, help="Print the resolved recipe as JSON.")
@options.allow_code
def command(recipe: str, overrides: tuple[str, ...], resolved: bool, as_json: bool) -> None:
    """Print a recipe; with --resolved, whole. Of a saved model (`zoo ls saved`) print its card, of a run every
    key that it was trained with."""
    from zoo import hub
    from zoo.recipe import dump_recipe, load_recipe
    from zoo.saved.page import PAGE

    known = recipe in hub.recipe_names()
    runs = [path for path in (Path(recipe), Path("runs") / recipe) if (path / "resolved.yaml").is_file()]
    if runs and not known:
        recipe = str(runs[0] / "resolved.yaml")
    elif recipe in hub.here_names() and not known:
        folder = hub.find_saved(recipe)
        if not (resolved or overrides or as_json):
            output.echo((folder / PAGE).read_text(encoding="utf-8"), nl=False)
            return
        recipe = str(folder / "recipe.yaml")
    loaded = load_recipe(recipe, overrides)
    if as_json:
        output.print_json(loaded.recipe.model_dump(mode="json"))
    elif resolved or overrides:
        output.echo(dump_recipe(loaded.recipe), nl=False)
    else:
        output.echo(loaded.text, nl=not loaded.text.endswith("\n"))
    for warning in loaded.warnings:
        output.echo(warning, err=True)
