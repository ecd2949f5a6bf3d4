"""JSON of typed values: what is read is of the type that was written, or refused.

How a type is written and read is found out once, when a codec is made.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime as dt
import decimal
import enum
import json
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from kratos.errors import ConfigError

__all__ = ["typed_json"]

_Step: TypeAlias = Callable[[Any], Any]
_Plan: TypeAlias = "tuple[_Step, _Step]"  # to what JSON has, and from that
_Plans: TypeAlias = "dict[Any, _Plan]"


def typed_json(kind: Any) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """Return how a type is written and read.

    Raises:
        ConfigError: It has no form in JSON.
    """
    out, back = _plan(kind, {})

    def write(value: Any) -> bytes:
        return json.dumps(out(value), separators=(",", ":"), ensure_ascii=False).encode()

    def read(data: bytes) -> Any:
        try:
            return back(json.loads(data))
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no {kind!r}: {error}") from error

    return write, read


def _plan(kind: Any, plans: _Plans) -> _Plan:
    if kind in plans:
        return plans[kind]
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    # What contains itself finds its plan when it is used.
    plans[kind] = (lambda value: made[0](value)), (lambda value: made[1](value))
    made = _made(kind, plans)
    plans[kind] = made
    return made


def _made(kind: Any, plans: _Plans) -> _Plan:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(kind, plans)
    if origin in (list, tuple, Sequence, set, frozenset):
        return _many(kind, origin, plans)
    if origin in (dict, Mapping):
        return _mapping(kind, plans)
    if _is_enum(kind):
        return (lambda value: value.value), kind
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, plans)
    if hasattr(kind, "model_validate"):
        return _model(kind)
    if hasattr(kind, "DESCRIPTOR"):
        return _message(kind)
    raise ConfigError(f"encode='json' has no form for {kind!r}; keep a dataclass, or other types")


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _optional(kind: Any, plans: _Plans) -> _Plan:
    others = [each for each in typing.get_args(kind) if each is not type(None)]
    if len(others) != 1 or len(typing.get_args(kind)) != 2:
        raise ConfigError(f"encode='json' cannot tell the types of {kind!r} from each other")
    out, back = _plan(others[0], plans)
    return (
        lambda value: None if value is None else out(value),
        lambda value: None if value is None else back(value),
    )


def _many(kind: Any, origin: Any, plans: _Plans) -> _Plan:
    args = typing.get_args(kind)
    if origin is tuple and args[-1:] != (...,):
        steps = [_plan(each, plans) for each in args]

        def fixed(value: Any) -> Any:
            parts = zip(steps, _a(list, value), strict=True)
            return tuple(step[1](part) for step, part in parts)

        return (
            lambda value: [step[0](part) for step, part in zip(steps, value, strict=True)],
            fixed,
        )
    out, back = _plan(args[0], plans)
    make: Any = list if origin is Sequence else origin
    return (
        lambda value: [out(each) for each in value],
        lambda value: make(back(each) for each in _a(list, value)),
    )


def _mapping(kind: Any, plans: _Plans) -> _Plan:
    key, value = typing.get_args(kind)
    if key not in (str, int):
        raise ConfigError(f"encode='json' has texts and numbers as keys, not {key!r}, in {kind!r}")
    out, back = _plan(value, plans)
    return (
        lambda items: {str(name): out(each) for name, each in items.items()},
        lambda items: {key(name): back(each) for name, each in _a(dict, items).items()},
    )


def _dataclass(kind: Any, plans: _Plans) -> _Plan:
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    steps = [(name, *_plan(hints[name], plans)) for name in names]

    def out(value: Any) -> Any:
        return {name: step(getattr(value, name)) for name, step, _ in steps}

    def back(value: Any) -> Any:
        given: dict[str, Any] = _a(dict, value)
        # A field that was added since has its default; one that was removed is passed over.
        return kind(**{name: step(given[name]) for name, _, step in steps if name in given})

    return out, back


def _model(kind: Any) -> _Plan:
    return (lambda value: value.model_dump(mode="json")), kind.model_validate


def _message(kind: Any) -> _Plan:
    from kratos.encoding.json import PROTOJSON

    return PROTOJSON.to_value, lambda value: PROTOJSON.decode(json.dumps(value).encode(), kind)


def _a(kind: type[Any], value: object) -> Any:
    """Return a value of a type.

    Raises:
        ValueError: It is of another one.
    """
    if type(value) is not kind:
        raise ValueError(f"it has {value!r} where {kind.__name__} is due")
    return value


def _same(kind: type[Any]) -> _Plan:
    return (lambda value: value), (lambda value: _a(kind, value))


def _number(value: object) -> float:
    return float(value if type(value) is int else _a(float, value))


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_a(str, value), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _decimal(value: object) -> decimal.Decimal:
    try:
        return decimal.Decimal(_a(str, value))
    except decimal.InvalidOperation as error:
        raise ValueError(f"it has {value!r} where a decimal number is due") from error


def _text_of(kind: Any, parse: _Step) -> _Plan:
    return str if kind in (decimal.Decimal, uuid.UUID) else kind.isoformat, parse


_SIMPLE: Final[Mapping[Any, _Plan]] = {
    type(None): _same(type(None)),
    bool: _same(bool),
    int: _same(int),
    str: _same(str),
    float: ((lambda value: value), _number),
    bytes: ((lambda value: base64.b64encode(value).decode()), _bytes),
    dt.datetime: _text_of(dt.datetime, dt.datetime.fromisoformat),
    dt.date: _text_of(dt.date, dt.date.fromisoformat),
    dt.time: _text_of(dt.time, dt.time.fromisoformat),
    decimal.Decimal: _text_of(decimal.Decimal, _decimal),
    uuid.UUID: _text_of(uuid.UUID, lambda value: uuid.UUID(_a(str, value))),
    Any: ((lambda value: value), (lambda value: value)),
}
