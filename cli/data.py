"""`zoo data`: what a model of this recipe would see. No model, no TensorFlow."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import click
import numpy as np
from zoo.cli import options, output

from zoo.config.tasks import STREAMS
from zoo.data.datasets import Dataset, Split, answers, load_dataset
from zoo.data.warnings import data_warnings, side_of, sides_of, unknown_rate
from zoo.data.words import split_words
from zoo.text import one_line

BINS = 8  # of a histogram, up to data.max_length


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--samples", default=5, show_default=True, help="Sample pairs to show.", type=click.IntRange(0))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@options.allow_code
def command(recipe: str, overrides: tuple[str, ...], samples: int, as_json: bool) -> None:
    """Read a recipe's data and show counts, samples in tokens, lengths, unknown and copied texts."""
    from zoo.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    for warning in loaded.warnings:
        output.echo(warning, err=True)
    facts = describe(loaded.recipe, load_dataset(loaded.recipe), samples)
    if as_json:
        output.print_json(facts)
    else:
        _print(facts)
        for warning in facts["warnings"]:
            output.echo(f"warning: {warning}", err=True)


def describe(recipe, dataset: Dataset, samples: int) -> dict[str, Any]:
    """All that the command prints; what a task does not have is None or left out."""
    from zoo.data.encoded import encode_split
    from zoo.data.pipeline import make_batches
    from zoo.data.vocabulary import make_tokenizer

    task, limit = recipe.task, recipe.data.max_length
    tokenizer = make_tokenizer(recipe, dataset)
    labels = dataset.labels(task)
    encoded = {
        name: encode_split(split, tokenizer, task, labels, cache=False)
        for name, split in dataset.splits().items()
    }
    batches = make_batches(recipe, encoded["train"], True, tokenizer)
    sides = sides_of(task)
    rows = len(dataset.train)
    streams = task in STREAMS
    same = sum(source == target for source, target in dataset.train) / rows if len(sides) == 2 else None
    too_long = None if streams else batches.too_long / rows
    return {
        "dataset": recipe.data.name,
        "task": task,
        "address": dataset.address,
        "licence": dataset.licence,
        "splits": [
            {"split": name, "rows": len(split)}
            # The begin mark of a stream is no token of its text.
            | {f"{side}_tokens": len(side_of(encoded[name], side).ids) - streams for side in sides}
            for name, split in dataset.splits().items()
        ],
        "report": dataset.report.counts,
        "tokenizer": {"name": recipe.tokenizer.name, "vocabulary_size": tokenizer.vocabulary_size},
        "unknown_rate": {side: unknown_rate(encoded["val"], side) for side in sides},
        "same_rate": same,
        "over_max_length": too_long,
        "batches": len(batches),
        "padding_share": batches.padding_share(),
        "shapes": batches.shapes,
        "labels": _label_counts(task, dataset.train) if labels else None,
        "lengths": {}
        if streams
        else {
            side: histogram(side_of(encoded["train"], side).lengths + (task != "tagging"), limit)
            for side in sides
        },
        "samples": SAMPLES[task](dataset.train, tokenizer, samples),
        "warnings": data_warnings(recipe, dataset, encoded, tokenizer, batches.too_long),
    }


def _label_counts(task: str, split: Split) -> dict[str, int]:
    return dict(Counter(label for target in split.targets for label in answers(task, target)).most_common())


# --- samples of each task: rows that `_print_sample` can show ---


def _pairs(split: Split, tokenizer, count: int, two_sided: bool) -> list[dict[str, Any]]:
    pieces = tokenizer.pieces
    return [
        {
            "source": source,
            "source_pieces": [pieces[i] for i in tokenizer.encode(source)],
            "target": target,
            "target_pieces": [pieces[i] for i in tokenizer.encode(target)] if two_sided else None,
        }
        for source, target in list(split)[:count]
    ]


def _tagged(split: Split, tokenizer, count: int) -> list[dict[str, Any]]:
    pieces = tokenizer.pieces
    return [
        {
            "words": split_words(source),
            "tags": answers("tagging", target),
            "source_pieces": [
                pieces[i] for word in tokenizer.encode_words(split_words(source)) for i in word
            ],
        }
        for source, target in list(split)[:count]
    ]


def _lines(split: Split, tokenizer, count: int) -> list[dict[str, Any]]:
    pieces = tokenizer.pieces
    lines = islice((line for text in split.sources for line in text.removesuffix("\n").split("\n")), count)
    return [{"source": line, "source_pieces": [pieces[i] for i in tokenizer.encode(line)]} for line in lines]


SAMPLES = {
    "translation": lambda *given: _pairs(*given, two_sided=True),
    "classification": lambda *given: _pairs(*given, two_sided=False),
    "tagging": _tagged,
    "language_modeling": _lines,
    "masked_language_modeling": _lines,
}


def histogram(lengths: np.ndarray, limit: int) -> list[dict[str, int | None]]:
    """How many texts have how many tokens (end mark included); the last bin is what is over the limit."""
    width = -(-limit // BINS)
    bins = []
    for start in range(1, limit + 1, width):
        end = min(start + width - 1, limit)
        bins.append({"from": start, "to": end, "texts": int(((lengths >= start) & (lengths <= end)).sum())})
    return [*bins, {"from": limit + 1, "to": None, "texts": int((lengths > limit).sum())}]


def _print(facts: dict[str, Any]) -> None:
    output.echo(
        f"{facts['dataset']}  {facts['address'] or 'files of your own'}  (licence: {facts['licence']})\n"
    )
    streams, two_sided = facts["task"] in STREAMS, facts["task"] == "translation"
    unit = "documents" if streams else "rows"
    for row in facts["splits"]:
        sides = [side for side in ("source", "target") if f"{side}_tokens" in row]
        tokens = ", ".join(
            f"{row[f'{side}_tokens']:,} {f'{side} ' if two_sided else ''}tokens" for side in sides
        )
        counted = unit if row["rows"] != 1 else unit.removesuffix("s")
        output.echo(f"{row['split']:<5}  {row['rows']:,} {counted}, {tokens}")
    for what, row in facts["report"].items():
        if what != unit:  # stands above
            output.echo(f"{what}: " + ", ".join(f"{split} {number:,}" for split, number in row.items()))
    output.echo()
    for what, value in _summary(facts):
        output.echo(f"{what:<22}  {value}")
    for side, bins in facts["lengths"].items():
        _print_bars(
            f"{side} tokens",
            {f"{b['from']}-{b['to']}" if b["to"] else f"over {b['from'] - 1}": b["texts"] for b in bins},
        )
    if facts["labels"]:
        _print_bars("tag" if facts["task"] == "tagging" else "label", facts["labels"])
    if facts["samples"]:
        output.echo("\nfirst lines" if streams else "\nsamples")
    for sample in facts["samples"]:
        _print_sample(sample)


def _summary(facts: dict[str, Any]) -> list[tuple[str, str]]:
    tokenizer, shapes = facts["tokenizer"], facts["shapes"]
    two_sided = facts["task"] == "translation"
    shown = ", ".join("x".join(map(str, shape if two_sided else shape[:2])) for shape in shapes)
    rates = facts["unknown_rate"]
    unknown = ", ".join(f"{side} {rate:.2%}" if two_sided else f"{rate:.2%}" for side, rate in rates.items())
    rows = [
        ("tokenizer", f"{tokenizer['name']}, {tokenizer['vocabulary_size']:,} pieces"),
        ("unknown tokens in val", unknown),
    ]
    if facts["same_rate"] is not None:
        rows.append(("source = target", f"{facts['same_rate']:.2%} of the training rows"))
    if facts["over_max_length"] is not None:
        over = f"{facts['over_max_length']:.2%} of the training rows, left out"
        rows.append(("over data.max_length", over))
    return [
        *rows,
        ("padding", f"{facts['padding_share']:.1%} of the places in training batches"),
        ("batches", f"{facts['batches']:,} an epoch"),
        ("batch shapes", f"{shown}  (rows x {'source x target' if two_sided else 'tokens'})"),
    ]


def _print_sample(sample: dict[str, Any]) -> None:
    """The text with its answer, then its pieces."""
    if "tags" in sample:
        tagged = zip(sample["words"], sample["tags"], strict=True)
        output.echo("  " + " ".join(f"{word}/{tag}" for word, tag in tagged))
    elif "target" in sample:
        output.echo(f"  {output.cell(sample['source'])}  ->  {output.cell(sample['target'])}")
    else:
        output.echo(f"  {one_line(sample['source'])}".rstrip())
    output.echo(f"    {one_line(' '.join(sample['source_pieces']))}".rstrip())
    if sample.get("target_pieces") is not None:
        output.echo(f"    {one_line(' '.join(sample['target_pieces']))}")


def _print_bars(title: str, counts: dict[str, int]) -> None:
    """Counts with bars; without the bars where no person looks."""
    output.echo(f"\n{title}")
    largest, width = max(1, *counts.values()), max(map(len, counts))
    for name, count in counts.items():
        bar = "█" * round(40 * count / largest) if output.is_terminal() else ""
        output.echo(f"  {name:<{width}}  {count:>9,}  {bar}".rstrip())
