"""Conditions of rules.py that are more than a line."""

from __future__ import annotations

from collections.abc import Callable

from zoo.config import data as d
from zoo.config.recipe import Recipe
from zoo.config.tasks import COLUMNS, TABLES
from zoo.config.transformer import Attentive


def missing_column(key: str) -> Callable[[Recipe], bool]:
    def broken(r: Recipe) -> bool:
        return (
            isinstance(r.data, TABLES)
            and key in COLUMNS.get(r.task, ())
            and getattr(r.data.columns, key) is None
        )

    return broken


def columns(r: Recipe) -> list[int | str]:
    if not isinstance(r.data, TABLES):
        return []
    values = (getattr(r.data.columns, key) for key in COLUMNS.get(r.task, ()))
    return [value for value in values if value is not None]


def same_file(one: str, other: str) -> Callable[[Recipe], bool]:
    def broken(r: Recipe) -> bool:
        if not isinstance(r.data, d.Parallel | d.OneFile):
            return False
        a, b = getattr(r.data, one), getattr(r.data, other)
        if isinstance(r.data, d.Text):
            return bool(set(d.files_of(a)) & set(d.files_of(b)))
        return b is not None and a == b

    return broken


def unknown_encoding(split: str | None = None) -> Callable[[Recipe], bool]:
    """Of all files, or of those of a split."""

    def broken(r: Recipe) -> bool:
        said = r.data.encoding if isinstance(r.data, d.Files) else None
        name = getattr(said, split, None) if split else said
        if not isinstance(name, str):
            return False
        try:
            "".encode(name)
            return False
        except (LookupError, ValueError):
            return True

    return broken


def distinct_numbers(r: Recipe) -> int:
    return (r.data.max_value + 1) * len(set(r.data.languages))


def chinese(r: Recipe) -> bool:
    return "zh" in getattr(r.data, "languages", ()) or isinstance(r.data, d.TatoebaEnZh)


def no_test_split(r: Recipe) -> bool:
    if isinstance(r.data, d.Parallel | d.OneFile):
        return r.data.test is None
    if isinstance(r.data, d.English):
        return set(r.data.parts) <= {"tatoeba_en_zh", "tinyshakespeare"}
    return isinstance(r.data, d.TatoebaEnZh | d.TinyShakespeare)


def odd_heads(r: Recipe) -> bool:
    """Whether rotary positions meet a head whose numbers are no pairs."""
    m = r.model
    return isinstance(m, Attentive) and m.positions == "rotary" and m.hidden_dim // m.num_heads % 2 == 1


def objective(r: Recipe) -> str | None:
    return getattr(r.model, "objective", None)


def learned(r: Recipe) -> bool:
    return isinstance(r.model, Attentive) and r.model.positions == "learned"
