"""What `model.translate([text])` costs beside the compiled function that it calls.

    python benchmarks/call_overhead.py [NAME]

Both are called in turns with one text; printed are the medians and the median of the differences, with XLA and without.
"""

from __future__ import annotations

import statistics
import time

import click
from rich.console import Console
from rich.table import Table

import zoo

TEXT, TURNS, WARM = "Thursday, September 9th, 1999", 300, 20


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python"))
@click.argument("name", default="dates-multi-lstm-tiny")
def command(name: str) -> None:
    import keras

    task = zoo.load(name)
    table = Table(title=f"{name}, one text, milliseconds (median of {TURNS})", title_justify="left")
    for head in ("", "translate", "compiled function", "above it"):
        table.add_column(head, justify="right")
    for xla in (False, True):
        task.xla = xla
        rows = task.read([TEXT])
        function = task.core_function(task.settings(n_best=1), task.inputs_of(rows))
        given = {key: keras.ops.convert_to_tensor(ids) for key, ids in task.batch(rows).items()}

        def alone(function=function, given=given):
            return {key: keras.ops.convert_to_numpy(x) for key, x in function(given).items()}

        whole, bare = [], []
        for turn in range(WARM + TURNS):
            began = time.perf_counter()
            alone()
            between = time.perf_counter()
            task.translate([TEXT])
            ended = time.perf_counter()
            if turn >= WARM:
                bare.append((between - began) * 1000)
                whole.append((ended - between) * 1000)
        above = statistics.median(a - b for a, b in zip(whole, bare, strict=True))
        figures = (statistics.median(whole), statistics.median(bare), above)
        table.add_row("XLA" if xla else "no XLA", *(f"{figure:.2f}" for figure in figures))
    Console().print(table)


if __name__ == "__main__":
    command()
