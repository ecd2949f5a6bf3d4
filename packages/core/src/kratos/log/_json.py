"""A record as a line of JSON: by orjson where it is installed, else by the same rules without.

The bytes are those of orjson 3.13 either way; older ones leave the ``+`` of exponents out. It takes
a tenth of the time, and comes along with kratos-protojson on CPython.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from enum import Enum
from functools import cache
from typing import Any, Final, cast
from uuid import UUID

from kratos.log._text import described, text_of

__all__ = ["dump_by_json", "dumper"]

_UNFIT: Final = (TypeError, ValueError, RecursionError)
_EXACT: Final = frozenset({str, int, bool, type(None)})
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
# Texts are matched as a whole, so that nothing within them is taken for a number.
_TEXT_OR_EXPONENT: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<sign>-?)(?P<first>\d)(?:\.(?P<rest>\d+))?e-0(?P<exponent>\d)'
)


@cache
def dumper() -> Callable[[Mapping[str, object]], bytes]:
    """Return what writes a record as a line of JSON; it never raises."""
    try:
        import orjson
    except ImportError:
        return dump_by_json
    options = (
        orjson.OPT_APPEND_NEWLINE
        | orjson.OPT_NON_STR_KEYS
        | orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_DATETIME
        | orjson.OPT_PASSTHROUGH_SUBCLASS
    )
    dumps = orjson.dumps

    def dump(record: Mapping[str, object]) -> bytes:
        try:
            return dumps(record, _plain, options)
        except TypeError:  # half a surrogate pair, a number beyond 64 bits, a circle
            return dump_by_json(record)

    return dump


def dump_by_json(record: Mapping[str, object]) -> bytes:
    """Write a record without orjson; never raises."""
    try:
        text = _encoded(record)
    except _UNFIT:
        text = _encoded({text_of(key): _carried(value) for key, value in record.items()})
    return text.encode(errors="backslashreplace") + b"\n"


def _plain(value: object) -> Any:
    """Return what JSON has for a value of a type of its own."""
    match value:
        case BaseException():
            return described(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            parts = cast("Mapping[object, object]", value)
            return {text_of(key): part for key, part in parts.items()}
        case set() | frozenset() | tuple() | list():
            return list(cast("Iterable[object]", value))
        case _:
            return text_of(value)


def _encoded(record: Mapping[str, object]) -> str:
    text = _ENCODER.encode(_exact(dict(record)))
    return _TEXT_OR_EXPONENT.sub(_as_short, text) if "e-0" in text else text


def _exact(value: object) -> object:
    """Return a value of no other types than JSON has."""
    kind = type(value)
    if kind in _EXACT:
        return value
    if kind is float:
        return value if math.isfinite(cast("float", value)) else None
    if kind is dict:
        parts = cast("dict[object, object]", value)
        return {_key(key): _exact(part) for key, part in parts.items()}
    if kind is list or kind is tuple:
        return [_exact(part) for part in cast("Iterable[object]", value)]
    if isinstance(value, Enum):
        return _exact(value.value)
    return _exact(_plain(value))


def _key(key: object) -> str:
    kind = type(key)
    if kind is str:
        return cast("str", key)
    if kind is int or kind is bool or kind is float or key is None:
        return _encoded_key(key)
    if isinstance(key, Enum):
        return _key(key.value)
    if isinstance(key, date | datetime | time):
        return key.isoformat()
    if kind is UUID:
        return str(key)
    raise TypeError(f"a key of type {kind.__name__} is none of JSON's")


def _encoded_key(key: object) -> str:
    text = _ENCODER.encode(_exact(key))
    return _TEXT_OR_EXPONENT.sub(_as_short, text)


def _carried(value: object) -> object:
    """Return a value if JSON can carry it, else its text."""
    try:
        exact = _exact(value)
        _ENCODER.encode(exact)
    except _UNFIT:
        return text_of(value)
    return exact


def _as_short(found: re.Match[str]) -> str:
    """Return a number as orjson writes it: ``1e-05`` as ``0.00001``, ``1e-06`` as ``1e-6``."""
    if found["exponent"] is None:
        return found[0]
    rest = found["rest"] or ""
    if found["exponent"] == "5":
        return f"{found['sign']}0.0000{found['first']}{rest}"
    return f"{found['sign']}{found['first']}{rest and '.'}{rest}e-{found['exponent']}"
