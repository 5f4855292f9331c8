"""`zoo fetch`: a trained model from elsewhere, proved and kept in the cache."""

from __future__ import annotations

import click
from zoo.cli import output


@click.command()
@click.argument("name")
@click.option(
    "--index",
    metavar="ADDRESS|PATH",
    help="An index.yaml, or the folder that has one, as `zoo publish` writes it (default: this package's).",
)
def command(name: str, index: str | None) -> None:
    """Bring the saved model NAME here; after that it is loaded by its name, offline.

    Every file must have the size and the sha256 that the index says; else nothing is kept. It goes into
    $ZOO_CACHE, else ~/.cache/zoo. Standard output is its folder.
    """
    from zoo.saved.fetch import fetch

    with output.progress(f"fetching {name}") as tell:
        folder = fetch(name, index, tell)
    output.echo(str(folder))
