"""YAML 1.2 scalars, no duplicate keys, no anchors, no tags; every key and value remembers its place.

PyYAML alone reads `1e-3` as a text, `no` as False, `1:30` as 90, `2024-01-01` as a date, and lets the last of
two equal keys win. `parse_yaml` reads them as YAML 1.2 does, `dump_yaml` writes what it reads; `read_document`
also says where everything stands, and collects all problems of a file instead of stopping at the first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from zoo import full_width
from zoo.errors import UserError

_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)
_INT = re.compile(r"[-+]?[0-9]+$|0o[0-7]+$|0x[0-9a-fA-F]+$")
_BOOL = re.compile(r"true$|True$|TRUE$|false$|False$|FALSE$")
_NULL = re.compile(r"~$|null$|Null$|NULL$|$")


_MOST_SIGNS = 5  # full-width signs that are named one by one
_DEEPEST = 30  # levels of nesting; a recipe has three


class StrictLoader(yaml.SafeLoader):
    """SafeLoader that resolves plain scalars by the core schema of YAML 1.2 (first match wins)."""

    yaml_implicit_resolvers: dict = {}


for _tag, _pattern in (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT)):
    StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, None)


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands: in a file, or (line 0) in an override on the command line."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One mistake: its place, the key it is about (may be empty) and what to do."""

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}  {self.key}: {self.message}" if self.key else f"{self.place}  {self.message}"


@dataclass
class Node:
    """A value with its place; `key_place` is that of the key in front of it."""

    value: Any  # a scalar, list[Node] or dict[str, Node]
    place: Place
    key_place: Place | None = None

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def start(self) -> Place:
        """Where a reader looks for it: at the key if it has one."""
        return self.key_place or self.place

    def plain(self) -> Any:
        """The value as ordinary Python data."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def child(self, key: str | int) -> Node | None:
        """What stands under a key or index, or None."""
        if isinstance(self.value, dict):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and key < len(self.value):
            return self.value[key]
        return None

    def leaves(self, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Node]]:
        """Every scalar below, with its path."""
        if isinstance(self.value, dict):
            for key, node in self.value.items():
                yield from node.leaves((*path, key))
        elif isinstance(self.value, list):
            for index, node in enumerate(self.value):
                yield from node.leaves((*path, index))
        else:
            yield path, self


def dotted(path: tuple[str | int, ...]) -> str:
    """('data', 'buckets', 1) -> 'data.buckets[1]'."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def decode_file(raw: bytes, filename: str) -> str:
    """The text of a UTF-8 file (a byte order mark is dropped), or an error at the first wrong byte."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        place = Place(filename, line, column)
        raise UserError(
            f"{place}  byte 0x{raw[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from None


def read_document(text: str, filename: str, inline: bool = False) -> tuple[Node | None, list[Problem]]:
    """The tree of a YAML text and everything wrong with it; no tree if it cannot be read at all.

    `inline` is for a text that has no lines to point at, such as the value of an override.
    """
    reader = _Reader(filename, inline)
    try:
        loader = StrictLoader(text)
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        place = reader.place_of(text, min(error.position, len(text)))
        return None, [Problem(place, "", f"character U+{code:04X} is not allowed in YAML: remove it")]
    depth = 0
    try:
        # Anchors and tags are looked for among the events, before an alias could multiply anything.
        for event in yaml.parse(text, StrictLoader):
            reader.check_event(event)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                reader.report(event.start_mark, (), "is nested too deeply to be read: write it flat")
                break
        if reader.problems:
            return None, reader.problems
        root = loader.get_single_node()
        if root is None:
            return Node(None, reader.place(None)), reader.problems
        tree = reader.node(root, ())
        if not inline and isinstance(tree.value, str):  # no line of it has a key
            reader.foreign += full_width.around_keys(text)
        if reader.foreign:
            return None, reader.name_foreign(text)
        return tree, reader.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reader.foreign = _foreign(text, mark.line if mark else 0)
        if reader.foreign:
            return None, reader.name_foreign(text)
        reader.problems.append(Problem(reader.place(mark), "", _syntax(error, text)))
    except RecursionError:
        reader.problems.append(
            Problem(reader.place(None), "", "is nested too deeply to be read: write it flat")
        )
    finally:
        loader.dispose()
    return None, reader.problems


def parse_yaml(text: str, filename: str = "<text>") -> Any:
    """Plain data of a strict YAML text; a UserError with all problems otherwise."""
    node, problems = read_document(text, filename)
    if problems or node is None:
        raise UserError(*map(str, sorted(problems, key=lambda p: p.place)))
    return node.plain()


def _foreign(text: str, line: int) -> list[int]:
    """Where full-width signs make YAML fail in a line (from 0): with its own there it goes further."""
    around = full_width.around_keys(text)
    for places in (around, around + full_width.quotes(text, line)):
        if places and _fails_at(full_width.mended(text, places)) > line:
            return places
    return []


def _fails_at(text: str) -> float:
    """The line (from 0) in which YAML fails, infinity where it does not."""
    try:
        for _ in yaml.parse(text, StrictLoader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return mark.line if mark else 0
    except RecursionError:
        return 0
    return math.inf


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    """PyYAML's words, with the remedy for the mistakes that people make."""
    said = " ".join(part for part in (error.context, error.problem) if part)
    remedy = ""
    mark = error.problem_mark
    character = text[mark.index : mark.index + 1] if mark else ""
    if character == "\t":
        said, remedy = "a tab cannot indent", "use spaces"
    elif "mapping values are not allowed" in said:
        remedy = "check the indentation, and put a text that contains ': ' in quotes"
    elif "expected a single document" in said:
        said, remedy = "holds more than one document", "remove the line '---' and what follows it"
    elif "found unexpected end of stream" in said or "expected ',' or" in said:
        remedy = "close the bracket or quote"
    elif "expected <block end>" in said or "could not find expected ':'" in said:
        remedy = "check the indentation, and that every key is followed by ': '"
    elif "cannot start any token" in said:
        remedy = "put the text in quotes"
    return f"not valid YAML: {said}" + (f"; {remedy}" if remedy else "")


class _Reader:
    """Turns PyYAML's nodes into ours and notes what is not allowed."""

    def __init__(self, filename: str, inline: bool):
        self.filename = filename
        self.inline = inline
        self.problems: list[Problem] = []
        self.foreign: list[int] = []
        """Where full-width signs stand in keys and around them."""

    def place_of(self, text: str, position: int) -> Place:
        if self.inline:
            return Place(self.filename)
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        return Place(self.filename, line, column)

    def name_foreign(self, text: str) -> list[Problem]:
        """All problems, with the first of the full-width signs in keys and around them, and the number of others."""
        around = () if self.inline else full_width.around_keys(text)
        places = sorted({*self.foreign, *around})
        shown = [at for at in places if text[at] in full_width.SIGNS and text[at] != text[at - 1 : at]]
        for at in shown[:_MOST_SIGNS]:
            self.problems.append(Problem(self.place_of(text, at), "", full_width.named(text[at])))
        if more := shown[_MOST_SIGNS:]:
            message = f"{len(more):,} more such sign{'s' * (len(more) > 1)} from here on"
            self.problems.append(Problem(self.place_of(text, more[0]), "", message))
        return self.problems

    def place(self, mark: yaml.Mark | None) -> Place:
        if self.inline:
            return Place(self.filename)
        return Place(self.filename, mark.line + 1, mark.column + 1) if mark else Place(self.filename, 1, 1)

    def report(self, mark: yaml.Mark, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(Problem(self.place(mark), dotted(path), message))

    def check_event(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent):
            self.report(event.start_mark, (), f"alias '*{event.anchor}' is not allowed: write the value out")
        elif getattr(event, "anchor", None):
            self.report(event.start_mark, (), f"anchor '&{event.anchor}' is not allowed: write the value out")
        if tag := getattr(event, "tag", None):
            self.report(
                event.start_mark, (), f"tag '{_shown_tag(tag)}' is not allowed: write the plain value"
            )

    def node(self, node: yaml.Node, path: tuple[str | int, ...]) -> Node:
        place = self.place(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node, path), place)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.node(item, (*path, i)) for i, item in enumerate(node.value)], place)
        return Node(self._scalar(node, path), place)

    def _mapping(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> dict[str, Node]:
        result: dict[str, Node] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            if not isinstance(key_node, yaml.ScalarNode):
                self.report(mark, path, "a key must be a plain name, not a list or mapping")
                continue
            key = key_node.value
            if key_node.style is None and key == "<<":
                self.report(
                    mark, path, "the merge key '<<' is not allowed: use `extends`, or write the keys out"
                )
                continue
            if key_node.tag != "tag:yaml.org,2002:str":
                self.report(mark, path, f"the key {key or 'null'!r} is no text: put it in quotes")
                continue
            if key_node.style is None:
                self.foreign += [mark.index + at for at, sign in enumerate(key) if sign in full_width.SIGNS]
            here = (*path, key)
            if key in result:
                first = result[key].start
                where = f"line {first.line}" if first.line else "before"
                self.report(mark, here, f"stands twice (first {where}): remove one of them")
                self.node(value_node, here)
                continue
            child = self.node(value_node, here)
            child.key_place = self.place(mark)
            result[key] = child
        return result

    def _scalar(self, node: yaml.ScalarNode, path: tuple[str | int, ...]) -> Any:
        kind, text = node.tag.rsplit(":", 1)[-1], node.value
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            if len(text) > 400:
                return (
                    math.inf
                )  # Python refuses to read thousands of digits; the recipe then asks for a finite one
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if kind == "float":
            # YAML writes '-.inf' and '.nan' where Python wants '-inf' and 'nan'.
            return float(text.replace(".", "", 1) if text[-1] in "fFnN" else text)
        return text


def _shown_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def dump_yaml(data: Any) -> str:
    """Plain data as YAML that `parse_yaml` reads as the same."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    """Quotes what our reader would not take for a text; lists of plain values stand on one line."""

    yaml_implicit_resolvers = StrictLoader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    list,
    lambda dumper, items: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", items, flow_style=not any(isinstance(item, dict | list) for item in items)
    ),
)
_Dumper.add_representer(  # PyYAML writes U+0085 as it is, and reads it as a blank; in double quotes it is escaped
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "\x85" in text else None
    ),
)
