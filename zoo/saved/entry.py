"""From the folder of a saved model to its page and its entry in the index."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import UserError
from zoo.saved.card import Card, read_card
from zoo.saved.index import Entry, files_of, read_index_of, write_index
from zoo.saved.page import said, write_page


def enter(folder: Path, card: Card) -> None:
    """Into the index above, as that is now: others may have published meanwhile."""
    entry = Entry(
        summary=card.summary,
        recipe=card.recipe,
        licence=card.licence,
        score=said(card.score),
        files=files_of(folder),
    )
    root = folder.absolute().parent
    write_index(root, read_index_of(root) | {card.name: entry})


def refresh(folder: Path) -> None:
    """Writes card.md and the index again from what lies in the folder."""
    card = read_card(folder)
    if card.name != folder.absolute().name:
        raise UserError(f"{folder}: its card is called '{card.name}': name the folder so")
    write_page(folder, card)
    enter(folder, card)
