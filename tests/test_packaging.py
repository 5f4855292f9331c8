"""What pyproject.toml lists by hand is what is there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import zoo
from zoo import hub

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def test_packages_are_the_folders() -> None:
    mapped = {name: folder for name, folder in SETUPTOOLS["package-dir"].items() if name != "zoo"}
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "zoo").rglob("__init__.py")
    } | set(mapped)
    assert sorted(SETUPTOOLS["packages"]) == sorted(folders)
    for folder in mapped.values():
        assert (ROOT / folder / "__init__.py").is_file()
    code = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "zoo").rglob("*.py")}
    assert code <= folders, "a folder of code without __init__.py is not installed"


@pytest.mark.parametrize(
    ("package", "folder", "ending"),
    [("zoo.recipes", "recipes", ".yaml"), ("zoo.saved_models", "saved_models", "")],
)
def test_package_data_covers_every_file(package: str, folder: str, ending: str) -> None:
    covered = {path for glob in SETUPTOOLS["package-data"][package] for path in (ROOT / folder).glob(glob)}
    there = {
        path
        for path in (ROOT / folder).rglob(f"*{ending}")
        if path.is_file() and path.suffix not in (".py", ".pyc") and not path.name.startswith(".")
    }
    assert there <= covered


def test_the_installed_folders_are_found() -> None:
    assert hub.recipe_names()
    assert set(hub.saved_names()) == {path.parent.name for path in hub.saved_dir().glob("*/recipe.yaml")}


def test_version_and_python() -> None:
    assert PROJECT["project"]["version"] == zoo.__version__
    assert f"## {zoo.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert PROJECT["project"]["requires-python"] == ">=3.11"


def test_the_cli_folder_is_no_package_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ImportError, match=r"import zoo\.cli"):
        __import__("cli")
