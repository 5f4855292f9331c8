"""Finds recipes and saved models by name. Finding only: nothing is loaded, and no TensorFlow."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.registry import did_you_mean
from zoo.runtime import kind_of


def recipes_dir() -> Path:
    """The folder of the recipes that come with the package."""
    return _package_dir("zoo.recipes")


def saved_dir() -> Path:
    """The folder of the trained models that come with the package."""
    return _package_dir("zoo.saved_models")


def recipe_names() -> list[str]:
    """All recipe names: their paths in `recipes/` without .yaml."""
    root = recipes_dir()
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def find_recipe(name: str) -> Path:
    """The file of a recipe, by its name."""
    names = recipe_names()
    if name not in names:
        raise UserError(
            _not_found("recipe", name, names, "`zoo ls recipes` lists them; a file's name ends in .yaml")
        )
    return recipes_dir() / f"{name}.yaml"


def saved_index() -> dict[str, dict[str, Any]]:
    """What `saved_models/index.yaml` says of each saved model, such as its `summary` and `licence`."""
    path = saved_dir() / "index.yaml"
    if not path.is_file():
        return {}
    from zoo.yaml_strict import parse_yaml

    index = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    return index if isinstance(index, dict) else {}


def saved_names() -> list[str]:
    """The names of the saved models."""
    return sorted(saved_index())


def find_saved(name: str) -> Path:
    """The folder of a saved model, by its name."""
    names = saved_names()
    if name not in names:
        raise UserError(_not_found("saved model", name, names, "`zoo ls saved` lists them"))
    folder = saved_dir() / name
    if not folder.is_dir():
        raise UserError(
            f"the saved model '{name}' is in the index but not in {saved_dir()}: install the package again"
        )
    return folder


def find_model(name_or_folder: str | Path) -> Path:
    """The folder of a trained model: a run folder, a run under runs/ by its recipe's name, or a saved model."""
    folder = Path(name_or_folder)
    if kind_of(folder):
        raise UserError(f"{folder}: an exported model answers, and no more; give the run that it was made of")
    for place in (folder, Path("runs") / folder):
        if (place / "resolved.yaml").is_file() or (place / "recipe.yaml").is_file():
            return place
    if folder.exists():
        exported = sorted(str(path) for path in folder.glob("*") if kind_of(path))
        inside = f"; did you mean what was exported into it: {', '.join(exported)}?" if exported else ""
        raise UserError(f"{folder}: neither a run folder nor a saved model: it has no recipe.yaml{inside}")
    return find_saved(str(name_or_folder))


def find_pretrained(key: str, name: str) -> Path:
    """The folder of the trained model that a key of a recipe names."""
    try:
        return find_model(name)
    except UserError as error:
        if name in recipe_names():
            raise UserError(f"{key}: '{name}' is not trained yet: run `zoo train {name}` first") from error
        raise UserError(
            f"{key}: no run and no saved model is '{name}': give the folder of a run that is there"
        ) from error


def _package_dir(package: str) -> Path:
    # The packages are plain folders in every way we install (wheels are unpacked), so this is a real path.
    return Path(str(importlib.resources.files(package)))


def _not_found(kind: str, name: str, names: list[str], remedy: str) -> str:
    hint = did_you_mean(name, names)
    if not hint:
        # People type the last part, or forget it.
        close = [known for known in names if name and name in known]
        hint = f", did you mean '{close[0]}'?" if close else ""
    return f"no {kind} is called '{name}'{hint or ';'} {remedy}"
