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
from collections.abc import Iterable, Mapping
from pathlib import Path

from zoo import encodings
from zoo.data.datasets import SPLITS, Dataset, Report, Split
from zoo.errors import UserError

SHOWN = 5  # broken rows of a file that are named one by one

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ODD_IN_DOCUMENT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]")  # tabs and line feeds belong there
_BREAK = re.compile(r"\s*[\r\n]+\s*")


class Reading:
    """One reading of a data set's files: collects counts and mistakes, and raises all mistakes at the end.

    Args:
        encoding: of the files of each split.
        bad_rows: the recipe's `data.bad_rows`, "error" or "skip"; None where there is no such key.
    """

    def __init__(self, encoding: Mapping[str, str] | None = None, bad_rows: str | None = None):
        self.encoding = dict.fromkeys(SPLITS, "utf-8") | dict(encoding or {})
        self.skips = bad_rows == "skip"
        self.may_skip = bad_rows is not None
        self.report = Report()
        self.problems: list[str] = []
        self._misread: list[tuple[str, Path, bytes, str]] = []
        self._found: dict[str, list[str]] = {}
        for name in self.encoding.values():
            try:
                "".encode(name)
            except LookupError:
                raise UserError(
                    f"data.encoding: '{name}' is no text encoding Python knows; "
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
        encoding = self.encoding[split]
        if content.startswith(codecs.BOM_UTF8) and codecs.lookup(encoding).name == "utf-8":
            content = content[len(codecs.BOM_UTF8) :]
            self.report.add(split, "byte order marks removed")
        if encodings.is_utf8(content, encoding):
            self._note_encoding(split, path, content, f"{shown(path)}: is utf-8, not {encoding}", "utf-8")
            return None
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            self._note_undecodable(split, path, content, error)
            return None
        self._found.setdefault(split, []).append(encoding)
        return text

    def broken(self, path: Path, rows: list[tuple[int, str]], remedy: str = "") -> None:
        """Notes rows that cannot be used: the first ones with their lines, the rest as a number, then what to do."""
        said = [f"{shown(path)}:{line}: {what}" for line, what in rows[:SHOWN]]
        if len(rows) > SHOWN:
            said.append(f"{shown(path)}: {len(rows) - SHOWN:,} more such lines ({len(rows):,} in all)")
        if said and remedy:
            said[-1] += f"; {remedy}"
        self.problems += said

    def bad_rows(self, split: str, path: Path, rows: list[tuple[int, str]]) -> None:
        """Notes rows that cannot be used, or leaves them out and shows them, as the recipe says."""
        if not self.skips or not rows:
            them = "them" if len(rows) > 1 else "it"
            skip = ", or leave such rows out with data.bad_rows: skip" if self.may_skip else ""
            self.broken(path, rows, f"mend {them}{skip}")
            return
        self.report.add(split, "rows left out: bad (data.bad_rows)", len(rows))
        first = "; ".join(f"line {line}: {what}" for line, what in rows[:SHOWN])
        more = f"; {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
        self.report.warnings.append(
            f"{shown(path)}: {len(rows):,} bad row{'s' * (len(rows) > 1)} left out (data.bad_rows: skip): {first}{more}"
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
        if found := self.all_problems():
            raise UserError(*found)
        return Dataset(splits["train"], splits["val"], splits.get("test"), self.report, licence, address)

    def all_problems(self) -> list[str]:
        """Everything that was wrong; what to set for encodings is only known when all files were looked at."""
        return self.problems + [
            f"{said}; {self._encoding_remedy(split, path, content)}"
            for split, path, content, said in self._misread
        ]

    def _content(self, split: str, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
            if path.suffix == ".gz":
                return gzip.decompress(content)
        except (FileNotFoundError, NotADirectoryError):
            self.problems.append(f"data.{split}: {missing(path)}")
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

    def _note_undecodable(self, split: str, path: Path, content: bytes, error: UnicodeDecodeError) -> None:
        """A file that is in another encoding as a whole, or the wrong bytes in it.

        Where lines end with the byte \\n, each is tried, to find all.
        """
        encoding, found = self.encoding[split], encodings.guess(content)
        wrong, read = [], 0
        if "\n".encode(encoding) == b"\n":
            start = 0
            for number, line in enumerate(content.split(b"\n"), 1):
                try:
                    line.decode(encoding)
                    read += not line.isascii()
                except UnicodeDecodeError as found_here:
                    wrong.append((number, start + found_here.start, line))
                start += len(line) + 1
        if not wrong:
            before = content[: error.start].decode(encoding, errors="replace")
            wrong = [(before.count("\n") + 1, error.start, content)]
        rows = [(line, f"byte 0x{content[at]:02x} at offset {at} is not {encoding}") for line, at, _ in wrong]
        # Lines that are UTF-8 are so by chance now and then, in a file that is something else.
        mixed = codecs.lookup(encoding).name.startswith("utf-8") and read > len(wrong) / 10
        if found and found != encoding and not mixed:
            line, what = rows[0]
            said = f"{shown(path)}:{line}: {what}; the file is {found}, as it seems"
            self._note_encoding(split, path, content, said, found)
            return
        self._found.setdefault(split, []).append(encoding)
        there = encodings.guess(b"\n".join(line for _, _, line in wrong))
        if there and there != encoding:
            remedy = (
                f"these are {there}, as it seems, and the rest {encoding}: convert them or leave them out"
            )
        else:
            other = " (perhaps 'cp1252' or 'latin-1')" if encoding == "utf-8" else ""
            remedy = f"set data.encoding{other}, or mend the file"
        self.broken(path, rows, remedy)

    def _note_encoding(self, split: str, path: Path, content: bytes, said: str, found: str) -> None:
        self._found.setdefault(split, []).append(found)
        self._misread.append((split, path, content, said))

    def _encoding_remedy(self, split: str, path: Path, content: bytes) -> str:
        """A setting under which every file is read, else the command that makes the files of a split alike."""
        if len(set(self._found[split])) > 1:
            command = encodings.convert(content, self.encoding[split], shown(path))
            return f"the others of data.{split} are not: convert it with `{command}`"
        each = {name: found[0] for name, found in self._found.items()}
        if len(set(each.values())) == 1:
            return f"set data.encoding: {each[split]}"
        return f"set data.encoding: {{{', '.join(f'{name}: {found}' for name, found in each.items())}}}"


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


def missing(path: Path) -> str:
    """What is said of a file that is not there."""
    return f"no file {shown(path)}; {_nearby(path)}"


def _nearby(path: Path) -> str:
    """What to do about a missing file: a similar name, or where the folder stops existing."""
    if path.parent.is_dir():
        return "in its folder: " + did_you_mean(path.name, os.listdir(path.parent))
    return f"its folder {shown(path.parent)} does not exist either (data.dir: where relative paths start)"
