"""`index.yaml` of a folder of saved models: what each is, and the sha256 of every file of it.

    saved_models/
      index.yaml
      <name>/  recipe.yaml  model.weights.h5  tokenizer/  labels.json  card.yaml  card.md

All of it is data: nothing in such a folder is run, and no file of another name is read or written.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from zoo import files
from zoo.config.base import NonNegativeInt, Section
from zoo.errors import UserError
from zoo.yaml_strict import dump_yaml, parse_yaml

INDEX = "index.yaml"
WEIGHTS = "model.weights.h5"
PARTS = (
    "recipe.yaml",
    WEIGHTS,
    "labels.json",
    "tokenizer/tokenizer.model",
    "tokenizer/tokenizer.json",
    "tokenizer/phrases.txt",
    "card.yaml",
    "card.md",
)
"""The files that a saved model may have."""
PAGE = "card.md"
"""The one of them that no program reads and that people write into."""
NEEDED = ("recipe.yaml", WEIGHTS, "tokenizer/tokenizer.model")
NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
HEADER = "# Trained models: `zoo ls saved`. Written by `zoo publish`; each folder holds a card.md.\n"


def _known(name: str) -> str:
    if name not in PARTS:
        raise ValueError(f"no file of a saved model is called so; there are {', '.join(PARTS)}")
    return name


class File(Section):
    """One file of a saved model."""

    bytes: NonNegativeInt
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Entry(Section):
    """One saved model."""

    summary: str
    """What it does, in a line."""
    recipe: str
    """The recipe it was trained by."""
    licence: str
    """Of its weights."""
    score: str = ""
    """Its figure, as people say it."""
    address: str | None = None
    """Where its folder is, if it is not beside the index."""
    files: dict[Annotated[str, AfterValidator(_known)], File]


def read_index(text: str, origin: str) -> dict[str, Entry]:
    """The entries of an index by their names; a UserError holds all mistakes."""
    found, problems = parse_yaml(text, origin), []
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"{origin}: not an index of saved models: expected a mapping of names")
    entries = {}
    for name, content in found.items():
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            problems.append(f"{origin}  {name}: no name of a saved model: a-z, 0-9 and single . _ - between")
            continue
        try:
            entries[name] = Entry.model_validate(content)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                place = ".".join(map(str, (name, *item["loc"])))
                problems.append(f"{origin}  {place}: {item['msg'][:1].lower()}{item['msg'][1:]}")
            continue
        missing = [part for part in NEEDED if part not in entries[name].files]
        if missing:
            problems.append(f"{origin}  {name}.files: {', '.join(missing)} missing")
    if problems:
        raise UserError(*problems)
    return entries


def read_index_of(folder: Path) -> dict[str, Entry]:
    """The index in a folder; empty where there is none."""
    path = folder / INDEX
    try:
        return read_index(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def write_index(folder: Path, entries: dict[str, Entry]) -> None:
    """The index of a folder, names in order."""
    plain = {name: entries[name].model_dump(exclude_defaults=True) for name in sorted(entries)}
    text = dump_yaml(plain)
    files.write(folder / INDEX, HEADER + text)


def files_of(folder: Path) -> dict[str, File]:
    """What the files of a saved model are now."""
    contents = {part: (folder / part).read_bytes() for part in PARTS if (folder / part).is_file()}
    return {
        part: File(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for part, content in contents.items()
    }


def check_files(folder: Path, entry: Entry, remedy: str) -> None:
    """Raises where a file that is read is missing or not the one that the index means."""
    there = files_of(folder)
    problems = [
        f"{folder / part}: {'damaged (its sha256 differs from the index)' if part in there else 'missing'}"
        for part, file in entry.files.items()
        if there.get(part) != file and part != PAGE
    ]
    if problems:
        raise UserError(*problems, remedy)
