"""From a file's bytes to its lines, with every mistake named by file and line and everything odd counted.

Lines end at `\\n` (or `\\r\\n`) and nowhere else: U+2028, form feeds and their like may stand inside a text,
and Python's `splitlines` or text mode would break a parallel corpus there.
"""

from __future__ import annotations

import codecs
import difflib
import gzip
import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

from zoo.data.datasets import Dataset, Report, Split
from zoo.errors import UserError

SHOWN = 5  # broken rows of a file that are named one by one

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ODD_IN_DOCUMENT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]")  # tabs and line feeds belong there
_BREAK = re.compile(r"\s*[\r\n]+\s*")
_CJK = re.compile(r"[\u4e00-\u9fff]")


class Reading:
    """One reading of a data set's files: collects counts and mistakes, and raises all mistakes at the end."""

    def __init__(self, encoding: str = "utf-8"):
        self.encoding = encoding
        self.report = Report()
        self.problems: list[str] = []
        try:
            "".encode(encoding)
        except LookupError:
            raise UserError(
                f"data.encoding: '{encoding}' is no text encoding Python knows; "
                "common ones: utf-8, utf-16, latin-1, cp1252, gb18030, big5"
            ) from None

    def lines(self, split: str, path: Path) -> list[str] | None:
        """All lines (the line number is the position + 1), or None after noting why there are none."""
        text = self.text(split, path)
        if text is None:
            return None
        lines = text.split("\n")
        if lines[-1] == "":  # what follows the last line's end
            lines.pop()
        return [line.removesuffix("\r") for line in lines]

    def text(self, split: str, path: Path) -> str | None:
        """The decoded file, or None after noting why it cannot be read."""
        content = self._content(split, path)
        if content is None:
            return None
        if content.startswith(codecs.BOM_UTF8) and codecs.lookup(self.encoding).name == "utf-8":
            content = content[len(codecs.BOM_UTF8) :]
            self.report.add(split, "byte order marks removed")
        try:
            return content.decode(self.encoding)
        except UnicodeDecodeError as error:
            self._note_undecodable(path, content, error)
            return None

    def broken(self, path: Path, rows: list[tuple[int, str]]) -> None:
        """Notes rows that cannot be used: the first ones with their lines, the rest as a number."""
        self.problems += [f"{shown(path)}:{line}: {what}" for line, what in rows[:SHOWN]]
        if len(rows) > SHOWN:
            self.problems.append(
                f"{shown(path)}: {len(rows) - SHOWN:,} more such lines ({len(rows):,} in all)"
            )

    def keep(self, split: str, rows: Iterable[tuple[str, str]]) -> Split:
        """The rows that have something on both sides, stripped; what was done to them is counted."""
        sources, targets = [], []
        count = self.report.add
        for row in rows:
            source, target = (text.strip() for text in row)
            if not source or not target:
                count(split, "rows left out: nothing on one side or both")
                continue
            if (source, target) != row:
                count(split, "rows with spaces at an end, removed")
            if "\n" in source + target or "\r" in source + target:
                count(split, "rows with a line break inside, made a space")
                source, target = _BREAK.sub(" ", source), _BREAK.sub(" ", target)
            if _CONTROL.search(source) or _CONTROL.search(target):
                count(split, "rows with a control character (tab, NUL ...), kept")
            if "\ufffd" in source or "\ufffd" in target:
                count(split, "rows with U+FFFD, the sign of a lost character, kept")
            sources.append(source)
            targets.append(target)
        return Split(sources, targets)

    def keep_documents(self, split: str, texts: Iterable[str]) -> Split:
        """Whole texts with their line ends, for language modelling: nothing is stripped; `\\r\\n` becomes `\\n`."""
        sources = []
        for text in texts:
            self.report.add(split, "line ends \\r\\n, made \\n", text.count("\r\n"))
            text = text.replace("\r\n", "\n")
            if not text.strip():
                self.report.add(split, "documents left out: nothing but white space")
                continue
            odd = len(_ODD_IN_DOCUMENT.findall(text))
            self.report.add(split, "control characters (NUL ...) and U+FFFD, kept", odd)
            sources.append(text)
        return Split(sources, [""] * len(sources))

    def finish(self, splits: dict[str, Split], licence: str = "yours", address: str = "") -> Dataset:
        """The data set, or all that was wrong with it."""
        if self.problems:
            raise UserError(*self.problems)
        return Dataset(splits["train"], splits["val"], splits.get("test"), self.report, licence, address)

    def _content(self, split: str, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
            if path.suffix == ".gz":
                return gzip.decompress(content)
        except (FileNotFoundError, NotADirectoryError):
            self.problems.append(f"data.{split}: no file {shown(path)}; {_nearby(path)}")
        except IsADirectoryError:
            self.problems.append(f"data.{split}: {shown(path)} is a folder; name a file in it")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.problems.append(
                f"data.{split}: {shown(path)} is no whole gzip file ({error}); fetch or pack it again, "
                "or drop the ending .gz if it is plain text"
            )
        except OSError as error:
            self.problems.append(f"data.{split}: cannot read {shown(path)}: {error.strerror}")
        else:
            if not content.startswith(b"\x1f\x8b"):
                return content
            self.problems.append(f"data.{split}: {shown(path)} is a gzip file; let its name end in .gz")
        return None

    def _note_undecodable(self, path: Path, content: bytes, error: UnicodeDecodeError) -> None:
        """Names the wrong bytes. Where lines end with the byte \\n, each is tried, to find all."""
        remedy = f"set data.encoding{_guess(content)}, or mend the file"
        wrong = []
        if "\n".encode(self.encoding) == b"\n":
            start = 0
            for number, line in enumerate(content.split(b"\n"), 1):
                try:
                    line.decode(self.encoding)
                except UnicodeDecodeError as found:
                    wrong.append((number, start + found.start))
                start += len(line) + 1
        if not wrong:
            before = content[: error.start].decode(self.encoding, errors="replace")
            wrong = [(before.count("\n") + 1, error.start)]
        self.broken(
            path,
            [
                (line, f"byte 0x{content[at]:02x} at offset {at} is not {self.encoding}; {remedy}")
                for line, at in wrong
            ],
        )


def shown(path: Path) -> str:
    """A path as short as it can be written here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`did you mean 'x'?`, or what there is."""
    names = sorted(names)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    listed = ", ".join(f"'{name}'" for name in names[:8])
    return f"there are {listed}{' ...' if len(names) > 8 else ''}" if listed else "there is none"


def _nearby(path: Path) -> str:
    """What to do about a missing file: a similar name, or where the folder stops existing."""
    if path.parent.is_dir():
        return "in its folder: " + did_you_mean(path.name, os.listdir(path.parent))
    return f"its folder {shown(path.parent)} does not exist either (data.dir: where relative paths start)"


def _guess(content: bytes) -> str:
    """A likely encoding, for the remedy."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return " to 'utf-16'"
    sample = content[:100_000]
    high = sum(byte > 127 for byte in sample)
    chinese = len(_CJK.findall(sample.decode("gb18030", errors="ignore")))
    if high / 3 < chinese < high * 2 / 3:  # two high bytes a character; an accented letter would be one
        return " (perhaps 'gb18030')"
    return " (perhaps 'cp1252' or 'latin-1')"
