"""`zoo publish`: a run becomes a saved model with a card."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource
from zoo.cli import output


@click.command()
@click.argument("run", metavar="RUN|SAVED")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    default=Path("saved_models"),
    show_default=True,
    help="The folder of saved models; its index.yaml is made or added to.",
)
@click.option("--name", help="What it is called (default: the last part of the recipe's name).")
@click.option(
    "--summary", help="What it does, in a sentence (default: the first one of the recipe's header)."
)
@click.option("--licence", help="Of the weights (default: that of a public data set).")
@click.option(
    "--ask", multiple=True, metavar="TEXT", help="A text, or prompt, whose answer the card shows; repeatable."
)
@click.option(
    "--seed-run",
    "seeds",
    multiple=True,
    metavar="RUN",
    help="A run that differs in its seed alone; the card gives the mean of all; repeatable.",
)
@click.option(
    "--exports/--no-exports", default=True, show_default=True, help="Measure its exported files too."
)
@click.option(
    "--replace", is_flag=True, help="Take the place of the model that is published under this name."
)
def command(run: str, to: Path, seeds: tuple[str, ...], **said) -> None:
    """Make a saved model of RUN, which others load by its name: data alone, with a card of what it reaches.

    Weights are written in fewer bytes where that costs nothing. All figures of the card are measured on the files as
    they are published, on validation and on test, which is read here; SavedModel and TFLite files are made and
    measured. RUN may be an average of weights (`zoo average`). What you write into card.md below its last comment
    stays.

    Of SAVED, the folder of a saved model, card.md and the index are written anew from its card.yaml.

    Whoever has the folder on a server or disk is served by `zoo fetch NAME --index ADDRESS`.
    """
    from zoo.hub import find_model
    from zoo.saved.card import CARD

    if (Path(run) / CARD).is_file():
        from zoo.errors import UserError
        from zoo.saved.entry import refresh

        source = click.get_current_context().get_parameter_source
        options = {"seeds": "seed-run", **{name: name for name in ("to", *said)}}
        given = [f"--{options[name]}" for name in options if source(name) is ParameterSource.COMMANDLINE]
        if given:
            raise UserError(f"{run}: is published already; {', '.join(given)}: is for a run")
        refresh(Path(run))
        output.echo(run)
        return
    path = find_model(run)
    seed_runs = [find_model(seed) for seed in seeds]

    from zoo.cli import quiet

    quiet.start()
    from zoo.saved.publish import Wishes, publish

    wishes = Wishes(seeds=seed_runs, **said)
    folder = publish(path, to, wishes, lambda line: output.echo(f"{line} …", err=True))
    output.echo(str(folder))
    zoo = output.program("zoo")
    lines = [
        "Try next:",
        f"  {folder / 'card.md'}  read it, and write below it what the figures do not say",
        f"  {zoo} check {folder}",
        f"  {zoo} fetch {folder.name} --index {to}",
    ]
    output.echo("\n".join(lines), err=True)
