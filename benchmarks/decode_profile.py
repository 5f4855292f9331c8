"""Where the time of a decoding step goes, operation by operation, by TensorFlow's profiler.

    python benchmarks/decode_profile.py T-tiny --data DIR --batch 64 --beam 4 --xla

The model, its sentences and DIR are those of decode_speed.py. Times are of threads: what two threads do at once counts
twice. Under XLA several operations are one: a fusion is named after those at its end. `select` fusions write the new
keys and values into the caches, the largest MatMul is the output layer's.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "peers"))
from decode_speed import MODELS
from profiler import events
from train_speed import prepare

CALLS, TOKENS = 3, 20
WRAPPERS = re.compile(
    r"::|^(Eager|TFE|Kernel|Block|Thunk|Slinky|\$|Thread|Executor|<lambda>|__inference|Parallel|while:)"
)


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python"))
@click.argument("model", type=click.Choice(list(MODELS)))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of ids.")
@click.option("--batch", default=64, show_default=True, type=click.IntRange(1))
@click.option("--beam", default=4, show_default=True, type=click.IntRange(1))
@click.option("--xla", is_flag=True)
@click.option("--top", default=14, show_default=True, help="Kinds of operations shown.")
def command(model: str, data: Path, batch: int, beam: int, xla: bool, top: int) -> None:
    prepare(data)
    os.environ.update(BENCH_DATA=str(data.resolve()), TF_CPP_MIN_LOG_LEVEL="3")
    import common

    system = importlib.import_module("systems.zoo").build(model, common.VOCAB, xla=str(int(xla)))
    ids = common.test_sources(common.load(), batch, batch)[0]

    def decode():
        return system.decode(ids, TOKENS, beam)

    for _ in range(3):
        decode()
    began = time.perf_counter()
    for _ in range(5):
        decode()
    milliseconds = (time.perf_counter() - began) * 1000 / 5 / TOKENS
    times, counts = operations(decode)
    whole = sum(times.values())
    title = f"{model}, batch {batch}, beam {beam}{', XLA' if xla else ''}: {milliseconds:.2f} ms a token"
    made = Table(title=title, title_justify="left")
    for head in ("operation", "ms of threads", "share", "times"):
        made.add_column(head, justify="left" if head == "operation" else "right")
    for name, spent in times.most_common(top):
        made.add_row(name, f"{spent:.2f}", f"{spent / whole:.0%}", f"{counts[name] / CALLS / TOKENS:.1f}")
    Console().print(made)


def operations(call) -> tuple[Counter, Counter]:
    """Milliseconds of a token by kind of operation, and how often each ran."""
    times, counts = Counter(), Counter()
    for name, milliseconds in events(call, CALLS):
        if not WRAPPERS.search(name):
            kind = re.sub(r"[.\d_]+$", "", name.rpartition(":")[2].removeprefix("_Mkl"))
            times[kind] += milliseconds / CALLS / TOKENS
            counts[kind] += 1
    return times, counts


if __name__ == "__main__":
    command()
