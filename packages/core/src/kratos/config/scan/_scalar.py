"""Single values: from what a document or a text holds to what a type asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from kratos.config._secret import Secret
from kratos.config._snapshot import CONVERTERS
from kratos.config.scan._place import Place
from kratos.duration import parse_duration

__all__ = ["SCALARS", "read_duration", "read_scalar"]


def read_scalar(kind: type, value: object, place: Place) -> Any:
    """Return a value as ``bool``, ``int``, ``float`` or ``str``.

    Raises:
        ConfigError: It is of another kind.
    """
    converted = CONVERTERS[kind](value)
    if converted is None:
        raise place.mismatch(_NOUNS[kind], value)
    return converted


def read_duration(value: object, place: Place) -> float:
    """Return the seconds of a number, or of a text such as ``1m30s``.

    Raises:
        ConfigError: It is neither.
    """
    seconds = CONVERTERS[float](value)
    if isinstance(seconds, float):
        return seconds
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError:
            pass  # told below, without the text
    raise place.mismatch("a duration such as 1m30s, or a number of seconds", value)


def _secret(value: object, place: Place) -> Secret:
    return Secret(read_scalar(str, value, place))


def _path(value: object, place: Place) -> Path:
    return Path(read_scalar(str, value, place))


def _timedelta(value: object, place: Place) -> timedelta:
    seconds = read_duration(value, place)
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):  # of infinity, of NaN
        raise place.error("must be a duration of less than a billion days") from None


def _bytes(value: object, place: Place) -> bytes:
    text: str = read_scalar(str, value, place)
    return text.encode()


def _of_iso(kind: type[date | time], noun: str) -> Callable[[object, Place], Any]:
    def read(value: object, place: Place) -> Any:
        if isinstance(value, str):
            try:
                return kind.fromisoformat(value)
            except ValueError:
                pass  # told below, without the text
        raise place.mismatch(noun, value)

    return read


_NOUNS: Final = {bool: "a boolean", int: "a whole number", float: "a number", str: "a text"}

SCALARS: Final[Mapping[type, Callable[[object, Place], Any]]] = {
    Secret: _secret,
    Path: _path,
    timedelta: _timedelta,
    bytes: _bytes,
    datetime: _of_iso(datetime, "a time such as 2026-01-31T12:00:00Z"),
    date: _of_iso(date, "a date such as 2026-01-31"),
    time: _of_iso(time, "a time of day such as 12:00:00"),
}
"""Readers of types that are more than ``bool``, ``int``, ``float`` and ``str``."""
