"""index.yaml says which files there are; nothing else is read, and nothing of another content."""

from __future__ import annotations

import pytest

from zoo import hub
from zoo.errors import UserError
from zoo.saved.index import (
    NEEDED,
    Entry,
    check_files,
    files_of,
    read_index,
    read_index_of,
    write_index,
)
from zoo.yaml_strict import dump_yaml

FILE = {"bytes": 1, "sha256": "0" * 64}
ENTRY = {"summary": "Farben, 颜色.", "recipe": "a/b", "licence": "none", "files": dict.fromkeys(NEEDED, FILE)}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "colours" / "tokenizer").mkdir(parents=True)
    for part in NEEDED:
        (tmp_path / "colours" / part).write_text(part)
    (tmp_path / "colours" / "run_me.py").write_text("1 / 0")
    return tmp_path / "colours"


def text_of(**changes) -> str:
    return dump_yaml({"colours": {**ENTRY, **changes}})


def test_it_is_written_and_read(folder) -> None:
    entry = Entry.model_validate({**ENTRY, "files": {p: f.model_dump() for p, f in files_of(folder).items()}})
    write_index(folder.parent, {"colours": entry})
    assert read_index_of(folder.parent) == {"colours": entry}
    assert set(entry.files) == set(NEEDED), "a strange file is none of the model's"
    check_files(folder, entry, "")


def test_no_index_is_an_empty_one(tmp_path) -> None:
    assert read_index_of(tmp_path) == {} == read_index("# nothing yet\n", "index.yaml")


@pytest.mark.parametrize("part", NEEDED)
def test_a_damaged_or_missing_file_is_named(folder, part) -> None:
    entry = Entry.model_validate({**ENTRY, "files": {p: f.model_dump() for p, f in files_of(folder).items()}})
    (folder / part).write_text(part.upper())
    with pytest.raises(UserError) as error:
        check_files(folder, entry, "bring it again")
    assert error.value.problems == (
        f"{folder / part}: damaged (its sha256 differs from the index)",
        "bring it again",
    )
    (folder / part).unlink()
    with pytest.raises(UserError, match="missing"):
        check_files(folder, entry, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b\n", "expected a mapping of names"),
        ("colours: 5\n", "colours: "),
        ("../colours: {}\n", "no name of a saved model"),
        ("Colours: {}\n", "no name of a saved model"),
        ("a..b: {}\n", "no name of a saved model"),
        (text_of(files={**ENTRY["files"], "../../.bashrc": FILE}), "no file of a saved model is called so"),
        (text_of(files={**ENTRY["files"], "/etc/passwd": FILE}), "no file of a saved model is called so"),
        (text_of(files={**ENTRY["files"], "code/model.py": FILE}), "no file of a saved model is called so"),
        (text_of(files={"recipe.yaml": FILE}), "model.weights.h5, tokenizer/tokenizer.model missing"),
        (text_of(files={**ENTRY["files"], "recipe.yaml": {"bytes": 1, "sha256": "12"}}), "sha256"),
        (text_of(files={**ENTRY["files"], "recipe.yaml": {"bytes": -1, "sha256": "0" * 64}}), "bytes"),
        (text_of(licence=None), "colours.licence"),
        (text_of(run="rm -rf /"), "colours.run"),
    ],
)
def test_what_is_wrong_is_said(text, said) -> None:
    with pytest.raises(UserError) as error:
        read_index(text, "there/index.yaml")
    assert said in str(error.value) and "there/index.yaml" in str(error.value)
    assert "Traceback" not in str(error.value) and "pydantic" not in str(error.value)


def test_all_mistakes_at_once() -> None:
    with pytest.raises(UserError) as error:
        read_index("Colours: {}\ncolours: {summary: 5}\n", "index.yaml")
    assert len(error.value.problems) > 3


def test_every_shipped_model_is_as_its_index_says() -> None:
    for name in hub.saved_names():
        assert hub.find_saved(name) == hub.saved_dir() / name


def test_the_shipped_models_stay_small() -> None:
    sizes = {
        name: sum(f.bytes for f in e.files.values()) for name, e in read_index_of(hub.saved_dir()).items()
    }
    assert max(sizes.values()) <= 10_000_000
    assert sum(sizes.values()) <= 40_000_000
