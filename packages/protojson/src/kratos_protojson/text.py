"""JSON text, as strict as the standard: no double members, no ``NaN``, nothing behind the value.

Uses orjson where it is installed, for what it does as the standard library's ``json`` would.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final, TypeAlias, cast

from kratos_protojson._error import JsonError

__all__ = ["Huge", "dump_text", "encoder", "load_text", "refuse_bytes"]


def _fast() -> Any:
    try:
        return import_module("orjson")
    except ImportError:  # there are machines without a wheel: all is well there, only slower
        return None


_ORJSON: Final = _fast()
# What orjson reads otherwise than needed: -0 loses its sign.
_NEGATIVE_ZERO: Final = re.compile(rb"-0(?![0-9.])")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


_Way: TypeAlias = "tuple[str, _Way] | None"
"""The parts of a path, from inside out."""


class Huge(float):
    """An infinity that a number beyond the range of a double was read as."""

    __slots__ = ()


def dump_text(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> bytes:
    """Return JSON values as UTF-8, compact by default."""
    if indent is None and not sort_keys:
        if _ORJSON is not None:
            try:
                text: bytes = _ORJSON.dumps(value)
            except TypeError:  # integers of more than 64 bits, or very deep
                pass
            else:
                return text
        return _ENCODER.encode(value).encode()
    return encoder(indent=indent, sort_keys=sort_keys).encode(value).encode()


def encoder(
    *, indent: int | None = None, sort_keys: bool = False, ensure_ascii: bool = False
) -> json.JSONEncoder:
    """Return the standard library's encoder in the given style."""
    return json.JSONEncoder(
        ensure_ascii=ensure_ascii,
        check_circular=False,
        allow_nan=False,
        indent=indent,
        sort_keys=sort_keys,
        separators=(",", ":") if indent is None else (",", ": "),
    )


def load_text(data: bytes | str, *, allow_duplicates: bool = False) -> Any:
    """Return the value of a JSON text.

    Raises:
        JsonError: It is no JSON, is not UTF-8, or has a member twice.
    """
    if _ORJSON is not None:
        try:
            raw = data.encode() if isinstance(data, str) else data
            value = _ORJSON.loads(raw)
        except ValueError:
            # What follows may still read it, and else says what is wrong in our words.
            return _load_slowly(data, allow_duplicates=allow_duplicates)
        plain = b"-0" not in raw or _NEGATIVE_ZERO.search(raw) is None
        if plain and (allow_duplicates or _keeps_all_members(raw, value)):
            return value
    return _load_slowly(data, allow_duplicates=allow_duplicates)


def _keeps_all_members(data: bytes, value: Any) -> bool:
    """Tell whether no member got lost, which is how orjson deals with a second of one name.

    Counts colons in the text and in the text of the value: there is one for each member, and
    those inside strings are the same in both unless escaped. So equal counts mean that all
    members are there. Escaped colons are left to the slow way.
    """
    if b"\\" in data and b"\\u003" in data:
        return False
    try:
        again: bytes = _ORJSON.dumps(value)
    except TypeError:  # nested deeper than orjson writes
        return False
    return data.count(b":") == again.count(b":")


def _load_slowly(data: bytes | str, *, allow_duplicates: bool) -> Any:
    twice = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = True
            return _Twice(pairs)
        return found

    decoder = json.JSONDecoder(
        object_pairs_hook=None if allow_duplicates else members,
        parse_constant=_constant,
        parse_float=_float,
        parse_int=_int,
    )
    try:
        text = data if isinstance(data, str) else data.decode()
        value = decoder.decode(text)
    except JsonError:
        raise
    except UnicodeDecodeError as error:
        raise JsonError(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise JsonError("the JSON is nested too deeply") from None
    except ValueError:  # the one other that the decoder raises, in words for programmers
        raise JsonError("a number has more digits than anybody reads") from None
    if twice:
        _complain(value)
    if _SURROGATE.search(text):
        _refuse_halves(value)
    return value


class _Twice(dict[str, Any]):
    """An object of which a member is given twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.name = Counter(key for key, _ in pairs).most_common(1)[0][0]


def _complain(value: Any) -> None:
    """Find the first object with a member given twice, and name its place."""
    waiting: list[tuple[Any, _Way]] = [(value, None)]
    while waiting:  # not by recursion: the standard library's parser goes deeper than that can
        one, way = waiting.pop()
        if isinstance(one, _Twice):
            raise _at(way, JsonError("given twice").within(one.name))
        waiting += [(item, (part, way)) for part, item in _parts(one)][::-1]


def _refuse_halves(value: Any) -> None:
    """Refuse halves of surrogate pairs, also where they belong to nothing that is known."""
    waiting: list[tuple[Any, _Way]] = [(value, None)]
    while waiting:  # as above
        one, way = waiting.pop()
        if isinstance(one, str):
            try:
                one.encode()
            except UnicodeEncodeError as error:
                raise _at(way, JsonError.of(error)) from None
        for part, item in _parts(one):
            waiting += (item, (part, way)), (part, way)  # the name first: a path can have it then


def _at(way: _Way, error: JsonError) -> JsonError:
    while way is not None:
        part, way = way
        error.within(part)
    return error


def refuse_bytes(value: Any) -> None:
    """Find bytes where text should be, and name their place.

    Raises:
        JsonError: There are some.
    """
    if isinstance(value, bytes):
        raise JsonError("the text is not UTF-8")
    for part, item in _parts(value):
        refuse_bytes(part)
        try:
            refuse_bytes(item)
        except JsonError as error:
            raise error.within(part) from None


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).items()
    if isinstance(value, list):
        return ((f"[{at}]", item) for at, item in enumerate(cast("Iterable[Any]", value)))
    return ()


def _constant(name: str) -> Any:
    raise JsonError(f"{name} is no JSON: write it as text")


def _float(text: str) -> float:
    number = float(text)
    return Huge(number) if number - number != 0 else number


def _int(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)


_ENCODER: Final = encoder()
