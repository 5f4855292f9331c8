"""Brings a saved model into the cache. A file is kept only if its size and sha256 are those of the index."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import requests

from zoo import files, hub
from zoo.errors import UserError
from zoo.registry import did_you_mean
from zoo.saved.index import INDEX, Entry, check_files, read_index, read_index_of, write_index

LARGEST_INDEX, PIECE = 2**22, 2**16
SECONDS = 30
"""How long a server may be silent."""

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are there."""


def fetch(name: str, index: str | None = None, progress: Progress = lambda done, whole: None) -> Path:
    """The folder of a saved model, brought here if it was not.

    Args:
        name: the model, as the index calls it.
        index: an index.yaml, or the folder that has one: an address (https://...) or a path (default: the index of
            this package).
        progress: is told how far it is.
    """
    own = read_index_of(hub.saved_dir())
    if index is None:
        entries, start = hub.saved_index(), ""
        if name not in entries or (hub.saved_dir() / name).is_dir():
            return hub.find_saved(name)
    else:
        if name in own:
            raise UserError(
                f"'{name}' comes with this package: a model of that name elsewhere would be hidden"
            )
        entries, start = _elsewhere(index)
    if name not in entries:
        hint = did_you_mean(name, entries) or f"; it has {', '.join(sorted(entries)) or 'none'}"
        raise UserError(f"{index}: no saved model is called '{name}'{hint}")
    entry = entries[name].model_copy(update={"address": entries[name].address or f"{start}{name}/"})
    root = hub.fetched_dir()
    files.make_folder(root)
    with filelock.FileLock(root / ".lock"):
        known, folder = read_index_of(root), root / name
        if folder.is_dir() and known.get(name) == entry:
            try:
                check_files(folder, entry, "")
                return folder
            except UserError:
                pass  # it is brought again
        with files.whole(folder, folder=True) as beside:
            _bring(entry, beside, progress)
            if folder.exists():
                files.remove(folder)
        write_index(root, known | {name: entry})
    return folder


def _elsewhere(index: str) -> tuple[dict[str, Entry], str]:
    """The entries of an index, and what the addresses of its folders begin with."""
    if not urlsplit(index).scheme:
        index = str(Path(index).expanduser().absolute())
    address = index if index.endswith(".yaml") else f"{index.rstrip('/')}/{INDEX}"
    with tempfile.TemporaryDirectory(prefix="zoo-index-") as scratch:
        path = Path(scratch) / INDEX
        _copy(address, path, LARGEST_INDEX)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{address}: not an index of saved models: no text") from None
    return read_index(text, address), address.rpartition("/")[0] + "/"


def _bring(entry: Entry, folder: Path, progress: Progress) -> None:
    """All files of a model, each proved."""
    whole, before = sum(file.bytes for file in entry.files.values()), 0
    base = entry.address.rstrip("/")
    for part, file in entry.files.items():
        path = folder / part
        path.parent.mkdir(parents=True, exist_ok=True)
        _copy(f"{base}/{part}", path, file.bytes, lambda done, before=before: progress(before + done, whole))
        if hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            raise UserError(
                f"{base}/{part}: not the file that the index means (sha256 differs): nothing was kept; "
                "ask whoever publishes it, or try again later"
            )
        before += file.bytes


class _TooLarge(Exception):
    """There came more than was announced."""


def _copy(address: str, path: Path, most: int, tell: Callable[[int], None] = lambda done: None) -> None:
    """One file from an address or a path; what comes without end is stopped."""
    scheme, done = urlsplit(address).scheme, 0
    if len(scheme) > 1 and scheme not in ("http", "https"):  # one letter is a drive of Windows
        raise UserError(f"{address}: give an address that begins with https://, or a path")
    try:
        with _pieces(address, len(scheme) > 1) as pieces, path.open("wb") as file:
            for piece in pieces:
                done += len(piece)
                if done > most:
                    raise _TooLarge
                file.write(piece)
                tell(done)
    except _TooLarge:
        raise UserError(f"{address}: larger than its index says, {most:,} bytes: nothing was kept") from None
    except (OSError, ValueError) as error:  # errors of requests are OSErrors
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"HTTP {status}" if status else getattr(error, "strerror", None) or type(error).__name__
        raise UserError(f"{address}: could not be fetched ({reason}); nothing was kept") from None


@contextlib.contextmanager
def _pieces(address: str, remote: bool) -> Iterator[Iterator[bytes]]:
    if remote:
        with requests.get(address, stream=True, timeout=SECONDS) as response:
            response.raise_for_status()
            yield response.iter_content(PIECE)
    else:
        with Path(address).open("rb") as file:
            yield iter(lambda: file.read(PIECE), b"")
