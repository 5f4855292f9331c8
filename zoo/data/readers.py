"""Data sets of one's own files: parallel text, TSV, CSV, JSONL, labelled lines, CoNLL-U, plain text.

Each `*_rows` function turns one file into (source, target) rows and notes what is wrong with its line number;
the named data sets of `public.py` use the same functions. A format = one such function, one line in `READERS`
and one in the registry.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import conllu

from zoo.config.data import CSV, JSONL, TSV, Columns, CoNLLU, Labeled, Parallel, Text, files_of
from zoo.data.datasets import Dataset, Split
from zoo.data.text_files import Reading, did_you_mean, shown

Rows = list[tuple[str, str]]
Files = Parallel | TSV | CSV | JSONL | Labeled | CoNLLU | Text


def load(config: Files) -> Dataset:
    """Reads the files of the recipe's `data` section."""
    reading = Reading(config.encodings, config.bad_rows)
    read = READERS[config.name]
    splits = {}
    for split in ("train", "val", "test"):
        files = getattr(config, split)
        if files is not None:
            splits[split] = kept(reading, split, read(reading, split, files, config), config)
    return reading.finish(splits)


def kept(reading: Reading, split: str, rows: Rows, config: object) -> Split:
    """The rows of a split that are fit to be used: documents as they are, others tidied."""
    if getattr(config, "target", None) == "next":
        return reading.keep_documents(split, [text for text, _ in rows])
    return reading.keep(split, rows)


def parallel_rows(reading: Reading, split: str, source: Path, target: Path) -> Rows:
    """Line i of one file with line i of the other."""
    sides = [reading.lines(split, path) for path in (source, target)]
    if sides[0] is None or sides[1] is None:
        return []
    if len(sides[0]) != len(sides[1]):
        reading.problems.append(
            f"data.{split}: {shown(source)} has {len(sides[0]):,} lines, {shown(target)} {len(sides[1]):,}; "
            "line i of one must be the translation of line i of the other"
        )
        return []
    return list(zip(*sides, strict=True))


def tsv_rows(reading: Reading, split: str, path: Path, columns: Sequence[int | str], header: bool) -> Rows:
    """Two columns of tab-separated lines."""
    lines = reading.lines(split, path) or []
    return _columns(
        reading, split, path, [(n, line.split("\t")) for n, line in enumerate(lines, 1)], columns, header
    )


def csv_rows(reading: Reading, split: str, path: Path, config: CSV) -> Rows:
    """Two columns of a CSV file; a quoted field may hold line breaks."""
    text = reading.text(split, path) or ""
    # newline="": the csv module itself decides what a line end inside quotes means
    parser = csv.reader(
        io.StringIO(text.replace("\r\n", "\n"), newline=""), delimiter=config.delimiter, strict=True
    )
    rows, start = [], 1
    try:
        for fields in parser:
            rows.append((start, fields))
            start = parser.line_num + 1
    except csv.Error as error:
        hint = "check the quotes" + ("" if config.delimiter != "," else ", or set data.delimiter")
        reading.broken(path, [(start, f"{error}, in the row that begins here; {hint}")])
        return []
    return _columns(reading, split, path, rows, _wanted(config.columns), config.header)


def jsonl_rows(reading: Reading, split: str, path: Path, columns: Sequence[int | str]) -> Rows:
    """Two fields of a JSON object a line. A label may be a number; a text may not."""
    rows, wrong = [], []
    for number, line in enumerate(reading.lines(split, path) or [], 1):
        if not line.strip():
            reading.report.add(split, EMPTY)
            continue
        try:
            rows.append(_json_fields(line, columns))
        except (ValueError, RecursionError) as error:
            wrong.append((number, str(error) or "nested too deeply"))
    reading.bad_rows(split, path, wrong)
    return rows


def labeled_rows(reading: Reading, split: str, path: Path, separator: str, prefix: str = "") -> Rows:
    """A label, the separator, a text; the row is (text, label)."""
    rows, wrong = [], []
    for number, line in enumerate(reading.lines(split, path) or [], 1):
        if not line.strip():
            reading.report.add(split, EMPTY)
            continue
        label, found, text = line.partition(separator)
        label = label.strip()
        if not found:
            wrong.append((number, f"no separator {separator!r} after a label (data.separator)"))
        elif not label.startswith(prefix) or label == prefix:
            wrong.append((number, f"'{label[:40]}' is no label with prefix '{prefix}' (data.prefix)"))
        else:
            rows.append((text, label.removeprefix(prefix)))
    reading.bad_rows(split, path, wrong)
    return rows


def conllu_rows(reading: Reading, split: str, path: Path, source: str, target: str) -> Rows:
    """Two columns of each sentence's words, joined by spaces; multi-word ranges and empty nodes skipped."""
    rows, wrong, bare = [], [], {source: 0, target: 0}
    for number, block in _blocks(reading.lines(split, path) or []):
        try:
            tokens = conllu.parse(block, fields=_CONLLU_FIELDS)[0]
        except (conllu.exceptions.ParseException, IndexError) as error:
            # The library names the mistake, not the line: parse line by line to find it.
            wrong.append((number + _first_bad_line(block), f"not CoNLL-U: {error}"))
            continue
        words = [token for token in tokens if isinstance(token["id"], int)]
        short = next((i for i, token in enumerate(tokens) if not {source, target} <= token.keys()), None)
        if short is not None:
            comments = sum(line.startswith("#") for line in block.split("\n"))
            wrong.append(
                (
                    number + comments + short,
                    f"no column '{source if source not in tokens[short] else target}'",
                )
            )
            continue
        reading.report.add(split, "multi-word ranges skipped", sum("-" in _id(token) for token in tokens))
        reading.report.add(split, "empty nodes skipped", sum("." in _id(token) for token in tokens))
        for column in (source, target):
            bare[column] += all(token[column] in (None, "_") for token in words)
        sides = [[_one_word(token[column]) for token in words] for column in (source, target)]
        spaced = sum(text != (token[source] or "_") for text, token in zip(sides[0], words, strict=True))
        reading.report.add(split, "words with a space inside, made a no-break space", spaced)
        rows.append((" ".join(sides[0]), " ".join(sides[1])))
    reading.bad_rows(split, path, wrong)
    for column, count in bare.items():
        if rows and count == len(rows):
            reading.problems.append(
                f"data.{split}: column '{column}' of {shown(path)} holds nothing but _; choose another"
            )
    return rows


def text_rows(reading: Reading, split: str, path: Path, target: str) -> Rows:
    """The whole file, or each line answered by itself or reversed."""
    return answer_text(reading.text(split, path) or "", target)


def answer_text(text: str, target: str) -> Rows:
    """A text with what `next`, `copy` or `reverse` asks for."""
    if target == "next":
        return [(text, "")]
    lines = [line.strip() for line in text.split("\n")]
    if not lines[-1]:  # what follows the last line's end
        lines.pop()
    return [(line, line if target == "copy" else reverse(line)) for line in lines]


def reverse(text: str) -> str:
    """The words in reverse order; of a text without spaces (Chinese), the characters with their accents."""
    if " " in text:
        return " ".join(reversed(text.split(" ")))
    letters: list[str] = []
    for character in text:
        if letters and unicodedata.combining(character):
            letters[-1] += character
        else:
            letters.append(character)
    return "".join(reversed(letters))


EMPTY = "rows left out: nothing on one side or both"

READERS: dict[str, Callable[..., Rows]] = {
    "parallel": lambda reading, split, files, config: parallel_rows(
        reading, split, config.path(files.source), config.path(files.target)
    ),
    "tsv": lambda reading, split, path, config: tsv_rows(
        reading, split, config.path(path), _wanted(config.columns), config.header
    ),
    "csv": lambda reading, split, path, config: csv_rows(reading, split, config.path(path), config),
    "jsonl": lambda reading, split, path, config: jsonl_rows(
        reading, split, config.path(path), _wanted(config.columns)
    ),
    "labeled": lambda reading, split, path, config: labeled_rows(
        reading, split, config.path(path), config.separator, config.prefix
    ),
    "conllu": lambda reading, split, path, config: conllu_rows(
        reading, split, config.path(path), config.source, config.target
    ),
    "text": lambda reading, split, files, config: [
        row for path in files_of(files) for row in text_rows(reading, split, config.path(path), config.target)
    ],
}

_CONLLU_FIELDS = ("id", "form", "lemma", "upos", "xpos")


def _wanted(columns: Columns) -> list[int | str]:
    """Input and output column, in this order, whichever task names them."""
    given = [columns.source, columns.target, columns.text, columns.label]
    return [column for column in given if column is not None]


def _columns(
    reading: Reading,
    split: str,
    path: Path,
    rows: list[tuple[int, list[str]]],
    wanted: Sequence[int | str],
    header: bool,
) -> Rows:
    """Picks two columns of numbered rows by number or name."""
    filled = [(number, fields) for number, fields in rows if any(field.strip() for field in fields)]
    reading.report.add(split, EMPTY, len(rows) - len(filled))
    if not filled:
        return []
    names = [name.strip() for name in filled[0][1]] if header else []
    width = len(filled[0][1])
    places = []
    for column in wanted:
        if isinstance(column, str) and not header:
            problem = f"column '{column}' is a name, but data.header is false; number it from 0"
        elif isinstance(column, str) and column not in names:
            problem = f"no column '{column}' (data.columns); {did_you_mean(column, names)}"
        elif isinstance(column, int) and not 0 <= column < width:
            problem = f"no column {column} (data.columns): there are {width}, numbered from 0"
            problem += "; is the delimiter another one?" if width == 1 else ""
        else:
            places.append(column if isinstance(column, int) else names.index(column))
            continue
        reading.broken(path, [(filled[0][0], problem)])
    if len(places) < 2:
        return []
    picked, wrong = [], []
    for number, fields in filled[1:] if header else filled:
        if len(fields) <= max(places):
            columns = f"{len(fields)} column{'s' * (len(fields) > 1)}"
            wrong.append((number, f"{columns}, where line {filled[0][0]} has {width}"))
            continue
        if len(fields) > width:
            reading.report.add(split, "rows with more columns than the first line")
        picked.append((fields[places[0]], fields[places[1]]))
    reading.bad_rows(split, path, wrong)
    return picked


def _json_fields(line: str, columns: Sequence[int | str]) -> tuple[str, str]:
    """Two fields of a line; a ValueError says what is wrong in words for the user."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(row, dict):
        raise ValueError(f'a JSON {_kind(row)}, where an object such as {{"text": ...}} should be')
    values = []
    for column in columns:
        if column not in row:
            raise ValueError(f"no field '{column}' (data.columns); {did_you_mean(str(column), row)}")
        value = row[column]
        if column == columns[1] and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ValueError(f"field '{column}' is {_kind(value)}, not a text; put it in quotes")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(
                f"field '{column}' holds half a surrogate pair (\\ud800-\\udfff), which is no character"
            )
        values.append(value)
    return values[0], values[1]


def _kind(value: object) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "number")


def _blocks(lines: Sequence[str]) -> list[tuple[int, str]]:
    """Sentences (what stands between blank lines), each with the number of its first line."""
    blocks, start = [], 0
    for number, line in enumerate([*lines, ""]):
        if not line.strip():
            if number > start:
                blocks.append((start + 1, "\n".join(lines[start:number])))
            start = number + 1
    return blocks


def _first_bad_line(block: str) -> int:
    for number, line in enumerate(block.split("\n")):
        try:
            if not line.startswith("#"):
                conllu.parse(line, fields=_CONLLU_FIELDS)
        except conllu.exceptions.ParseException:
            return number
    return 0


def _id(token: conllu.Token) -> str:
    """`-` or `.` between the numbers of a range or an empty node; nothing for a word."""
    return token["id"][1] if isinstance(token["id"], tuple) else ""


def _one_word(text: str | None) -> str:
    """A space inside a word (`10 000`) becomes a no-break space: both sequences keep their length."""
    return "\u00a0".join((text or "_").split()) or "_"
