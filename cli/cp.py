"""`zoo cp`: a recipe of the package becomes a file of one's own."""

from __future__ import annotations

from pathlib import Path

import click
from zoo.cli import output

from zoo import hub
from zoo.errors import UserError


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
def command(name: str, file: Path) -> None:
    """Copy the recipe NAME to FILE, to be changed there. An existing FILE is left alone."""
    source = hub.find_recipe(name)
    if file.is_dir():
        file = file / source.name
    if file.suffix not in (".yaml", ".yml"):
        raise UserError(f"{file}: a recipe's file name ends in .yaml, such as {file.with_suffix('.yaml')}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as target:
            target.write(source.read_bytes())
    except FileExistsError:
        raise UserError(f"{file}: is there already: choose another name, or remove it first") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror}; choose another folder") from None
    output.echo(f"{file}: change it, then `zoo train {file}`", err=True)
