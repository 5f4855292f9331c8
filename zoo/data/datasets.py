"""What every data set gives: splits of text pairs, and a report of everything that was not quite right.

A data set is a function `load(config) -> Dataset` and one line in `zoo/registry.py`. It reads and counts;
what all data sets need (repeated rows, rows shared by splits, labels nobody can learn) is counted here, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from zoo import registry
from zoo.config import Recipe
from zoo.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Texts and their answers, row by row; of a classifier, the answers are names of labels."""

    sources: list[str]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self.sources, self.targets, strict=True)


@dataclass
class Report:
    """Counts of what was read, left out or looked odd, for each split, and warnings in plain words."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """What was counted -> split -> how often."""
    warnings: list[str] = field(default_factory=list)

    def add(self, split: str, what: str, number: int = 1) -> None:
        """Counts; a zero leaves no line."""
        if number:
            row = self.counts.setdefault(what, {})
            row[split] = row.get(split, 0) + number

    def lines(self) -> list[str]:
        """The counts as `what: train 3, val 1`, then the warnings."""
        texts = [
            f"{what}: " + ", ".join(f"{split} {row[split]:,}" for split in SPLITS if split in row)
            for what, row in self.counts.items()
        ]
        return texts + [f"warning: {text}" for text in self.warnings]


@dataclass(frozen=True)
class Dataset:
    """Splits for training, for choosing settings (val) and for the figure that is published (test)."""

    train: Split
    val: Split
    test: Split | None
    report: Report
    licence: str = "yours"
    address: str = ""

    def splits(self) -> dict[str, Split]:
        """The splits there are, by name."""
        found = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    def labels(self) -> list[str]:
        """The names of a classifier's labels, in the order of their numbers."""
        return sorted(set(self.train.targets))

    def tokenizer_texts(self, task: str) -> list[str]:
        """What the recipe's tokenizer is trained on: the training split, both sides unless one is labels."""
        return self.train.sources + (self.train.targets if task == "translation" else [])


def load_dataset(recipe: Recipe) -> Dataset:
    """Reads or generates the recipe's data; raises a UserError where no model could learn from it."""
    dataset: Dataset = registry.resolve("dataset", recipe.data.name)(recipe.data)
    for name, split in dataset.splits().items():
        if not len(split):
            raise UserError(f"data: the {name} split is empty; give at least one row that is not blank")
    _count_repeats(dataset)
    if recipe.task == "classification":
        _check_labels(dataset)
    return dataset


def _count_repeats(dataset: Dataset) -> None:
    """Counts rows, rows that stand twice in a split, and rows whose text the model has seen in training."""
    report = dataset.report
    trained = set(dataset.train.sources)
    for name, split in dataset.splits().items():
        report.add(name, "rows", len(split))
        report.add(name, "rows that stand there more than once", len(split) - len(set(split)))
        if name != "train":
            report.add(
                name, "rows whose text is in train too", sum(text in trained for text in split.sources)
            )


def _check_labels(dataset: Dataset) -> None:
    """A label that training never shows cannot be learnt; one label alone is no question."""
    known = Counter(dataset.train.targets)
    if len(known) < 2:
        raise UserError(
            f"data.train: only one label, '{next(iter(known))}'; a classifier needs two or more "
            "(is the label column the right one?)"
        )
    problems = []
    for name, split in dataset.splits().items():
        strange = Counter(label for label in split.targets if label not in known)
        problems += [
            f"data.{name}: label '{label}' ({count} rows) is not in train; add such rows there or drop these"
            for label, count in strange.most_common(5)
        ]
        if len(strange) > 5:
            problems.append(f"data.{name}: {len(strange) - 5} more labels are not in train")
    if problems:
        raise UserError(*problems)
    if len(known) > max(20, len(dataset.train) // 4):
        dataset.report.warnings.append(
            f"{len(known):,} labels in {len(dataset.train):,} rows: is the label column the right one?"
        )
