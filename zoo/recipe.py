"""Reads recipes: a YAML file, what it extends, and overrides; all is checked before anything runs.

All mistakes of all files are gathered and shown together, each as `file:line:column  key: message`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from zoo import full_width, hub, user_code
from zoo.config import Recipe, rules
from zoo.config.data import Files, Named
from zoo.config.explain import explain
from zoo.config.own import recipe_class
from zoo.errors import UserError
from zoo.yaml_strict import Node, Place, Problem, decode_file, dotted, dump_yaml, parse_yaml, read_document

__all__ = ["LoadedRecipe", "diff_recipes", "dump_recipe", "json_schema", "load_recipe", "parse_yaml"]


@dataclass(frozen=True)
class LoadedRecipe:
    """A checked recipe, and where it came from."""

    recipe: Recipe
    path: Path
    text: str
    """The file as given, without what it extends."""
    overrides: tuple[str, ...]
    warnings: list[str]
    """Lines to print: what is allowed but probably not meant."""
    tree: Node
    """Everything that was said, with its place."""

    def warning(self, key: str, says: str) -> str:
        """A line to print about a key."""
        return str(Problem(_place(self.tree, tuple(key.split("."))), key, f"warning: {says}"))


def load_recipe(
    name_or_path: str | Path, overrides: Sequence[str] = (), allow_code: bool = False
) -> LoadedRecipe:
    """The recipe of a name or file, with overrides such as `train.steps=200`; a UserError holds all mistakes.

    `extends: other` (a name, or a path relative to the file) reads another recipe first and lays this one
    over it: mappings are merged key by key, lists and values replaced, and a section whose `name` changes is
    replaced whole. `expect` is not inherited: a score belongs to one recipe. A relative `data.dir` starts at
    the file that says it, and so do `imports`, which are run only where code is allowed.
    """
    path = _find(name_or_path)
    shown = str(name_or_path) if Path(name_or_path) == path else _short(path)
    chain = _Chain()
    tree = chain.read(path, shown, None)
    problems = chain.problems
    if tree is not None:
        tree = _merge(tree, _override_tree(overrides, problems))
        before = len(problems)
        imports = _run_imports(tree, allow_code or user_code.allowed(), problems)
        # What a file that did not run would have registered is no mistake of the recipe.
        recipe = _check(tree, problems) if len(problems) == before else None
    if problems or tree is None or recipe is None:
        raise UserError(*_sorted_lines(problems, [*chain.files, *map(_override_place, overrides)]))
    warned = rules.warnings(recipe)
    recipe = _with_phrases(_with_data_dir(recipe, tree), tree).model_copy(update={"imports": imports})
    loaded = LoadedRecipe(recipe, path, chain.text, tuple(overrides), [], tree)
    loaded.warnings.extend(loaded.warning(key, says) for key, says in warned)
    return loaded


def dump_recipe(recipe: Recipe) -> str:
    """The whole recipe with every default as YAML, in schema order; it loads as an equal recipe."""
    data = {key: _name_first(value) for key, value in recipe.model_dump(mode="json").items()}
    return dump_yaml(data)


def diff_recipes(a: Recipe, b: Recipe) -> list[str]:
    """Lines "key: old -> new" for what differs."""
    old, new = dict(_flat(a.model_dump(mode="json"))), dict(_flat(b.model_dump(mode="json")))
    return [
        f"{key}: {_inline(old.get(key, '-'))} -> {_inline(new.get(key, '-'))}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key, "-") != new.get(key, "-")
    ]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file. A recipe that extends another may leave anything out."""
    whole = Recipe.model_json_schema()
    sections = whole.pop("$defs")
    part = _without_required(whole)
    extends = {
        "type": "string",
        "description": "Recipe (name, or path relative to this file) that this one changes.",
    }
    part["properties"] = {"extends": extends, **part["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recipe of sequence-zoo",
        "type": "object",
        "if": {"required": ["extends"]},
        "then": part,
        "else": whole,
        "$defs": sections | {f"{name}Part": _without_required(section) for name, section in sections.items()},
    }


def _without_required(schema: Any) -> Any:
    """A copy in which no key must be there, and references point to such copies."""
    if isinstance(schema, list):
        return [_without_required(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _without_required(value) for key, value in schema.items() if key != "required"}
    if "discriminator" in result:
        # Without the name nothing tells the members apart: any that fits will do.
        del result["discriminator"]
        result["anyOf"] = result.pop("oneOf")
    if isinstance(result.get("$ref"), str):
        result["$ref"] += "Part"
    return result


# --- finding and merging --------------------------------------------------------------------------


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    path = Path(text)
    if isinstance(name_or_path, str) and text in hub.recipe_names():
        return hub.find_recipe(text)
    if path.suffix in (".yaml", ".yml") or path.exists() or isinstance(name_or_path, Path):
        return path
    return hub.find_recipe(text)


def _short(path: Path) -> str:
    """A path as a user in this folder would write it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


class _Chain:
    """Reads a file and everything it extends, and keeps their problems and order."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.files: list[str] = []
        self.text = ""
        self._seen: list[Path] = []

    def read(self, path: Path, shown: str, asked_at: Place | None) -> Node | None:
        """The merged tree, or None where a file cannot be read at all."""
        here = asked_at or Place(shown)
        key = "extends" if asked_at else ""
        what = f"'{shown}' " if asked_at else ""
        if path.resolve() in self._seen:
            self.problems.append(
                Problem(here, key, f"{what}leads back to itself: remove one `extends` of the circle")
            )
            return None
        self._seen.append(path.resolve())
        try:
            text = decode_file(path.read_bytes(), shown)
        except FileNotFoundError:
            self.problems.append(
                Problem(here, key, f"{what}no such file: check the path, or see `zoo ls recipes` for names")
            )
            return None
        except IsADirectoryError:
            self.problems.append(Problem(here, key, f"{what}is a folder: give a recipe file (.yaml)"))
            return None
        except OSError as error:
            self.problems.append(
                Problem(here, key, f"{what}cannot be read: {error.strerror}; check its permissions")
            )
            return None
        except UserError as error:
            place, _, message = str(error).partition("  ")
            self.problems.append(Problem(Place(place), "", message))
            return None
        if asked_at is None:
            self.text = text
        self.files.append(shown)
        tree, problems = read_document(text, shown)
        self.problems += problems
        if tree is None:
            return None
        if not tree.is_mapping:
            what = (
                "is empty"
                if tree.value is None
                else "holds a list"
                if isinstance(tree.value, list)
                else "holds a text"
            )
            self.problems.append(
                Problem(
                    tree.place, "", f"the file {what}, not a recipe: start with `name:`, `task:`, `data:` …"
                )
            )
            return None
        return self._extended(tree, path, shown)

    def _extended(self, tree: Node, path: Path, shown: str) -> Node | None:
        extends = tree.value.pop("extends", None)
        if extends is None:
            return tree
        other = extends.value
        if not isinstance(other, str) or not other:
            self.problems.append(Problem(extends.place, "extends", "expected the name or path of one recipe"))
            return None
        if other in hub.recipe_names():
            base_path = hub.find_recipe(other)
            base_shown = _short(base_path)
        elif other.endswith((".yaml", ".yml")):
            base_path = path.parent / other
            base_shown = os.path.normpath(os.path.join(os.path.dirname(shown), other))
        else:
            try:
                hub.find_recipe(other)
            except UserError as error:
                self.problems.append(Problem(extends.place, "extends", str(error)))
            return None
        base = self.read(base_path, base_shown, extends.place)
        if base is None:
            return None
        base.value.pop("expect", None)
        return _merge(base, tree)


def _merge(base: Node, over: Node, top: bool = True) -> Node:
    """`over` laid upon `base`; a section whose name changes is replaced whole."""
    if not (base.is_mapping and over.is_mapping):
        return over
    old, new = base.child("name"), over.child("name")
    if not top and old and new and old.value != new.value:
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = _merge(merged[key], node, top=False) if key in merged else node
    return Node(merged, over.place if over.place.line else base.place, over.key_place or base.key_place)


def _override_place(override: str) -> str:
    return f"override '{override}'"


def _override_tree(overrides: Sequence[str], problems: list[Problem]) -> Node:
    """All `key=value` as one tree, so that their order does not matter; of two for one key the last holds."""
    root = Node({}, Place("overrides"))
    for override in overrides:
        place = Place(_override_place(override))
        key, equals, text = override.partition("=")
        # Without an equals sign, one that is full-width is what is missing, whatever else stands there.
        foreign = full_width.first(key if equals else override.partition("＝")[1])
        if foreign:
            problems.append(Problem(place, "", foreign))
            continue
        parts = key.strip().split(".")
        if not equals or not all(parts):
            problems.append(Problem(place, "", "expected key=value, such as train.steps=200"))
            continue
        value, found = read_document(text, str(place), inline=True)
        problems += found
        if found or value is None:
            continue
        for part in reversed(parts):
            value.key_place = place
            value = Node({part: value}, place)
        if parts[0] == "extends":
            problems.append(Problem(place, "extends", "cannot be overridden: write it in a file"))
            continue
        root = _merge(root, value)
    return root


def _run_imports(tree: Node, allowed: bool, problems: list[Problem]) -> list[Path]:
    """Runs the files of `imports`, each relative to the file that names it; returns where they are."""
    said = tree.child("imports")
    items = said.value if said is not None and isinstance(said.value, list) else []
    found = []
    for number, item in enumerate(items):
        if not isinstance(item.value, str):
            return []  # the schema says so
        start = Path(item.place.file).parent if item.place.line else Path()
        path = Path(os.path.abspath(start / Path(item.value).expanduser()))
        if not allowed:
            problems.append(Problem(item.place, f"imports.{number}", user_code.refusal(item.value)))
            continue
        try:
            user_code.run(path)
            found.append(path)
        except UserError as error:
            problems += [Problem(item.place, f"imports.{number}", text) for text in error.problems]
    return found


# --- checking -------------------------------------------------------------------------------------


def _check(tree: Node, problems: list[Problem]) -> Recipe | None:
    """The recipe, or None and further problems."""
    plain = tree.plain()
    endless = {
        path
        for path, node in tree.leaves()
        if isinstance(node.value, float) and not math.isfinite(node.value)
    }
    for path in sorted(endless, key=str):
        problems.append(
            Problem(_place(tree, path), dotted(path), "expected a number that is finite: write one")
        )
    try:
        recipe = recipe_class().model_validate(plain)
        bad = endless
    except ValidationError as error:
        found = explain(error, plain)
        bad = endless | {path for path, _ in found}
        for path, message in found:
            if path not in endless:
                at_key = message.startswith("unknown key")
                problems.append(Problem(_place(tree, path, at_key), dotted(path), message))
        recipe = _construct(recipe_class(), plain, bad)
    for key, says in rules.errors(recipe, whole=not bad):
        problems.append(Problem(_place(tree, tuple(key.split("."))), key, says))
    return None if problems else recipe


def _place(tree: Node, path: tuple[str | int, ...], at_key: bool = False) -> Place:
    """Where to point for a path: its value (or key), else the mapping that should hold it."""
    node, whole = tree, True
    for part in path:
        child = node.child(part)
        if child is None:
            whole = False
            break
        node = child
    if not whole or at_key or isinstance(node.value, dict):
        return node.start
    return node.place


def _construct(
    cls: type[BaseModel], data: dict[str, Any], bad: set[tuple[str | int, ...]], at: tuple = ()
) -> Any:
    """A section without its wrong keys, so that rules about the others can still be asked.

    A wrong or missing key is an attribute that is not there.
    """
    values = {}
    wrong = {path[: len(at) + 1] for path in bad if path[: len(at)] == at}
    for key, field in cls.model_fields.items():
        if key not in data:
            continue
        value, path = data[key], (*at, key)
        section = _section_class(field.annotation, value)
        if section is not None and path not in bad:
            values[key] = _construct(section, value, bad, path)
        elif path not in wrong:
            values[key] = value
    made = cls.model_construct(**values)
    for path in wrong:
        key = path[len(at)]
        if key not in values:
            made.__dict__.pop(key, None)
    return made


def _section_class(annotation: Any, value: Any) -> type[BaseModel] | None:
    """The class that a mapping should become: the one member of a union that has its name."""
    if not isinstance(value, dict):
        return None
    members = [
        m for m in (get_args(annotation) or (annotation,)) if isinstance(m, type) and issubclass(m, BaseModel)
    ]
    for member in members:
        name = member.model_fields.get("name")
        if name is None or not get_args(name.annotation) or value.get("name") in get_args(name.annotation):
            return member
    return None


def _sorted_lines(problems: list[Problem], sources: list[str]) -> list[str]:
    """Each problem once, in the order of files and overrides, then of lines."""
    order = {source: number for number, source in enumerate(sources)}
    last = len(sources)
    ordered = sorted(problems, key=lambda p: (order.get(p.place.file, last), p.place.line, p.place.column))
    return list(dict.fromkeys(map(str, ordered)))


def _with_phrases(recipe: Recipe, tree: Node) -> Recipe:
    """`masking.phrases` made absolute, as `data.dir` is."""
    path = recipe.masking.phrases
    if path is None:
        return recipe
    said = tree.value["masking"].child("phrases")
    start = Path(said.place.file).parent if said.place.line else Path()
    path = Path(os.path.abspath(start / path.expanduser()))
    return recipe.model_copy(update={"masking": recipe.masking.model_copy(update={"phrases": path})})


def _with_data_dir(recipe: Recipe, tree: Node) -> Recipe:
    """`data.dir` made absolute: it starts at the file that says it, of an override at the current folder."""
    data = recipe.data
    if not isinstance(data, Files | Named) or (isinstance(data, Named) and data.dir is None):
        return recipe
    said = tree.value["data"].child("dir")
    if said is None or said.value is None:
        said = tree.value["data"].child("name")
    start = Path(said.place.file).parent if said.place.line else Path()
    folder = Path(os.path.abspath(start / (data.dir or "")))
    return recipe.model_copy(update={"data": data.model_copy(update={"dir": folder})})


# --- writing --------------------------------------------------------------------------------------


def _name_first(section: Any) -> Any:
    """pydantic puts the keys of a base class first, a reader what the section is."""
    return (
        {"name": section["name"], **section} if isinstance(section, dict) and "name" in section else section
    )


def _flat(data: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _inline(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
