"""Training speed beside the peers: the same models on the same batches, in turns.

    python benchmarks/train_speed.py --data DIR --venvs DIR

Each system is a process of its own (benchmarks/peers/systems/), which builds its model and warms up; then they take
turns, a round each, so that a noisy moment hits all of them. A ratio is the median over the turns of what this
project did in a turn over what the other did in the same turn. Tokens are target tokens that are not padding. The limit
is what the matrix products alone would take at the speed of NumPy's, measured in the same turns.

DIR of --data gets the sub-words and ids (once) from Multi30k, which it or $ZOO_DATA/multi30k must hold. DIR of --venvs
holds the peers' virtual environments (benchmarks/peers/README.md); peers without one are left out, and named.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from sides import PEERS, Side

MODELS = {
    "T-tiny": "Transformer 4+4, d 128, ff 256",
    "T-small": "Transformer 3+3, d 256, ff 1024",
    "RNN-attn": "bi-LSTM 256 + LSTM 256 + Bahdanau",
    "LM-LSTM": "LSTM language model 2 x 256",
    "LM-GPT": "GPT 4 x 128",
    "CLS": "LSTM classifier 128",
}
TRANSFORMERS = ("T-tiny", "T-small", "LM-GPT")


@dataclass
class System(Side):
    """A side with what it did."""

    models: tuple[str, ...] = tuple(MODELS)
    rates: list[float] = field(default_factory=list)
    flops: list[float] = field(default_factory=list)
    ready: dict = field(default_factory=dict)
    last: dict = field(default_factory=dict)

    def start(self, model: str, data: Path, venvs: Path | None, steps: int) -> None:
        """Builds and warms up."""
        self.rates, self.flops, self.last = [], [], {}
        self.ready = self.launch("rounds", model, data, venvs, "--steps", str(steps))

    def turn(self) -> None:
        """One round."""
        if self.process is None:
            return
        self.last = self.ask()
        if self.last:
            self.rates.append(self.last["tokens"] / self.last["seconds"])
            self.flops.append(self.last["flop"] / self.last["tokens"])


SYSTEMS = [
    System("zoo", "", "zoo", ("cores=1",)),
    System("zoo whole", "", "zoo"),
    System("zoo XLA", "", "zoo", ("xla=1",)),
    System("Keras", "kt", "keras_builtin"),
    System("Keras XLA", "kt", "keras_builtin", ("jit=1",), (*TRANSFORMERS, "LM-LSTM", "CLS")),
    System("KerasHub", "kt", "kerashub", (), TRANSFORMERS),
    System("PyTorch", "pt", "torch_nn"),
    System("PyTorch packed", "pt", "torch_nn", ("packed=1",), ("CLS",)),
    System("OpenNMT-tf", "onmt", "onmt_tf", (), ("T-tiny", "T-small", "LM-GPT", "RNN-attn")),
]


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python"))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of ids and error logs.")
@click.option(
    "--venvs", type=click.Path(path_type=Path, exists=True), help="Folder of the peers' environments."
)
@click.option("--models", default=",".join(MODELS), show_default=True, help="Rows.")
@click.option(
    "--systems", default="", help="Labels of the systems, with commas (default: all that are there)."
)
@click.option("--turns", default=10, show_default=True, type=click.IntRange(1), help="Rounds of each system.")
@click.option("--steps", default=5, show_default=True, type=click.IntRange(1), help="Steps of a round.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(data, venvs, models, systems, turns, steps, as_json) -> None:
    unknown = [name for name in models.split(",") if name not in MODELS]
    if unknown:
        raise click.BadParameter(f"unknown: {', '.join(unknown)}; known: {', '.join(MODELS)}")
    prepare(data)
    console = Console(stderr=True)
    wanted = [label for label in systems.split(",") if label]
    there = [s for s in SYSTEMS if s.there(venvs)]
    there = [s for s in there if not wanted or s.label in wanted]
    absent = [s.label for s in SYSTEMS if s not in there]
    if absent:
        console.print(f"not measured: {', '.join(absent)}", highlight=False)
    found = {model: measure(model, there, data, venvs, turns, steps, console) for model in models.split(",")}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for model, rows in found.items():
        Console(width=110).print(table(model, rows))


def prepare(data: Path) -> None:
    """Sub-words and ids of Multi30k, once."""
    if (data / "ids.npz").exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    source = Path(os.environ.get("ZOO_DATA", "")) / "multi30k"
    for split in ("train", "val", "test_2016_flickr"):
        for language in ("en", "de"):
            target, packed = data / f"{split}.{language}", source / f"{split}.{language}.gz"
            if not target.exists() and not packed.exists():
                raise click.UsageError(
                    f"{target}: missing, and so is {packed}: set ZOO_DATA, or put it there"
                )
            if not target.exists():
                target.write_bytes(gzip.decompress(packed.read_bytes()))
    env = {**os.environ, "BENCH_DATA": str(data.resolve())}
    subprocess.run([sys.executable, PEERS / "prep_data.py"], check=True, env=env, stdout=subprocess.DEVNULL)


def measure(model, systems, data, venvs, turns, steps, console) -> dict[str, dict]:
    """All systems that have this model, in turns: label -> figures."""
    chosen = [s for s in systems if model in s.models]
    limits = []
    try:
        for system in chosen:
            with console.status(f"{model}  {system.label}: building and warming up"):
                system.start(model, data, venvs, steps)
        with console.status(model) as status:
            for turn in range(turns):
                limits.append(matrix_speed())
                for system in chosen if turn % 2 else reversed(chosen):
                    status.update(f"{model}  turn {turn + 1} of {turns}: {system.label}")
                    system.turn()
    finally:
        for system in chosen:
            system.stop()
    return {s.label: figures(s, chosen[0], statistics.median(limits)) for s in chosen}


def figures(system: System, ours: System, limit: float) -> dict:
    """What is printed of a system; `error` alone where it could not run."""
    if not system.rates:
        return {"error": "did not run; see its .err file in the folder of --data"}
    speed = statistics.median(system.rates)
    ratios = [a / b for a, b in zip(ours.rates, system.rates, strict=False)]
    return {
        "tokens_per_second": speed,
        "best": max(system.rates),
        "zoo_over_it": statistics.median(ratios) if ratios else None,
        "share_of_limit": speed * statistics.median(system.flops) / limit,
        "warm_seconds": system.ready["warm_s"],
        "shapes": system.ready["shapes"],
        "peak_mb": system.last["rss_mb"],
        "parameters": system.ready["params"],
    }


def matrix_speed(size: int = 1536) -> float:
    """Floating-point operations a second of a float32 product of NumPy, the best of three."""
    x = np.ones((size, size), "float32")
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        x @ x
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def table(model: str, rows: dict[str, dict]) -> Table:
    """One row of the comparison as a table."""
    made = Table(title=f"{model}: {MODELS[model]}", title_justify="left")
    heads = ("system", "tokens/s", "best", "zoo / it", "of the limit", "warm-up s", "peak MB")
    for head in heads:
        made.add_column(head, justify="left" if head == "system" else "right", no_wrap=True)
    for label, row in rows.items():
        if "error" in row:
            made.add_row(label, row["error"])
            continue
        made.add_row(
            label,
            f"{row['tokens_per_second']:,.0f}",
            f"{row['best']:,.0f}",
            f"{row['zoo_over_it']:.2f}" if row["zoo_over_it"] else "-",
            f"{row['share_of_limit']:.0%}",
            f"{row['warm_seconds']:.1f}",
            f"{row['peak_mb']:,.0f}",
        )
    return made


if __name__ == "__main__":
    command()
