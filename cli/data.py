"""`zoo data`: what a model of this recipe would see. No model, no TensorFlow."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click
import numpy as np
from zoo.cli import output

from zoo.config.data import Generated
from zoo.data.datasets import Dataset, load_dataset

BINS = 8  # of a histogram, up to data.max_length
UNKNOWN_LIMIT, SAME_LIMIT = 0.01, 0.05


@click.command()
@click.argument("recipe", metavar="RECIPE")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--samples", default=5, show_default=True, help="Sample pairs to show.", type=click.IntRange(0))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(recipe: str, overrides: tuple[str, ...], samples: int, as_json: bool) -> None:
    """Read a recipe's data and show counts, samples in tokens, lengths, unknown and copied texts."""
    from zoo.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    for warning in loaded.warnings:
        click.echo(warning, err=True)
    facts = describe(loaded.recipe, load_dataset(loaded.recipe), samples)
    if as_json:
        output.print_json(facts)
    else:
        _print(facts)
        for warning in facts["warnings"]:
            click.echo(f"warning: {warning}", err=True)


def describe(recipe, dataset: Dataset, samples: int) -> dict[str, Any]:
    """All that the command prints."""
    from zoo.data.encoded import encode_split
    from zoo.data.pipeline import Batches
    from zoo.data.tokenizers import train_tokenizer

    translates = recipe.task == "translation"
    tokenizer = train_tokenizer(recipe.tokenizer, dataset.tokenizer_texts(recipe.task))
    labels = None if translates else dataset.labels()
    encoded = {
        name: encode_split(split, tokenizer, labels, cache=False) for name, split in dataset.splits().items()
    }
    batches = Batches(recipe, encoded["train"], training=True)
    unknown = {"source": tokenizer.unknown_rate(dataset.val.sources)}
    if translates:
        unknown["target"] = tokenizer.unknown_rate(dataset.val.targets)
    pieces = tokenizer.pieces
    same = sum(source == target for source, target in dataset.train) / len(dataset.train)
    limit = recipe.data.max_length
    sides = {"source": encoded["train"].sources} | (
        {"target": encoded["train"].targets} if translates else {}
    )
    splits = []
    for name, split in dataset.splits().items():
        row = {"split": name, "rows": len(split), "source_tokens": len(encoded[name].sources.ids)}
        splits.append(row | ({"target_tokens": len(encoded[name].targets.ids)} if translates else {}))
    warnings = list(dataset.report.warnings)
    for side, rate in unknown.items():
        if rate > UNKNOWN_LIMIT:
            warnings.append(
                f"{rate:.1%} of the {side} tokens of val are unknown to the tokenizer: "
                "raise tokenizer.vocabulary_size, or use sentencepiece with byte_fallback"
            )
    if same > SAME_LIMIT and not _meant(recipe.data):
        warnings.append(f"{same:.1%} of the training rows have the same text on both sides: is that meant?")
    if batches.too_long * 20 > len(dataset.train):
        warnings.append(
            f"{batches.too_long / len(dataset.train):.1%} of the training rows have more tokens "
            f"than data.max_length ({limit}) and are left out: raise it, or use longer pieces"
        )
    return {
        "dataset": recipe.data.name,
        "address": dataset.address,
        "licence": dataset.licence,
        "splits": splits,
        "report": dataset.report.counts,
        "tokenizer": {"name": recipe.tokenizer.name, "vocabulary_size": tokenizer.vocabulary_size},
        "unknown_rate": unknown,
        "same_rate": same,
        "over_max_length": batches.too_long / len(dataset.train),
        "padding_share": batches.padding_share(),
        "shapes": batches.shapes,
        "labels": dict(Counter(dataset.train.targets).most_common()) if labels else None,
        "lengths": {side: histogram(rows.lengths + 1, limit) for side, rows in sides.items()},
        "samples": [
            {
                "source": source,
                "source_pieces": [pieces[i] for i in tokenizer.encode(source)],
                "target": target,
                "target_pieces": [pieces[i] for i in tokenizer.encode(target)] if translates else None,
            }
            for source, target in list(dataset.train)[:samples]
        ],
        "warnings": warnings,
    }


def _meant(data) -> bool:
    """Whether equal sides belong to the task; a generated ISO date is its own answer, too."""
    return isinstance(data, Generated) or getattr(data, "target", None) == "copy"


def histogram(lengths: np.ndarray, limit: int) -> list[dict[str, int | None]]:
    """How many texts have how many tokens (end mark included); the last bin is what is over the limit."""
    width = -(-limit // BINS)
    bins = []
    for start in range(1, limit + 1, width):
        end = min(start + width - 1, limit)
        bins.append({"from": start, "to": end, "texts": int(((lengths >= start) & (lengths <= end)).sum())})
    return [*bins, {"from": limit + 1, "to": None, "texts": int((lengths > limit).sum())}]


def _print(facts: dict[str, Any]) -> None:
    click.echo(
        f"{facts['dataset']}  {facts['address'] or 'files of your own'}  (licence: {facts['licence']})\n"
    )
    for row in facts["splits"]:
        tokens = ", ".join(f"{row[f'{side}_tokens']:,} {side} tokens" for side in facts["lengths"])
        click.echo(f"{row['split']:<5}  {row['rows']:,} rows, {tokens}")
    for what, row in facts["report"].items():
        if what != "rows":  # stands above
            click.echo(f"{what}: " + ", ".join(f"{split} {number:,}" for split, number in row.items()))
    tokenizer = facts["tokenizer"]
    shapes = ", ".join("x".join(map(str, shape)) for shape in facts["shapes"])
    rates = ", ".join(f"{side} {rate:.2%}" for side, rate in facts["unknown_rate"].items())
    rows = [
        ("tokenizer", f"{tokenizer['name']}, {tokenizer['vocabulary_size']:,} pieces"),
        ("unknown tokens in val", rates),
        ("source = target", f"{facts['same_rate']:.2%} of the training rows"),
        ("over data.max_length", f"{facts['over_max_length']:.2%} of the training rows, left out"),
        ("padding", f"{facts['padding_share']:.1%} of the places in training batches"),
        ("batch shapes", f"{shapes}  (rows x source x target)"),
    ]
    click.echo()
    for what, value in rows:
        click.echo(f"{what:<22}  {value}")
    for side, bins in facts["lengths"].items():
        _print_bars(
            f"{side} tokens",
            {f"{b['from']}-{b['to']}" if b["to"] else f"over {b['from'] - 1}": b["texts"] for b in bins},
        )
    if facts["labels"]:
        _print_bars("label", facts["labels"])
    if facts["samples"]:
        click.echo("\nsamples")
    for sample in facts["samples"]:
        click.echo(f"  {output.cell(sample['source'])}  ->  {output.cell(sample['target'])}")
        click.echo(f"    {' '.join(sample['source_pieces'])}")
        if sample["target_pieces"] is not None:
            click.echo(f"    {' '.join(sample['target_pieces'])}")


def _print_bars(title: str, counts: dict[str, int]) -> None:
    """Counts with bars; without the bars where no person looks."""
    click.echo(f"\n{title}")
    largest, width = max(1, *counts.values()), max(map(len, counts))
    for name, count in counts.items():
        bar = "█" * round(40 * count / largest) if output.is_terminal() else ""
        click.echo(f"  {name:<{width}}  {count:>9,}  {bar}".rstrip())
