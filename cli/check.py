"""`zoo check`: does a model still score what its recipe expects?"""

from __future__ import annotations

from dataclasses import asdict

import click
from zoo.cli import output


@click.command()
@click.argument("names", metavar="[NAME|RUN]...", nargs=-1)
@click.option(
    "--all", "everything", is_flag=True, help="Every model of `zoo ls saved` that is on this machine."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Measure again what the recipe of NAME (or of a RUN) expects, under `expect`, and say pass or fail.

    Files must be those of the index, the figure within its tolerance (a better one passes), and every sample
    of the card must be answered as the card says. The exit code is 1 where any does not pass.
    """
    from zoo import hub
    from zoo.errors import UserError

    if bool(names) == everything:
        raise UserError("give names (`zoo ls saved` lists them) or --all" + (", not both" if names else ""))
    names = names or tuple(hub.here_names())

    from zoo.cli import quiet

    quiet.start()
    from zoo.saved.check import check

    found = [check(name, lambda line: output.echo(f"checking {line} …", err=True)) for name in names]
    if as_json:
        output.print_json([{**asdict(one), "passed": one.passed} for one in found])
    else:
        rows = [
            {
                "name": one.name,
                "figure": " ".join(filter(None, [one.metric, one.split and f"({one.split})"])),
                "expected": one.expected,
                "measured": one.measured,
                "samples": one.samples,
                "verdict": "pass" if one.passed else f"FAIL: {one.problem}",
            }
            for one in found
        ]
        output.table(rows)
    ctx.exit(0 if all(one.passed for one in found) else 1)
