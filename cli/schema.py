"""`zoo schema`: the JSON Schema of recipes."""

from __future__ import annotations

import click
from zoo.cli import output


@click.command()
def command() -> None:
    """Print the JSON Schema of recipes.

    An editor with a YAML language server completes and checks recipes with it: run
    `zoo schema > recipe.schema.json`, and begin a recipe with the line

    \b
    # yaml-language-server: $schema=recipe.schema.json
    """
    from zoo.recipe import json_schema

    output.print_json(json_schema())
