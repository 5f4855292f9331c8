"""Texts by their labels: what a classifier reads, as documents from which a language model learns to write them.

A row becomes the document `LABEL: text`. The documents are packed into one stream with end marks between them
(windows.py), so that a model which is asked `LABEL:` writes one text and stops.
"""

from __future__ import annotations

from collections.abc import Iterable

Rows = Iterable[tuple[str, str]]
"""Pairs of a text and its label."""


def asked(label: str) -> str:
    """The prompt for a text with this label."""
    return f"{label}:"


def documents(rows: Rows) -> list[str]:
    """What a language model learns from; a row without a label is a document already."""
    return [f"{asked(label)} {text}" if label else text for text, label in rows]


def texts_of(rows: Rows) -> list[str]:
    """The texts of documents that were made here, which stand beside their labels."""
    return [document.removeprefix(asked(label)).strip() for document, label in rows]
