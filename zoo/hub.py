"""Finds recipes and saved models by name. Finding only: nothing is loaded, and no TensorFlow."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from zoo.cache import cache_dir
from zoo.errors import UserError
from zoo.registry import did_you_mean
from zoo.runtime import kind_of
from zoo.saved.index import Entry, check_files, read_index_of


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


def fetched_dir() -> Path:
    """The folder of the trained models that `zoo fetch` brought."""
    return cache_dir("saved_models")


def saved_index() -> dict[str, Entry]:
    """What is said of each saved model, those that were fetched among them."""
    return read_index_of(fetched_dir()) | read_index_of(saved_dir())


def saved_names() -> list[str]:
    """The names of the saved models."""
    return sorted(saved_index())


def here_names() -> list[str]:
    """The names of the saved models that are on this machine."""
    return [
        name for name in saved_names() if any((root / name).is_dir() for root in (saved_dir(), fetched_dir()))
    ]


def find_saved(name: str) -> Path:
    """The folder of a saved model, by its name; its files are those that its index means."""
    for root, remedy in (
        (saved_dir(), "install the package again"),
        (fetched_dir(), f"`zoo fetch {name}` brings it again"),
    ):
        entry = read_index_of(root).get(name)
        if entry and (root / name).is_dir():
            check_files(root / name, entry, remedy)
            return root / name
        if entry and entry.address is None:
            raise UserError(f"the saved model '{name}' is in the index but not in {root}: {remedy}")
    names = saved_names()
    if name in names:
        raise UserError(f"the saved model '{name}' is not on this machine yet: `zoo fetch {name}` brings it")
    raise UserError(
        _not_found(
            "saved model",
            name,
            names,
            "`zoo ls saved` lists them, `zoo fetch NAME --index ADDRESS` brings others",
        )
    )


def find_model(name_or_folder: str | Path) -> Path:
    """The folder of a trained model: a run folder, a run under runs/ by its recipe's name, or a saved model."""
    folder = Path(name_or_folder)
    if kind_of(folder):
        raise UserError(f"{folder}: an exported model answers, and no more; give the run that it was made of")
    for place in (folder, Path("runs") / folder):
        if (place / "resolved.yaml").is_file():
            return place
        if (place / "recipe.yaml").is_file():
            _check_by_its_index(place)
            return place
    if folder.exists():
        exported = sorted(str(path) for path in folder.glob("*") if kind_of(path))
        inside = f"; did you mean what was exported into it: {', '.join(exported)}?" if exported else ""
        raise UserError(f"{folder}: neither a run folder nor a saved model: it has no recipe.yaml{inside}")
    name, saved = str(name_or_folder), saved_names()
    if name not in saved:
        known = [*saved, *_runs_here()]
        raise UserError(
            _not_found("run and no saved model", name, known, "`zoo ls runs` and `zoo ls saved` list them")
        )
    return find_saved(name)


def _runs_here() -> list[str]:
    """The names of the runs under runs/ here, with that folder and without."""
    runs = [path.parent for path in Path("runs").rglob("resolved.yaml")]
    return sorted({str(run) for run in runs} | {run.relative_to("runs").as_posix() for run in runs})


def _check_by_its_index(folder: Path) -> None:
    """A saved model that is named by its folder is held to the index beside that, if one knows it."""
    here = folder.absolute()
    entry = read_index_of(here.parent).get(here.name)
    if entry:
        check_files(
            folder, entry, f"`zoo publish {folder}` takes it as it is now, where that is what you want"
        )


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
