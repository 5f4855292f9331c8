"""Files appear whole, and what is left of a death is taken away."""

from __future__ import annotations

import hashlib
import os

import pytest

from zoo import files
from zoo.errors import UserError


def test_a_file_is_the_old_one_until_it_is_the_new_one(tmp_path) -> None:
    path = tmp_path / "deep" / "figures.json"
    files.write_json(path, {"名": 1})
    with pytest.raises(ZeroDivisionError), files.whole(path) as beside:
        beside.write_text("half")
        assert path.read_text(encoding="utf-8") == '{\n  "名": 1\n}\n'
        raise ZeroDivisionError
    assert path.read_text(encoding="utf-8") == '{\n  "名": 1\n}\n'
    assert [p.name for p in path.parent.iterdir()] == ["figures.json"]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path) -> None:
    with files.whole(tmp_path / "state", folder=True) as beside:
        with files.new_file(beside / "a") as file:
            file.write(b"1" * 3_000_000)
        assert file.raw.sha256.hexdigest() == hashlib.sha256(b"1" * 3_000_000).hexdigest()
        assert not (tmp_path / "state").exists()
    assert (tmp_path / "state" / "a").stat().st_size == 3_000_000


def test_lines_are_added(tmp_path) -> None:
    for line in ("一\n", "two\n"):
        files.append(tmp_path / "log", line)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "一\ntwo\n"


def test_leftovers_are_taken_away_and_nothing_else(tmp_path) -> None:
    (tmp_path / "state" / ".tmp.step-2").mkdir(parents=True)
    (tmp_path / "state" / ".tmp.step-2" / "a").touch()
    (tmp_path / ".tmp.old.code").touch()
    (tmp_path / ".lock").touch()
    (tmp_path / "tmp.txt").touch()
    files.remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".lock", "state", "tmp.txt"]


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").touch()
    os.symlink(tmp_path / "data", tmp_path / "link")
    files.remove(tmp_path / "link")
    files.remove(tmp_path / "never there")
    assert (tmp_path / "data" / "mine.txt").exists() and not (tmp_path / "link").exists()


def test_an_error_is_one_line_with_the_file_and_the_reason(tmp_path) -> None:
    (tmp_path / "a").write_text("a file where the folder should be")
    with pytest.raises(
        UserError, match=r"a/b: cannot be written \(Not a directory\); what stood there"
    ) as error:
        files.write(tmp_path / "a" / "b", "text")
    assert len(error.value.problems) == 1
