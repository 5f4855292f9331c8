"""What fits each task: data sets, columns of tables, models. A new task is a line in each table."""

from __future__ import annotations

from zoo import registry
from zoo.config import data as d
from zoo.config.recipe import MODEL_SECTIONS, Recipe

COLUMNS = {
    "translation": ("source", "target"),
    "classification": ("text", "label"),
    "language_modeling": ("text", "label"),
}
"""Tasks that tables are read for, and the columns of each."""
STREAMS = ("language_modeling", "masked_language_modeling")
"""Tasks that read documents, one after the other, in windows."""
LABELLED = ("classification", "language_modeling")
"""Tasks of texts with labels: a language model learns to write a text of a wanted label (data/labels.py)."""
DATA_TASKS = {
    d.SST2: (*LABELLED, "masked_language_modeling"),
    d.TREC: (*LABELLED, "masked_language_modeling"),
    d.Labeled: (*LABELLED, "masked_language_modeling"),
    d.UDEWT: ("tagging", "translation", "masked_language_modeling"),
    d.CoNLLU: ("tagging", "translation", "masked_language_modeling"),
    d.English: STREAMS,
    d.TinyShakespeare: (*STREAMS, "translation"),
    d.Text: (*STREAMS, "translation"),
    d.TSV: tuple(COLUMNS),
    d.CSV: tuple(COLUMNS),
    d.JSONL: tuple(COLUMNS),
}
"""What a data set is fit for; all others are for translation."""
TABLES = (d.TSV, d.CSV, d.JSONL)
ROLES = {
    "language_modeling": "language model",
    "masked_language_modeling": "masked language model",
    "classification": "classifier",
    "tagging": "tagger",
    "translation": "translator",
}


def models_for(task: str) -> list[str]:
    """Names of the models that do a task, those of the user's own included."""
    known = {**MODEL_SECTIONS, **registry.REGISTERED["model"]}
    return [name for name, model in known.items() if model.task == task]


def tasks_of_data(r: Recipe) -> tuple[str, ...]:
    """What the recipe's data set is fit for."""
    return DATA_TASKS.get(type(r.data), ("translation",))


def target_of_other_task(r: Recipe) -> bool:
    """Of plain text, `next` belongs to language models and all else to translation."""
    if not isinstance(r.data, d.Text | d.TinyShakespeare) or r.task not in tasks_of_data(r):
        return False
    return (r.data.target == "next") != (r.task in STREAMS)


def columns_of_other_task(r: Recipe) -> bool:
    """Whether a table names columns that only other tasks read."""
    if not isinstance(r.data, TABLES) or r.task not in COLUMNS:
        return False
    others = {key for keys in COLUMNS.values() for key in keys} - {*COLUMNS[r.task]}
    return any(getattr(r.data.columns, key) is not None for key in others)
