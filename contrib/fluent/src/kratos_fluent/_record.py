"""Records as MessagePack: never fails, whatever a record holds."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any, Final, cast

import msgspec

from kratos.log import Level, text_of

__all__ = ["Render", "encode_text", "encode_typed", "event_time", "stack_of"]

Render = Callable[[dict[str, object]], bytes]

_DEEPEST: Final = 32
_MOST: Final = 1 << 63
_pack: Final = msgspec.msgpack.Encoder().encode


def event_time(seconds: float) -> bytes:
    """Return a time as Fluentd's ``EventTime``: seconds and nanoseconds."""
    whole = int(seconds)
    nanoseconds = int((seconds - whole) * 1e9)
    return b"\xd7\x00" + (whole & 0xFFFFFFFF).to_bytes(4, "big") + nanoseconds.to_bytes(4, "big")


def encode_text(record: dict[str, object]) -> bytes:
    """Return a record whose values are all text, as Go Kratos' adapter sends them."""
    told = {
        key if type(key) is str else text_of(key): value if type(value) is str else _text(value)
        for key, value in record.items()
    }
    try:
        return _pack(told)
    except UnicodeEncodeError:  # half a surrogate pair
        return _pack({_clean(key): _clean(value) for key, value in told.items()})


def encode_typed(record: dict[str, object]) -> bytes:
    """Return a record whose values are what MessagePack has for them."""
    return _pack({_clean(text_of(key)): _plain(value, 0) for key, value in record.items()})


def stack_of(level: Level, error: object) -> str:
    """Return the trace of an exception that is told with it, from ``ERROR`` on."""
    if level < Level.ERROR or not isinstance(error, BaseException) or error.__traceback__ is None:
        return ""
    try:
        return "".join(traceback.format_exception(error))
    except Exception as failure:  # of an exception's own code
        return f"its trace cannot be shown: {type(failure).__name__}"


def _text(value: object) -> str:
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return json.dumps(_plain(cast("object", value), 0), ensure_ascii=False)
    plain = _plain(value, 0)
    return plain if isinstance(plain, str) else text_of(plain)


def _plain(value: object, depth: int) -> Any:
    """Return what MessagePack and JSON both have for a value, else its text."""
    match value:
        case None | bool():
            return value
        case str():
            return _clean(value)
        case Enum():
            return _plain(value.value, depth)
        case int():
            return int(value) if -_MOST <= value < _MOST else hex(value)
        case float():
            return float(value) if math.isfinite(value) else str(value)
        case BaseException():
            text = text_of(value)
            return _clean(f"{type(value).__name__}: {text}" if text else type(value).__name__)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping() | list() | tuple() | set() | frozenset():
            return "..." if depth >= _DEEPEST else _parts(cast("object", value), depth + 1)
        case _:
            return _clean(text_of(value))


def _parts(value: object, depth: int) -> Any:
    try:
        if isinstance(value, Mapping):
            parts = cast("Mapping[object, object]", value)
            return {_clean(text_of(key)): _plain(part, depth) for key, part in parts.items()}
        return [_plain(part, depth) for part in cast("Iterable[object]", value)]
    except Exception as error:  # of a mapping's own code, or changed by another thread meanwhile
        return f"<parts that cannot be shown: {type(error).__name__}>"


def _clean(text: str) -> str:
    """Return a text that UTF-8 can carry."""
    return text.encode(errors="backslashreplace").decode()
