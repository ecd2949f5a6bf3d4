"""Dataclasses, and the types that their fields may have."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypeAlias,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from kratos.config.scan._place import Place
from kratos.config.scan._scalar import SCALARS, read_scalar
from kratos.config.scan._thawed import thawed
from kratos.errors import ConfigError

__all__ = ["read_dataclass"]

_Read: TypeAlias = Callable[[object, Place], Any]

_PLAIN: Final = frozenset({bool, int, float, str})
_SEQUENCES: Final[Mapping[object, Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
}


def read_dataclass(kind: type, tree: Mapping[str, object], place: Place) -> Any:
    """Return an instance of a dataclass, made of the members of a mapping.

    A key is the name of a field, or its ``metadata["key"]``. Fields that are missing keep their
    defaults. Checks in ``__post_init__`` that raise ``ValueError`` become errors of this place.

    Raises:
        ConfigError: A field without a default is missing, or a value does not fit.
        TypeError: A field has a type that cannot be read.
    """
    fields = _fields(kind)
    place.check_known(tree, fields)
    values: dict[str, Any] = {}
    for key, (field, read) in fields.items():
        if key in tree:
            values[field.name] = read(tree[key], place.member(key))
        elif field.default is dataclasses.MISSING and (
            field.default_factory is dataclasses.MISSING
        ):
            raise place.member(key).missing(f"is missing; {kind.__name__} needs it")
    try:
        return kind(**values)
    except ConfigError:
        raise
    except ValueError as error:
        raise place.error(f"is no {kind.__name__}: {error}") from error


@cache
def _fields(kind: Any) -> dict[str, tuple[dataclasses.Field[Any], _Read]]:
    hints = get_type_hints(kind, include_extras=True)
    return {
        str(field.metadata.get("key", field.name)): (field, _read_by(field, hints, kind))
        for field in dataclasses.fields(kind)
        if field.init
    }


def _read_by(field: dataclasses.Field[Any], hints: Mapping[str, Any], owner: type) -> _Read:
    try:
        return _reader(hints[field.name], owner)
    except TypeError as error:
        raise TypeError(f"{owner.__name__}.{field.name}: {error}") from error


def _reader(kind: Any, owner: type) -> _Read:
    """Return what reads values of a type."""
    if kind in (Any, object):
        return lambda value, _place: thawed(value)
    if kind in _PLAIN:
        return lambda value, place: read_scalar(kind, value, place)
    origin = get_origin(kind)
    if origin is Annotated:
        return _reader(get_args(kind)[0], owner)
    if origin in (Union, types.UnionType):
        return _union([_reader_or_null(each, owner) for each in get_args(kind)], kind)
    if origin is Literal:
        return _literal(get_args(kind))
    if origin is not None:
        return _generic(kind, origin, owner)
    return _class(kind, owner)


def _class(kind: Any, owner: type) -> _Read:
    if kind in SCALARS:
        return SCALARS[kind]
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        owned: type = kind
        return lambda value, place: read_dataclass(owned, _mapping(value, place), place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if kind in _SEQUENCES or kind is dict:
        return _generic(kind, kind, owner)
    raise TypeError(f"values of type {kind!r} cannot be read")


def _generic(kind: Any, origin: Any, owner: type) -> _Read:
    arguments = get_args(kind) or (Any, Any)
    if origin in (dict, Mapping):
        if arguments[0] not in (str, Any):
            raise TypeError(f"keys of a configuration are texts, in {kind!r}")
        read_value = _reader(arguments[1], owner)
        return lambda value, place: {
            name: read_value(part, place.member(name))
            for name, part in _mapping(value, place).items()
        }
    if origin not in _SEQUENCES:
        raise TypeError(f"values of type {kind!r} cannot be read")
    if origin is tuple and arguments[-1] is not Ellipsis and get_args(kind):
        return _fixed([_reader(each, owner) for each in arguments])
    read_item, collect = _reader(arguments[0], owner), _SEQUENCES[origin]

    def read(value: object, place: Place) -> Any:
        items = [read_item(part, place.item(at)) for at, part in enumerate(_list(value, place))]
        return collect(items)

    return read


def _fixed(readers: Sequence[_Read]) -> _Read:
    def read(value: object, place: Place) -> Any:
        items = _list(value, place)
        if len(items) != len(readers):
            raise place.error(f"must have {len(readers)} items, and has {len(items)}")
        return tuple(
            each(item, place.item(at))
            for at, (each, item) in enumerate(zip(readers, items, strict=True))
        )

    return read


def _reader_or_null(kind: Any, owner: type) -> _Read:
    return _null if kind is type(None) else _reader(kind, owner)


def _null(value: object, place: Place) -> None:
    if value is not None:
        raise place.mismatch("null", value)


def _union(readers: Sequence[_Read], kind: object) -> _Read:
    def read(value: object, place: Place) -> Any:
        problems: list[ConfigError] = []
        for each in readers:
            try:
                return each(value, place)
            except ConfigError as error:
                problems.append(error)
        told = [one for one, each in zip(problems, readers, strict=True) if each is not _null]
        raise told[0] if len(told) == 1 else place.mismatch(f"a {kind}", value)

    return read


def _literal(choices: Sequence[object]) -> _Read:
    by_text = {str(choice): choice for choice in choices}

    def read(value: object, place: Place) -> Any:
        text = value if isinstance(value, str) else str(value)
        if text not in by_text:
            raise place.error(f"must be one of {', '.join(by_text)}")
        return by_text[text]

    return read


def _enum(kind: type[Enum]) -> _Read:
    names = {**{str(member.value): member for member in kind}, **kind.__members__}

    def read(value: object, place: Place) -> Any:
        if str(value) not in names:
            raise place.error(f"must be one of {', '.join(kind.__members__)}")
        return names[str(value)]

    return read


def _mapping(value: object, place: Place) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise place.mismatch("a mapping", value)
    return cast("Mapping[str, object]", value)


def _list(value: object, place: Place) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise place.mismatch("a list", value)
    return cast("Sequence[object]", value)
