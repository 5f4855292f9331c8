"""Named data sets: where they are looked for, what is checked, and (with ZOO_DATA) what is in them."""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pooch
import pytest

from zoo.config import data as sections
from zoo.data import public
from zoo.data.datasets import Dataset, load_dataset
from zoo.errors import UserError

ZOO_DATA = os.environ.get("ZOO_DATA")
real = pytest.mark.skipif(not ZOO_DATA, reason="ZOO_DATA is not set: the real data sets are not at hand")

SHAKESPEARE = "ROMEO:\nBut soft, what light\n\nthrough yonder window breaks?\n" * 10
PAIRS = {
    "train": [("One dog.", "Ein Hund."), ("Two dogs.", "Zwei Hunde.")],
    "val": [("One dog.", "Ein Hund!")],
    "test_2016_flickr": [("A cat.", "Eine Katze.")],
}


def load(section, task: str = "translation") -> Dataset:
    if getattr(section, "target", None) == "next":
        task = "language_modeling"
    return load_dataset(SimpleNamespace(data=section, task=task))


def shakespeare(**keys):
    return sections.TinyShakespeare(name="tinyshakespeare", **keys)


def publish(
    monkeypatch, name: str, files: dict[str, bytes], upstream: dict[str, bytes] | None = None
) -> list[str]:
    """Makes up files: their hashes, and what the network gives, if anything; returns what it was asked."""
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    monkeypatch.setitem(public.SOURCES, name, replace(public.SOURCES[name], sha256=hashes))
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append(url)
        content = (upstream or {}).get(url.rsplit("/", 1)[1])
        if content is None:
            raise ConnectionError("no network")
        Path(path, fname).write_bytes(content)
        return str(Path(path, fname))

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return asked


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """No test sees the folders of this machine; real ones name theirs again."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZOO_DATA", raising=False)
    return tmp_path


def test_offline_error_names_the_three_places(places, monkeypatch):
    publish(monkeypatch, "tinyshakespeare", {"input.txt": b"x"})
    monkeypatch.setenv("ZOO_DATA", str(places / "data"))
    (places / "mine").mkdir()
    with pytest.raises(UserError) as caught:
        load(shakespeare())
    assert "data.dir (not set)" in str(caught.value)
    with pytest.raises(UserError) as caught:
        load(shakespeare(dir=places / "mine"))
    (line,) = caught.value.problems
    for part in (
        "input.txt",
        str(places / "mine"),
        str(places / "data" / "tinyshakespeare"),
        str(places / "cache"),
    ):
        assert part in line
    assert "char-rnn" in line and "ConnectionError" in line and "run once with a network" in line


def test_what_cannot_be_downloaded_says_how_to_get_it(monkeypatch):
    asked = publish(monkeypatch, "tatoeba_en_zh", {"train.tsv.gz": b"x", "val.tsv.gz": b"x"})
    with pytest.raises(UserError, match=r"cannot be downloaded: .*cmn-eng\.zip"):
        load(sections.TatoebaEnZh(name="tatoeba_en_zh", source="en", target="zh"))
    assert not asked


def test_order_of_the_places(places, monkeypatch):
    publish(monkeypatch, "tinyshakespeare", {"input.txt": SHAKESPEARE.encode()})
    monkeypatch.setenv("ZOO_DATA", str(places / "data"))
    for folder in ("cache/datasets/tinyshakespeare", "data/tinyshakespeare", "mine"):
        (places / folder).mkdir(parents=True)
        (places / folder / "input.txt").write_text(folder + "\n" + SHAKESPEARE)
        keys = {"dir": places / "mine"} if folder == "mine" else {}
        assert load(shakespeare(**keys)).train.sources[0].split("\n")[0] == folder
    with pytest.raises(UserError, match=r"data\.dir: no folder"):
        load(shakespeare(dir=places / "nowhere"))


def test_another_content_is_a_warning(places, monkeypatch):
    publish(monkeypatch, "tinyshakespeare", {"input.txt": SHAKESPEARE.encode()})
    (places / "input.txt").write_text(SHAKESPEARE)
    assert load(shakespeare(dir=places)).report.warnings == []
    (places / "input.txt").write_text(SHAKESPEARE + "more\n")
    (warning,) = load(shakespeare(dir=places)).report.warnings
    assert "input.txt is not the file as published" in warning


def test_download_is_checked_and_kept(places, monkeypatch):
    asked = publish(
        monkeypatch,
        "tinyshakespeare",
        {"input.txt": SHAKESPEARE.encode()},
        {"input.txt": SHAKESPEARE.encode()},
    )
    first = load(shakespeare())
    assert load(shakespeare()).train == first.train
    assert len(asked) == 1
    kept = places / "cache" / "datasets" / "tinyshakespeare"
    assert [path.name for path in kept.iterdir()] == ["input.txt"]
    assert first.licence == "public domain"


def test_download_with_another_content_is_not_kept(places, monkeypatch):
    publish(monkeypatch, "tinyshakespeare", {"input.txt": b"right"}, {"input.txt": b"<html>not found</html>"})
    with pytest.raises(UserError, match="sha256 differs"):
        load(shakespeare())
    assert list((places / "cache" / "datasets" / "tinyshakespeare").iterdir()) == []


def test_trec_is_converted_from_latin1(monkeypatch):
    """The authors' files are Latin-1; the hash is of the same text in UTF-8."""
    labels = ("NUM:count", "DESC:def")
    rows = [f"{label} What {label[0]} is {n} caf\u00e9s ?" for n in range(12) for label in labels]
    text = "\n".join(rows) + "\n"
    files = {"train.txt": text.encode(), "test.txt": b"NUM:count How many ?\n"}
    upstream = {"train_5500.label": text.encode("latin-1"), "TREC_10.label": b"NUM:count How many ?\n"}
    publish(monkeypatch, "trec", files, upstream)
    dataset = load(sections.TREC(name="trec"), "classification")
    assert dataset.train.sources[0] == "What N is 0 caf\u00e9s ?"
    assert dataset.labels("classification") == ["DESC", "NUM"]
    assert len(dataset.val) == 2 and not set(dataset.val.sources) & set(dataset.train.sources)
    fine = load(sections.TREC(name="trec", labels="fine"), "classification")
    assert fine.labels("classification") == ["DESC:def", "NUM:count"]


def test_ud_is_reduced_to_the_columns_that_are_read(monkeypatch):
    whole = (
        "# newdoc id = x\n# sent_id = 1\n# text = Go on\n1\tGo\tgo\tVERB\tVB\tMood=Imp\t0\troot\t0:root\t_\n"
        "2\ton\ton\tADV\tRB\t_\t1\tadvmod\t1:advmod\tSpaceAfter=No\n\n"
    )
    kept = (
        "# sent_id = 1\n# text = Go on\n1\tGo\tgo\tVERB\t_\t_\t_\t_\t_\t_\n"
        "2\ton\ton\tADV\t_\t_\t_\t_\t_\t_\n\n"
    )
    names = {f"en_ewt-upos-{split}.conllu.gz": kept.encode() for split in ("train", "dev", "test")}
    upstream = {f"en_ewt-ud-{split}.conllu": whole.encode() for split in ("train", "dev", "test")}
    asked = publish(monkeypatch, "ud_ewt", names, upstream)
    assert list(load(sections.UDEWT(name="ud_ewt")).test) == [("Go on", "VERB ADV")]
    assert len(asked) == 3 and all("/r2.15/" in url for url in asked)


@pytest.mark.parametrize("packed", [True, False])
def test_multi30k_packed_or_not(places, monkeypatch, packed):
    files = {}
    for stem, rows in PAIRS.items():
        for language, side in (("en", 0), ("de", 1)):
            files[f"{stem}.{language}.gz"] = "".join(row[side] + "\n" for row in rows).encode()
    publish(monkeypatch, "multi30k", files)
    for name, content in files.items():
        (places / (name if packed else name[:-3])).write_bytes(gzip.compress(content) if packed else content)
    dataset = load(sections.Multi30k(name="multi30k", source="de", target="en", dir=places))
    assert list(dataset.train)[1] == ("Zwei Hunde.", "Two dogs.")
    assert list(dataset.test) == [("Eine Katze.", "A cat.")]
    assert dataset.report.warnings == []


REAL = [
    ("multi30k", {"source": "en", "target": "de"}, (29_000, 1_014, 1_000)),
    ("multi30k", {"source": "fr", "target": "en"}, (29_000, 1_014, 1_000)),
    ("tatoeba_en_zh", {"source": "zh", "target": "en"}, (19_449, 846)),
    ("sst2", {}, (6_920, 872, 1_821)),
    ("trec", {}, (4_921, 531, 500)),
    ("trec", {"labels": "fine"}, (4_921, 531, 500)),
    ("ud_ewt", {}, (12_544, 2_001, 2_077)),
    ("tinyshakespeare", {}, (1, 1)),
    ("tinyshakespeare", {"target": "reverse"}, (29_242, 3_536)),
]
SECTIONS = {
    "multi30k": sections.Multi30k,
    "tatoeba_en_zh": sections.TatoebaEnZh,
    "sst2": sections.SST2,
    "trec": sections.TREC,
    "ud_ewt": sections.UDEWT,
    "tinyshakespeare": sections.TinyShakespeare,
}


@real
@pytest.mark.parametrize(("name", "keys", "rows"), REAL)
def test_real_data(name, keys, rows, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", ZOO_DATA)
    if not (Path(ZOO_DATA) / name).is_dir():
        pytest.skip(f"no folder {name} in ZOO_DATA")
    task = "classification" if name in ("sst2", "trec") else "translation"
    dataset = load(SECTIONS[name](name=name, **keys), task)
    assert tuple(len(split) for split in dataset.splits().values()) == rows
    assert dataset.report.warnings == []
    counts = dataset.report.counts
    if name == "ud_ewt":
        assert sum(counts["multi-word ranges skipped"].values()) == 3_327
        assert sum(counts["empty nodes skipped"].values()) == 43
        assert all(len(a.split(" ")) == len(b.split(" ")) for a, b in dataset.train)
        assert len(dataset.labels("tagging")) == 17
    if name == "tinyshakespeare" and not keys:
        text = (Path(ZOO_DATA) / name / "input.txt").read_text(encoding="utf-8")
        assert dataset.train.sources[0] + dataset.val.sources[0] == text
        assert len(dataset.train.sources[0]) == int(0.9 * len(text))  # as nanoGPT cuts it
    if name == "sst2":
        assert dataset.labels(task) == ["negative", "positive"]
        assert counts["rows whose text is in train too"] == {"test": 2}
    if name == "trec":
        assert len(dataset.labels(task)) == (50 if keys else 6)
        assert counts["rows whose text is in train too"] == {"test": 10}
        assert any("ð" in text for text in dataset.train.sources + dataset.val.sources)
    if keys == {"source": "en", "target": "de"}:
        assert counts["rows with spaces at an end, removed"] == {"train": 40}
        assert counts["rows with a control character (tab, NUL ...), kept"] == {"train": 1}
        assert counts["rows whose text is in train too"] == {"val": 1}
    if name == "tatoeba_en_zh":
        assert "rows whose text is in train too" not in counts
