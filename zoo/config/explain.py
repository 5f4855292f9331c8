"""Says in plain words what pydantic found wrong, and where.

pydantic speaks of `model_attributes_type` and puts names of union members into its locations; a reader of a
recipe wants `train.steps: expected a whole number of at least 1, got the text '1_000'`. What was expected is
read from the JSON Schema, so that a key's rule is written once, in its section.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import ValidationError

from zoo import full_width
from zoo.config.own import recipe_class
from zoo.config.recipe import Recipe
from zoo.registry import did_you_mean, unknown

Path = tuple[str | int, ...]

UNIONS = {name for name, field in Recipe.model_fields.items() if field.discriminator}
"""Sections whose `name` decides what keys they have."""


def explain(error: ValidationError, data: dict[str, Any]) -> list[tuple[Path, str]]:
    """(path of keys, message) for each mistake; mistakes of one value in several union members become one."""
    schema = _schema(recipe_class())
    said: dict[Path, str] = {}
    whole: set[Path] = set()
    for item in error.errors(include_url=False):
        path = _path(item["loc"], data, item["type"] == "missing")
        if item["type"].startswith("union_tag"):
            path = (*path, "name")
        if path not in said:
            said[path] = _message(item, path, data, schema)
        if isinstance(item["input"], dict | list):
            whole.add(path)
    # Of a mapping that one member of a union takes but for a part, that part is what is wrong, not that it is none.
    inner = {path[:length] for path in said for length in range(len(path))}
    return [(path, message) for path, message in said.items() if path not in whole & inner]


@cache
def _schema(recipe: type[Recipe]) -> dict[str, Any]:
    return recipe.model_json_schema()


def _path(loc: tuple[str | int, ...], data: Any, missing: bool) -> Path:
    """The location without the names of union members that pydantic puts in between."""
    path: list[str | int] = []
    parts = list(loc)
    if len(parts) > 1 and parts[0] in UNIONS:
        del parts[1]
    for number, part in enumerate(parts, 1):
        absent = missing and number == len(parts)
        if isinstance(data, dict) and isinstance(part, str) and (part in data or absent):
            path.append(part)
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            path.append(part)
            data = data[part] if part < len(data) else None
        # else: this is no part of the data but names the member of a union that did not fit
    return tuple(path)


def _message(item: dict[str, Any], path: Path, data: Any, schema: dict[str, Any]) -> str:
    kind, found = item["type"], item.get("input")
    if kind == "value_error":
        return str(item["ctx"]["error"])
    parent = _schema_at(path[:-1], data, schema)
    if kind == "extra_forbidden":
        keys = list(parent.get("properties", {}))
        hint = did_you_mean(str(path[-1]), keys)
        return f"unknown key{hint}" if hint else f"unknown key, remove it; known here: {', '.join(keys)}"
    if kind.startswith("union_tag"):
        section = path[0]
        names = list(schema["properties"][section]["discriminator"]["mapping"])
        if kind == "union_tag_not_found":
            return f"missing; give one of: {', '.join(names)}"
        name = item["ctx"]["tag"]
        return unknown("data set" if section == "data" else str(section), name, names)
    wanted = describe(parent.get("properties", {}).get(path[-1], {}) if path else {}, schema)
    if path and isinstance(path[-1], int):
        wanted = describe(_schema_at(path, data, schema), schema)
    if kind == "missing":
        return f"missing; give {wanted}"
    return f"expected {wanted}, got {shown(found)}{_remedy(found, wanted)}"


def _remedy(found: Any, wanted: str) -> str:
    """A further word on the slips that YAML invites."""
    if isinstance(found, str):
        if "true or false" in wanted and found.lower() in ("yes", "on", "no", "off", "y", "n"):
            return f": write {'true' if found.lower() in ('yes', 'on', 'y') else 'false'}"
        if (
            "number" in wanted
            and (digits := found.replace("_", "").replace(",", "").replace(" ", "")).isdecimal()
        ):
            return f": write {int(digits)}"  # in ASCII, too
        if "one of" in wanted and (hint := did_you_mean(found, wanted.split("one of ", 1)[1].split(", "))):
            return hint
        if sign := full_width.first(found):
            return f": {sign}"
    if isinstance(found, float) and found.is_integer() and "whole number" in wanted and abs(found) < 1e15:
        return f": write {int(found)}"
    return ""


def shown(value: Any) -> str:
    """A value as a reader of YAML would name it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text '{value if len(value) <= 40 else value[:37] + '...'}'"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "an empty list" if not value else "a list"
    return str(value)


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _schema_at(path: Path, data: Any, root: dict[str, Any]) -> dict[str, Any]:
    """The part of the schema that speaks of the value at a path; {} where there is none."""
    schema: dict[str, Any] = root
    for part in path:
        if isinstance(part, int):
            schema = _resolved(schema.get("items", {}), root)
            data = data[part] if isinstance(data, list) and part < len(data) else None
            continue
        schema = _resolved(schema.get("properties", {}).get(part, {}), root)
        data = data.get(part) if isinstance(data, dict) else None
        if "discriminator" in schema:
            name = data.get("name") if isinstance(data, dict) else None
            target = schema["discriminator"]["mapping"].get(name) if isinstance(name, str) else None
            schema = _resolved({"$ref": target}, root) if target else {}
        elif "anyOf" in schema:
            members = [_resolved(member, root) for member in schema["anyOf"]]
            schema = next((m for m in members if m.get("type") == "object"), schema)
    return schema


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def describe(schema: dict[str, Any], root: dict[str, Any]) -> str:
    """What a schema wants, in words: 'a whole number of at least 1, or null'."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(describe(member, root) for member in schema["anyOf"]))
    if "discriminator" in schema:
        return f"a mapping with `name: {next(iter(schema['discriminator']['mapping']))}` or another name"
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        bounds = [
            f"{words} {_plain(schema[key])}"
            for key, words in (
                ("minimum", "of at least"),
                ("exclusiveMinimum", "above"),
                ("maximum", "at most"),
                ("exclusiveMaximum", "below"),
            )
            if key in schema
        ]
        return " ".join(["a whole number" if kind == "integer" else "a number", " and ".join(bounds)]).strip()
    if kind == "array":
        return f"a list, each {describe(schema.get('items', {}), root)}"
    if kind == "object":
        required = schema.get("required", [])
        return f"a mapping with {', '.join(required)}" if required else "a mapping"
    if kind == "string":
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        if low and low == high:
            return "a text of one character"
        return "a text that is not empty" if low else "a path" if schema.get("format") == "path" else "a text"
    return {"boolean": "true or false", "null": "null"}.get(kind, "another value")
