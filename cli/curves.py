"""`zoo curves`: the validations of runs as a table, and what it took until they were good enough."""

from __future__ import annotations

from collections.abc import Sequence

import click
from zoo.cli import output


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Figure of the validation; may be repeated."
)
@click.option(
    "--reach",
    "values",
    multiple=True,
    type=float,
    metavar="VALUE",
    help="Instead: steps, tokens and minutes until the figure was first as good as this; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(runs: Sequence[str], metrics: Sequence[str], values: Sequence[float], as_json: bool) -> None:
    """Print the validations of RUNs: step, target tokens, minutes, loss and figures; `zoo plot` draws them.

    With --reach print what it took each run to reach a value, so that models are compared by the time and the text
    that they need. Without --metric the figures are those that decide which weights are the best. Runs may still be
    training.
    """
    from zoo import curves

    folders = list(dict.fromkeys(curves.find_run(run) for run in runs))
    logged = curves.read_runs(folders)
    metrics = curves.choose_metrics(logged, metrics)
    if values:
        rows = [curves.reached(run, name, value) for name in metrics for value in values for run in logged]
    else:
        rows = [row for run in logged for row in curves.validations(run, metrics)]
    output.table(rows, list(dict.fromkeys(column for row in rows for column in row)), as_json)
    if not rows and not as_json:
        output.echo("nothing was validated yet", err=True)
