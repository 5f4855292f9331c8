"""What every data set gives: splits of texts, and a report of everything that was not quite right.

A data set is a function `load(config) -> Dataset` and one line in `zoo/registry.py`. It reads and counts;
what all data sets need (repeated rows, rows shared by splits, labels nobody can learn) is counted here, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from zoo import registry
from zoo.config import Recipe
from zoo.config.data import TSV, CoNLLU, OneFile, Text
from zoo.config.tasks import STREAMS
from zoo.data.labels import documents
from zoo.data.words import split_words
from zoo.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Texts and their answers, row by row.

    Answers are texts (translation), names of labels (classification), a name for each word between spaces
    (tagging), or empty: of language modelling a row is a document, which answers itself. A document that was
    made of a labelled text (labels.py) has its label beside it.
    """

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
        """The counts as `what: train 3, val 1`."""
        return [
            f"{what}: " + ", ".join(f"{split} {row[split]:,}" for split in SPLITS if split in row)
            for what, row in self.counts.items()
        ]


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

    def labels(self, task: str) -> list[str] | None:
        """What the training split answers with, in the order of numbers; None where answers are texts."""
        if task not in ANSWERS:
            return None
        return sorted({label for target in self.train.targets for label in answers(task, target)})

    def tokenizer_texts(self, task: str) -> list[str]:
        """What the recipe's tokenizer is trained on: the training split, both sides unless one is labels."""
        return self.train.sources + (self.train.targets if task == "translation" else [])


ANSWERS = {"classification": "label", "tagging": "tag"}
"""Tasks that answer with one of a few names, and what such a name is called."""

HEADER = "is that a header? set data.header: true, which is for all files"
FEW_ROWS = 20
"""Rows of a training split that is no trial: there a label of one row is worth a word."""


def answers(task: str, target: str) -> list[str]:
    """The names in a row's target: of a classifier one, of a tagger one for each word."""
    return target.split(" ") if task == "tagging" else [target]


def load_dataset(recipe: Recipe) -> Dataset:
    """Reads or generates the recipe's data; raises a UserError where no model could learn from it."""
    dataset: Dataset = registry.resolve("dataset", recipe.data.name)(recipe.data)
    for name, split in dataset.splits().items():
        if not len(split):
            raise UserError(f"data: the {name} split is empty; give at least one row that is not blank")
    if recipe.task == "language_modeling":
        splits = {name: Split(documents(split), split.targets) for name, split in dataset.splits().items()}
        dataset = replace(dataset, **splits)
    if recipe.task in STREAMS:
        _count_documents(dataset)
        return dataset
    _count_repeats(dataset)
    if recipe.task == "tagging":
        _check_tags_of_words(dataset)
    if recipe.task in ANSWERS:
        headless = getattr(recipe.data, "header", None) is False
        _check_labels(dataset, recipe.task, headless)
    return dataset


FORMS = {"translation": TSV, "classification": TSV, "tagging": CoNLLU, "language_modeling": Text}
"""What a file is taken for where a model's own data came from no file: source and target, or text and label, with a
tab between; sentences with their tags; text."""


def load_file(recipe: Recipe, path: Path) -> Split:
    """Rows of another file, in the form of the recipe's own or as FORMS says, to score a model on."""
    path, data = path.absolute(), recipe.data
    if isinstance(data, OneFile):
        section = data.model_copy(update={"train": path, "val": path, "test": None})
    elif (form := FORMS.get(recipe.task)) is None:
        raise UserError(f"{path}: a {recipe.task} model is scored on files where its own data is of files")
    else:
        columns = ("source", "target") if recipe.task == "translation" else ("text", "label")
        columns = {"columns": {name: number for number, name in enumerate(columns)}} if form is TSV else {}
        name = get_args(form.model_fields["name"].annotation)[0]
        section = form.model_validate({"name": name, "train": path, "val": path, **columns})
    dataset: Dataset = registry.resolve("dataset", section.name)(section)
    if not len(dataset.val):
        raise UserError(f"{path}: no row in it is not blank")
    if recipe.task == "tagging":
        _check_tags_of_words(replace(dataset, train=Split([], [])))
    if recipe.task == "language_modeling":
        return Split(documents(dataset.val), dataset.val.targets)
    return dataset.val


def _count_documents(dataset: Dataset) -> None:
    """How much text there is."""
    for name, split in dataset.splits().items():
        dataset.report.add(name, "documents", len(split))
        dataset.report.add(
            name, "lines", sum(text.count("\n") + (text[-1] != "\n") for text in split.sources)
        )
        dataset.report.add(name, "characters", sum(map(len, split.sources)))
        if name != "train":
            known = set(dataset.train.sources)
            dataset.report.add(
                name, "documents that are in train too", sum(text in known for text in split.sources)
            )


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


def _check_tags_of_words(dataset: Dataset) -> None:
    """A tag for each word, neither more nor fewer."""
    problems = []
    for name, split in dataset.splits().items():
        for row, (text, tags) in enumerate(split, 1):
            words, said = split_words(text), answers("tagging", tags)
            if len(words) != len(said):
                problems.append(
                    f"data.{name}: row {row} has {len(words)} words but {len(said)} tags; give one for each"
                )
    if problems:
        more = [f"data: {len(problems) - 5:,} more such rows"] if len(problems) > 5 else []
        raise UserError(*problems[:5], *more)


def _check_labels(dataset: Dataset, task: str, headless: bool) -> None:
    """A label that training never shows cannot be learnt; one label alone is no question.

    Args:
        headless: whether the data is a table whose first line is read as a row like others.
    """
    what, role = ANSWERS[task], {"classification": "classifier", "tagging": "tagger"}[task]
    unit = "rows" if task == "classification" else "words"
    counts = {
        name: Counter(label for target in split.targets for label in answers(task, target))
        for name, split in dataset.splits().items()
    }
    known = counts["train"]
    if len(known) < 2:
        raise UserError(
            f"data.train: only one {what}, '{next(iter(known))}'; a {role} needs two or more "
            f"(is the {what} column the right one?)"
        )
    # The label of a first row that no other row has may be the name of its column.
    heads = {
        name: split.targets[0]
        for name, split in dataset.splits().items()
        if headless and counts[name][split.targets[0]] == 1 < counts[name].most_common(1)[0][1]
    }
    problems = []
    for name, found in counts.items():
        strange = Counter({label: count for label, count in found.items() if label not in known})
        problems += [
            f"data.{name}: {what} '{label}' ({count} {unit}) is not in train; "
            + (HEADER if label == heads.get(name) else f"add such {unit} there or drop these")
            for label, count in strange.most_common(5)
        ]
        if len(strange) > 5:
            problems.append(f"data.{name}: {len(strange) - 5} more {what}s are not in train")
    if problems:
        raise UserError(*problems)
    total = known.total()
    if head := heads.get("train"):
        dataset.report.warnings.append(f"{what} '{head}' stands in row 1 of train alone: {HEADER}")
    if len(known) > max(20, total // 4 if task == "classification" else total // 100):
        dataset.report.warnings.append(
            f"{len(known):,} {what}s in {total:,} {unit}: is the {what} column the right one?"
        )
    elif task == "classification":
        _warn_of_rare(dataset, [label for label, count in known.items() if count == 1 and label != head])


def _warn_of_rare(dataset: Dataset, labels: list[str]) -> None:
    """One row teaches little, and no split can have both it and another."""
    if labels and len(dataset.train) >= FEW_ROWS:
        named = ", ".join(f"'{label}'" for label in labels[:5]) + (" ..." if len(labels) > 5 else "")
        count = "1 label has" if len(labels) == 1 else f"{len(labels):,} labels have"
        dataset.report.warnings.append(
            f"{count} one row alone in train: {named}; a model cannot learn them: add rows, merge labels or drop them"
        )
