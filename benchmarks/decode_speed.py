"""Decoding speed beside the peers: the same models, the same sentences, in turns.

    python benchmarks/decode_speed.py --data DIR --venvs DIR

Every answer has 20 tokens, none may end before. Each system is a process of its own (benchmarks/peers/systems/); for
each cell, a batch size and a number of beams, all warm up and then take turns, a round each, so that a noisy moment
hits all of them. Printed is the median of a system's rounds in sentences a second, and for each cell the ratio of
the fastest of this project's to the fastest of the peers in the same turn (median over the turns). Weights are random;
sentences are those of Multi30k's test set, sorted by length. DIR as in train_speed.py.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from sides import Side
from train_speed import prepare

MODELS = {
    "T-tiny": "Transformer 4+4, d 128, ff 256",
    "T-small": "Transformer 3+3, d 256, ff 1024",
    "RNN-attn": "bi-LSTM 256 + LSTM 256 + Bahdanau",
}
TRANSFORMERS = ("T-tiny", "T-small")
CELLS = ((1, 1), (1, 4), (64, 1), (64, 4))


@dataclass
class System(Side):
    """A side with what it did."""

    models: tuple[str, ...] = tuple(MODELS)
    rounds: dict = field(default_factory=dict)
    """(batch, beams) -> sentences a second of each round; none where it does not run."""

    @property
    def ours(self) -> bool:
        return not self.venv

    def start(self, model: str, data: Path, venvs: Path | None) -> None:
        """Builds it."""
        self.rounds = {}
        self.launch("decode_rounds", model, data, venvs, "--count1", "16")

    def turn(self, cell: tuple[int, int]) -> dict:
        """The first round of a cell warms up; an error takes it out of this cell."""
        return self.ask(f"{cell[0]} {cell[1]}") or {"error": "did not start, or ended; see its .err file"}


SYSTEMS = [
    System("zoo Python", "", "zoo"),
    System("zoo Python XLA", "", "zoo", ("xla=1",)),
    System("zoo SavedModel", "", "zoo", ("target=saved_model",)),
    System("zoo TFLite", "", "zoo", ("target=tflite",)),
    System("zoo TFLite int8", "", "zoo", ("target=tflite", "quantize=dynamic_int8")),
    System("zoo ONNX", "", "zoo", ("target=onnx",)),
    System("KerasHub", "kt", "kerashub", (), TRANSFORMERS),
    System("OpenNMT-tf", "onmt", "onmt_tf"),
    System("HF Marian", "pt", "hf", (), TRANSFORMERS),
    System("JoeyNMT", "joey", "joey"),
    System("CTranslate2", "pt", "ct2", (), TRANSFORMERS),
    System("CTranslate2 int8", "pt", "ct2", ("compute=int8",), TRANSFORMERS),
]


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python"))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Folder of ids and error logs.")
@click.option(
    "--venvs", type=click.Path(path_type=Path, exists=True), help="Folder of the peers' environments."
)
@click.option("--models", default=",".join(MODELS), show_default=True, help="Tables.")
@click.option("--systems", default="", help="Labels of the systems, with commas (default: all there are).")
@click.option("--turns", default=3, show_default=True, type=click.IntRange(1), help="Rounds of each system.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(data, venvs, models, systems, turns, as_json) -> None:
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
    found = {}
    for model in models.split(","):
        found[model] = measure(model, [s for s in there if model in s.models], data, venvs, turns, console)
        if not as_json:
            Console(width=110).print(table(model, found[model]))
    if as_json:
        click.echo(json.dumps(found, indent=2))


def measure(model: str, systems: list[System], data: Path, venvs, turns: int, console: Console) -> dict:
    """Cell by cell, all systems in turns: {"systems": label -> cell -> figure, "ratios": cell -> ...}."""
    try:
        for system in systems:
            with console.status(f"{model}  {system.label}: building"):
                system.start(model, data, venvs)
        for cell in CELLS:
            ready = []
            for system in systems:
                with console.status(f"{model}  {cell}  {system.label}: warming up"):
                    answer = system.turn(cell)
                if "error" in answer:
                    console.print(f"{model} {cell} {system.label}: {answer['error']}", highlight=False)
                else:
                    ready.append(system)
            for turn in range(turns):
                for system in ready if turn % 2 else ready[::-1]:
                    with console.status(f"{model}  {cell}  turn {turn + 1} of {turns}: {system.label}"):
                        answer = system.turn(cell)
                    if "seconds" in answer:
                        rate = answer["sentences"] / answer["seconds"]
                        system.rounds.setdefault(cell, []).append(rate)
    finally:
        for system in systems:
            system.stop()
    rates = {s.label: {name(c): statistics.median(r) for c, r in s.rounds.items()} for s in systems}
    peers = [s for s in systems if not s.ours]
    fast = [s for s in peers if s.label.startswith("CTranslate2")]
    slow = [s for s in peers if s not in fast]
    ours = [s for s in systems if s.ours]
    return {
        "systems": rates,
        "over_the_peers": {name(c): ratio(ours, slow, c) for c in CELLS},
        "over_ctranslate2": {name(c): ratio(ours, fast, c) for c in CELLS},
    }


def name(cell: tuple[int, int]) -> str:
    return f"batch {cell[0]}, " + ("greedy" if cell[1] == 1 else f"beam {cell[1]}")


def ratio(ours: list[System], others: list[System], cell: tuple[int, int]) -> float | None:
    """Our fastest over their fastest, each chosen by its median, round by round."""

    def fastest(systems):
        return max(
            (s.rounds[cell] for s in systems if s.rounds.get(cell)), key=statistics.median, default=None
        )

    one, other = fastest(ours), fastest(others)
    if one is None or other is None:
        return None
    return statistics.median(a / b for a, b in zip(one, other, strict=False))


def table(model: str, found: dict) -> Table:
    """Sentences a second, and at the end how many times our fastest is faster."""
    made = Table(title=f"{model}: {MODELS[model]}; sentences a second", title_justify="left")
    for head in ("system", *map(name, CELLS)):
        made.add_column(head, justify="left" if head == "system" else "right", no_wrap=True)
    for label, cells in found["systems"].items():
        made.add_row(label, *(f"{cells[name(c)]:,.1f}" if name(c) in cells else "-" for c in CELLS))
    made.add_section()
    for key, label in (
        ("over_the_peers", "fastest / best peer"),
        ("over_ctranslate2", "fastest / CTranslate2"),
    ):
        figures = (found[key][name(c)] for c in CELLS)
        made.add_row(label, *(f"{figure:.2f}" if figure else "-" for figure in figures))
    return made


if __name__ == "__main__":
    command()
