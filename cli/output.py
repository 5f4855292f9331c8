"""How results are printed: tables for eyes on a terminal, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from zoo.text import json_text, printable


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def echo(text: str = "", err: bool = False, nl: bool = True) -> None:
    """Everything that we print goes through here: texts of others give no orders to a terminal."""
    text = printable(text)
    try:
        click.echo(text, err=err, nl=nl)
    except UnicodeEncodeError:  # a terminal of few letters
        encoding = (sys.stderr if err else sys.stdout).encoding
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err, nl=nl)


def program(name: str) -> str:
    """How to call a program of this installation from here: by its name if the PATH finds it, else by its path.

    Whoever typed `.venv/bin/zoo` has no `zoo`; commands that we print must work as they are printed.
    """
    beside = Path(sys.argv[0]).with_name(name)
    found = shutil.which(name)
    if not beside.exists() or (found and Path(found).absolute() == beside.absolute()):
        return name
    return shlex.quote(str(beside))


def print_json(data: Any) -> None:
    """One JSON value, texts in their own script."""
    echo(json_text(data, indent=2, default=str))


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    as_json: bool = False,
    title: str | None = None,
) -> None:
    """Prints rows, each a mapping from column to value; the first column is the name.

    On a terminal a table that fits its width; else lines that are never cut, without heading, so that
    `zoo ls recipes | cut -d' ' -f1` gives names. JSON is a list of objects.
    """
    columns = list(columns or (rows[0] if rows else ()))
    if as_json:
        print_json([{column: row.get(column) for column in columns} for row in rows])
    elif is_terminal():
        _rich(rows, columns, title)
    else:
        for line in plain_lines([[cell(row.get(column)) for column in columns] for row in rows]):
            echo(line)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of bytes on standard error, for whoever sits at a terminal; the function is told done and whole."""
    if not sys.stderr.isatty():
        yield lambda done, whole: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def plain_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns aligned by spaces, two at least; nothing is cut and no line ends in spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def cell(value: Any) -> str:
    """A value on one line: no line breaks, nothing for None, four digits for a fraction."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return printable(" ".join(str(value).split()))


def _rich(rows: Sequence[Mapping[str, Any]], columns: list[str], title: str | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        made.add_column(column, no_wrap=number == 0, overflow="fold", style="cyan" if number == 0 else None)
    for row in rows:
        made.add_row(*(escape(cell(row.get(column))) for column in columns))
    Console().print(made)
