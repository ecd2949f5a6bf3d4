"""The paths of a mask, checked against a message and joined into a tree.

The form of paths is that of https://google.aip.dev/161.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kratos.errors import Error, matches

__all__ = [
    "EVERY",
    "FIELD_MASK",
    "Tree",
    "all_of",
    "is_field_mask",
    "is_map",
    "map_value",
    "message_of",
    "parse",
]

Tree: TypeAlias = "dict[Any, Tree | None]"
"""What a mask names, by fields and by keys of maps; ``None`` is all of it."""

FIELD_MASK: Final = "FIELD_MASK"

EVERY: Final = object()
"""In place of a key: every element of a repeated field or of a map."""

_SEGMENT: Final = re.compile(r"`((?:[^`]|``)*)`|([^.`]+)")
_BOOLS: Final = {"true": True, "false": False}
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,19}")
_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: range(-(2**31), 2**31),
    FieldDescriptor.CPPTYPE_UINT32: range(2**32),
    FieldDescriptor.CPPTYPE_INT64: range(-(2**63), 2**63),
    FieldDescriptor.CPPTYPE_UINT64: range(2**64),
}


def parse(descriptor: Descriptor, paths: Iterable[str], *, every: bool = False) -> Tree:
    """Return the tree of some paths; the broader one of two that overlap holds.

    Args:
        descriptor: What the paths lead through.
        paths: Names of fields as in the definition, joined by dots; after a map the key, in
            backticks if it has a dot in it.
        every: Whether ``*`` may stand for every element of a repeated field or map.

    Raises:
        Error: 400 ``FIELD_MASK``, naming the path: it leads nowhere.
    """
    paths = list(paths)
    if paths == ["*"]:
        return all_of(descriptor)
    tree: Tree = {}
    for path in paths:
        if path == "*":
            raise _wrong(path, "it stands for all fields and has to be the only path")
        _insert(tree, _Walk(path, every=every).steps(descriptor))
    return tree


def all_of(descriptor: Descriptor) -> Tree:
    """Return the tree of all fields."""
    return dict.fromkeys(descriptor.fields_by_name)


def is_map(field: FieldDescriptor) -> bool:
    """Tell whether a field is a map, which is a repeated message to descriptors."""
    kind = field.message_type
    return kind is not None and field.is_repeated and kind.GetOptions().map_entry


def message_of(field: FieldDescriptor) -> Descriptor:
    """Return the message that a field is, or that its elements are."""
    descriptor = field.message_type
    assert descriptor is not None, "asked for messages only"
    return descriptor


def map_value(field: FieldDescriptor) -> FieldDescriptor:
    """Return what describes the values of a map."""
    return message_of(field).fields_by_name["value"]


def is_field_mask(error: BaseException | None) -> bool:
    """Tell whether an error says that a field mask names what is not there."""
    return matches(error, Error(400, FIELD_MASK))


def _insert(tree: Tree, steps: list[Any]) -> None:
    for step in steps[:-1]:
        inner = tree.setdefault(step, {})
        if inner is None:
            return
        tree = inner
    tree[steps[-1]] = None


class _Walk:
    """Follows one path."""

    def __init__(self, path: str, *, every: bool) -> None:
        self._path = path
        self._every = every
        self._segments = deque(self._split())

    def steps(self, descriptor: Descriptor) -> list[Any]:
        """Return the names and keys of the path, from a message on."""
        steps: list[Any] = []
        while self._segments:
            field = self._field(descriptor)
            steps.append(field.name)
            if self._segments and field.is_repeated:
                field = self._into(field, steps)
            if not self._segments:
                break
            if field.message_type is None:
                raise self._error(f"{steps[-1]!r} has no fields")
            descriptor = field.message_type
        return steps

    def _field(self, descriptor: Descriptor) -> FieldDescriptor:
        name, _ = self._segments.popleft()
        field = descriptor.fields_by_name.get(name)
        if field is None:
            hint = _nearest(name, descriptor)
            raise self._error(f"{descriptor.full_name} has no field {name!r}{hint}")
        return field

    def _into(self, field: FieldDescriptor, steps: list[Any]) -> FieldDescriptor:
        """Take the key of a map, or the star of a list; return what describes the element."""
        text, quoted = self._segments.popleft()
        star = self._every and text == "*" and not quoted
        if is_map(field):
            steps.append(EVERY if star else self._key(field, text))
            return map_value(field)
        if not star:
            more = "; '*' leads into every element" if self._every else ""
            raise self._error(f"{field.name!r} is repeated and can only be named as a whole{more}")
        steps.append(EVERY)
        return field

    def _key(self, field: FieldDescriptor, text: str) -> str | int | bool:
        kind = message_of(field).fields_by_name["key"].cpp_type
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return text
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            if text in _BOOLS:
                return _BOOLS[text]
        elif _INTEGER.fullmatch(text) and int(text) in _RANGES[kind]:
            return int(text)
        raise self._error(f"{text!r} is no key of the map {field.name!r}")

    def _split(self) -> list[tuple[str, bool]]:
        """Return the segments, and of each whether it was in backticks."""
        segments: list[tuple[str, bool]] = []
        at = 0
        while True:
            found = _SEGMENT.match(self._path, at)
            if found is None:
                raise self._error("names are separated by single dots, and backticks come in pairs")
            quoted, plain = found.groups()
            segments.append((quoted.replace("``", "`"), True) if plain is None else (plain, False))
            at = found.end()
            if at == len(self._path):
                return segments
            if self._path[at] != ".":
                raise self._error("a dot has to follow the closing backtick")
            at += 1

    def _error(self, message: str) -> Error:
        return _wrong(self._path, message)


def _wrong(path: str, message: str) -> Error:
    return Error(400, FIELD_MASK, f"path {path!r} of the mask: {message}", {"path": path})


def _nearest(name: str, descriptor: Descriptor) -> str:
    from difflib import get_close_matches

    fields = descriptor.fields_by_name
    for field in fields.values():
        if name in (field.json_name, field.camelcase_name):
            return f"; its name here is {field.name!r}"
    near = get_close_matches(name, list(fields), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
