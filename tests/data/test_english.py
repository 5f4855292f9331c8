"""All English text: every part, nothing twice, nothing of training that is held out; several files of one's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import small_data
from data_files import DOCUMENTS, put, write_recipe

from zoo.config import data as sections
from zoo.data import public
from zoo.data.datasets import load_dataset
from zoo.data.english import SECTIONS, load
from zoo.errors import UserError
from zoo.recipe import load_recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_data.write(tmp_path_factory.mktemp("data"), rows=60)


def english(folder, **keys):
    return sections.English(name="english", dir=folder, **keys)


def test_all_parts_are_read_and_nothing_stands_twice(folder) -> None:
    dataset = load(english(folder))
    train, val, test = (set(split.sources) for split in (dataset.train, dataset.val, dataset.test))
    assert not train & val and not train & test and not val & test
    assert (len(train), len(val)) == (len(dataset.train), len(dataset.val))
    assert set(dataset.train.targets) == {""}
    assert any(text.startswith("ROMEO:\n") for text in train) and any(text.endswith(" ?") for text in train)
    counts = dataset.report.counts
    assert {what for what in counts if what.startswith("documents of")} == {
        f"documents of {x}" for x in SECTIONS
    }
    for name, split in dataset.splits().items():
        read = sum(row.get(name, 0) for what, row in counts.items() if what.startswith("documents of"))
        left = sum(row.get(name, 0) for what, row in counts.items() if what.startswith("documents left out"))
        assert len(split) == read - left
    assert counts["documents left out: they stand twice"]["train"] > 0
    assert "multi30k: CC BY" in dataset.licence


def test_what_is_held_out_anywhere_is_learnt_nowhere(folder) -> None:
    """The stand-in's TREC has sentences of its own; here its training question is another set's validation."""
    trec = public.load(SECTIONS["trec"](dir=folder / "trec"))
    question = trec.train.sources[0]
    path = folder / "sst2" / "dev.tsv"
    before = path.read_text()
    try:
        path.write_text(before + f"{question}\t1\n")
        dataset = load(english(folder, parts=["trec", "sst2"]))
    finally:
        path.write_text(before)
    assert question in dataset.val.sources and question not in dataset.train.sources
    assert dataset.report.counts["documents left out: another split holds them out"]["train"] >= 1


def test_parts_are_chosen(folder) -> None:
    dataset = load(english(folder, parts=["tinyshakespeare"]))
    assert dataset.test is None and next(iter(dataset.report.counts)) == "documents of tinyshakespeare"
    task = SimpleNamespace(data=english(folder, parts=["sst2"]), task="masked_language_modeling")
    assert load_dataset(task).report.counts["documents"]["train"] == len(load_dataset(task).train)


def test_several_files_are_several_documents(tmp_path) -> None:
    put(tmp_path, a__txt="eins\nzwei\n", b__txt="三\n", v__txt="vier\n")
    path = write_recipe(
        tmp_path, "language_modeling", **DOCUMENTS | {"train": ["a.txt", "b.txt"], "val": ["v.txt"]}
    )
    dataset = load_dataset(load_recipe(path).recipe)
    assert dataset.train.sources == ["eins\nzwei\n", "三\n"] and dataset.val.sources == ["vier\n"]
    put(tmp_path, b__txt=b"\xff")
    with pytest.raises(UserError, match=r"b\.txt:1: byte 0xff"):
        load_dataset(load_recipe(path).recipe)
    same = write_recipe(
        tmp_path, "language_modeling", **DOCUMENTS | {"train": ["a.txt", "v.txt"], "val": "v.txt"}
    )
    with pytest.raises(UserError, match=r"data\.val: is the training file"):
        load_recipe(same)


def test_classification_data_serve_too(folder, tmp_path) -> None:
    section = sections.SST2(name="sst2", dir=folder / "sst2")
    dataset = load_dataset(SimpleNamespace(data=section, task="masked_language_modeling"))
    assert dataset.labels("masked_language_modeling") is None
    assert dataset.report.counts["documents"]["train"] == 60
