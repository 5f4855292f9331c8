"""`zoo average`: the mean of a run's last or best weights, a model of its own."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from zoo.cli import options


@click.command()
@click.argument("run", metavar="RUN")
@click.option(
    "--last", type=click.IntRange(1), metavar="N", help="Of the N newest validations (default: all)."
)
@click.option(
    "--best", type=click.IntRange(1), metavar="N", help="Of the N best ones, by the recipe's train.metric."
)
@click.option("--to", type=click.Path(path_type=Path), help="Folder for the average (default: RUN-average).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@options.allow_code
def command(run: str, last: int | None, best: int | None, to: Path | None, as_json: bool) -> None:
    """Average the weights that RUN kept (train.keep: N), and compare the average with each of them.

    The folder is taken wherever a saved model is: `zoo eval`, `predict`, `generate`, `export`, `zoo.load`,
    train.init_from. Of a run with train.ema the kept weights are moving averages already.
    """
    from zoo.cli import output, quiet

    from zoo.errors import UserError
    from zoo.hub import find_model
    from zoo.training import kept

    if last and best:
        raise UserError("--last or --best, not both")
    source = kept.averaged_run(find_model(run))
    steps, folder = kept.choose(source, last, best), kept.target(source, to)
    validations = kept.validations(source)

    quiet.start()
    from zoo.training.average import average

    record = average(source, steps, folder, bool(best))
    rows = [{"weights": "average", **record["val"]}]
    for step in reversed(steps):
        figures = {name: validations[step].get(f"val_{name}") for name in record["val"]}
        rows.insert(0, {"weights": f"step {step}", **figures})
    if as_json:
        output.print_json({"folder": str(folder), **record, "singles": rows[:-1]})
        return
    output.table(rows, title=f"validation of {run}")
    shown = shlex.quote(str(folder))
    lines = [f"average of {len(steps)} weights: {folder}", "next", f"  {output.program('zoo')} eval {shown}"]
    output.echo("\n".join(lines), err=True)
