"""Where the time of a training step goes, operation by operation, by TensorFlow's profiler.

    python benchmarks/train_profile.py T-tiny --data DIR

The model, its batches and DIR are those of train_speed.py. Times are of threads: what two threads do at once counts
twice, and the profiler itself costs a little.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "peers"))
from profiler import events
from train_speed import MODELS, prepare

STEPS = 3


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python"))
@click.argument("model", type=click.Choice(list(MODELS)))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of ids.")
@click.option("--top", default=16, show_default=True, help="Kinds of operations shown.")
def command(model: str, data: Path, top: int) -> None:
    prepare(data)
    os.environ.update(BENCH_DATA=str(data.resolve()), TF_CPP_MIN_LOG_LEVEL="3")
    import common

    system = importlib.import_module("systems.zoo").build(model, common.VOCAB)
    batches = common.batches_for(model, common.load())
    shapes = Counter(batch.shape for batch in batches)
    batch = next(b for b in batches if b.shape == shapes.most_common(1)[0][0])
    for _ in range(3):
        system.train_step(batch)
    began = time.perf_counter()
    for _ in range(10):
        system.train_step(batch)
    milliseconds = (time.perf_counter() - began) * 100
    times, counts = operations(lambda: system.train_step(batch))
    whole = sum(times.values())
    made = Table(title=f"{model}, batch {batch.shape}: {milliseconds:.0f} ms a step", title_justify="left")
    for head in ("operation", "ms of threads", "share", "times"):
        made.add_column(head, justify="left" if head == "operation" else "right")
    for name, spent in times.most_common(top):
        made.add_row(name, f"{spent:.1f}", f"{spent / whole:.0%}", str(counts[name] // STEPS))
    Console().print(made)


def operations(step) -> tuple[Counter, Counter]:
    """Milliseconds of a step and how often, by kind of operation; those of the output layer's loop apart."""
    times, counts = Counter(), Counter()
    for name, milliseconds in events(step, STEPS):
        where, _, kind = name.rpartition(":")
        if where and "::" not in name and not where.startswith(("Eager", "$", "Thread")):
            kind = kind.removeprefix("_Mkl") + (" (output layer)" if where.startswith("while/body") else "")
            times[kind] += milliseconds / STEPS
            counts[kind] += 1
    return times, counts


if __name__ == "__main__":
    command()
