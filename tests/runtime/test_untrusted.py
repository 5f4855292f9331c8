"""What others made: archives without end, entries that lie, parts of the wrong types. One message, and no memory."""

from __future__ import annotations

import io
import json
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from zoo.data.tokenizers import Tokenizer
from zoo.errors import UserError
from zoo.runtime.tflite import LARGEST, load, parts_of

NESTED = b"[" * 200_000


def rewritten(path: Path, change, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """The same model behind which stands another archive: `change` gets it and what was in it."""
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        end = min(entry.header_offset for entry in archive.infolist())
        parts = {name: archive.read(name) for name in archive.namelist()}
    path.write_bytes(content[:end])
    with zipfile.ZipFile(path, "a", method) as archive:
        change(archive, parts)
    return path


def peak(ask) -> int:
    """Bytes that Python holds at most meanwhile."""
    tracemalloc.start()
    try:
        ask()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_without_end_is_not_unpacked(make):
    """300 MB of nothing are 300 kB in an archive; what is none of ours is not even looked at."""

    def bomb(archive, parts):
        for name, content in parts.items():
            archive.writestr(name, b"0" * 3 * 10**8 if name == "signature.json" else content)

    path = rewritten(make("echo"), bomb)
    assert path.stat().st_size < 10**6

    def ask():
        with pytest.raises(UserError, match="no tokenizer is appended to it, or the file is damaged"):
            load(path)

    assert peak(ask) < 10**8

    def beside(archive, parts):
        for name, content in {**parts, "labels.txt": b"0" * 3 * 10**8}.items():
            archive.writestr(name, content)

    path = rewritten(make("echo"), beside)
    assert peak(lambda: load(path)) < 10**8 and load(path).answer("狗").text == "狗"


@pytest.mark.parametrize("said", [0, 1, LARGEST, LARGEST + 1, 2**32 - 2])
def test_a_length_that_lies(make, said):
    """What says to be shorter than it is, or longer than anything of ours, is refused; no room is made for it."""
    path = make("echo")
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02")
    assert content[entry + 46 :].startswith(b"tokenizer.model")
    content[entry + 24 : entry + 28] = struct.pack("<I", said)
    path.write_bytes(content)

    def ask():
        if said == LARGEST:
            assert load(path).answer("狗").text == "狗"
        else:
            with pytest.raises(UserError, match="damaged"):
                load(path)

    assert peak(ask) < 10**8


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_none_of_ours(make, method):
    def same(archive, parts):
        for name, content in parts.items():
            archive.writestr(name, content)

    with pytest.raises(UserError, match="the file is damaged"):
        load(rewritten(make("echo"), same, method))


def test_names_are_paths_to_nobody(make, tmp_path):
    """No entry is ever written to the disk, whatever its name."""
    before = None

    def climbing(archive, parts):
        names = ("../../owned", "/tmp/owned", "..\\owned", "tokenizer.model/../owned", "a\0b", "con")
        for name, content in {**parts, **dict.fromkeys(names, b"owned")}.items():
            archive.writestr(zipfile.ZipInfo(name), content)

    path = rewritten(make("echo"), climbing)
    before = sorted(tmp_path.parent.rglob("*"))
    assert load(path).answer("a").text == "a"
    assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("task", "files"),
    [
        ("translation", {"signature.json": NESTED}),
        ("translation", {"signature.json": b'{"task": ' + NESTED}),
        ("translation", {"signature.json": b"\xff\xfe"}),
        ("translation", {"signature.json": b'{"task": ["translation"], "max_length": 9}'}),
        ("translation", {"signature.json": b'{"task": "translation", "max_length": true}'}),
        ("translation", {"signature.json": b'{"task": "translation", "max_length": 1e9}'}),
        ("translation", {"signature.json": b'{"task": "translation", "max_length": ' + b"9" * 5000 + b"}"}),
        ("translation", {"signature.json": b'{"task": "translation", "max_length": 9, "positions": "8"}'}),
        ("classification", {"labels.json": NESTED}),
        ("classification", {"labels.json": b'[{"a": 1}, []]'}),
        ("classification", {"labels.json": b"[1, 2]"}),
        ("tagging", {"labels.json": b"[null, true]"}),
    ],
)
def test_parts_of_other_types_are_named(make, task, files):
    name = {"translation": "echo", "classification": "length", "tagging": "words"}[task]
    with pytest.raises(UserError, match=f"{next(iter(files))}.*export it again"):
        load(make(name, task, files))


def test_any_bytes_in_the_directory(make):
    """Two thousand damaged archives: a message or the right parts, and nothing else."""
    path = make("echo")
    whole = path.read_bytes()
    right = parts_of(whole, "file")
    start = whole.index(b"PK\x01\x02")
    numbers, read = random.Random(3), 0
    for _ in range(2000):
        broken = bytearray(whole)
        for _ in range(numbers.randint(1, 4)):
            broken[numbers.randrange(start, len(whole))] = numbers.randrange(256)
        try:
            found = parts_of(bytes(broken), "file")
        except UserError:
            continue
        read += 1
        assert {*found} <= {*right} and all(right[name] == content for name, content in found.items())
    assert 0 < read < 2000


def test_any_bytes_in_a_vocabulary(byte):
    """A vocabulary that SentencePiece takes is one that we can look into."""
    whole, numbers, taken = byte.model_bytes, random.Random(5), 0
    for _ in range(1500):
        broken = bytearray(whole)
        for _ in range(numbers.randint(1, 3)):
            broken[numbers.randrange(len(whole))] = numbers.randrange(256)
        try:
            tokenizer = Tokenizer.from_bytes(bytes(broken))
        except UserError:
            continue
        taken += 1
        assert isinstance(tokenizer.whole_words, bool) and len(tokenizer.surfaces) == len(tokenizer.pieces)
        text = tokenizer.decode(tokenizer.encode("狗 a</s>\0"))
        assert isinstance(json.dumps(text), str)
    assert taken > 50
