"""Files that appear whole: written beside under a hidden name, forced to the disk, then renamed.

Whoever is killed here, meets a full disk or loses power leaves the old file or the new one, never half of one,
and at most a leftover called `.tmp.*`, which `remove_leftovers` takes away. An error of the disk is a UserError.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import UserError

LEFTOVER = ".tmp."
"""What the name of a file begins with while it is written."""


@contextlib.contextmanager
def whole(path: Path, folder: bool = False) -> Iterator[Path]:
    """A hidden path to write to, which becomes `path` when the body is done; a folder must not be there yet."""
    beside = path.with_name(LEFTOVER + path.name)
    with explained(path):
        try:
            make_folder(path.parent)
            _delete(beside)
            if folder:
                os.mkdir(beside)
            yield beside
            sync(beside)
            os.replace(beside, path)
            _sync(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                _delete(beside)
            raise


def write(path: Path, content: bytes | memoryview | str) -> None:
    """A file of bytes, or of text in UTF-8."""
    with whole(path) as beside, new_file(beside) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, content: Any) -> None:
    """Pretty JSON, any language as it is."""
    write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def append(path: Path, text: str) -> None:
    """Adds a line; a kill may leave a part of it."""
    with explained(path), new_file(path, os.O_APPEND) as file:
        file.write(text.encode())


def sync(path: Path) -> None:
    """Forces a file to the disk, or a folder with all that is in it."""
    for part in (*sorted(path.rglob("*")), path):
        _sync(part)


def new_file(path: Path, how: int = os.O_TRUNC) -> io.BufferedWriter:
    """A file to write to; its `raw.sha256` is that of what was written."""
    return io.BufferedWriter(_Out(path, how), 2**20)


def make_folder(path: Path) -> None:
    """A folder and those above it."""
    if not path.is_dir():
        make_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        _sync(path.parent)


def remove(path: Path) -> None:
    """A file, or a folder, which is renamed first: half of one is never seen under its name."""
    with explained(path):
        if path.is_dir() and not path.is_symlink():
            aside = path.with_name(f"{LEFTOVER}old.{path.name}")
            _delete(aside)
            os.replace(path, aside)
            path = aside
        _delete(path)


def remove_leftovers(folder: Path) -> None:
    """What a killed process was writing or removing, here and below; nobody else may be writing."""
    with explained(folder):
        for path in sorted(folder.rglob(f"{LEFTOVER}*")):
            _delete(path)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """An error of the disk, in words."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); what stood there before is kept: "
            "free some space or mend the folder's rights, then give the same command again"
        ) from error


class _Out(io.RawIOBase):
    """What a file is written through, so that tests can make each call fail."""

    def __init__(self, path: Path, how: int):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o666)
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        count = os.write(self._fd, data)
        self.sha256.update(memoryview(data)[:count])
        return count

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                os.close(self._fd)


def _sync(path: Path) -> None:
    """Forces a file or a folder to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # some file systems cannot
            raise
    finally:
        os.close(fd)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
