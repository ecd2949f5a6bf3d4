"""The default logger: a line for each record, for people on a terminal, else as JSON."""

from __future__ import annotations

import io
import json
import math
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final, Literal, TypeAlias, cast

from kratos.log._interface import NO_FIELDS, Level, require_level
from kratos.log._text import described, indented, quoted, text_of
from kratos.log.fields import current_fields
from kratos.log.writer import LineWriter, QueuedWriter

__all__ = ["Format", "LineLogger", "dumper"]

Format: TypeAlias = Literal["auto", "json", "text", "color"]

_Render: TypeAlias = Callable[[str, Level, str, Mapping[str, object]], bytes]

_OWN: Final = frozenset({"time", "level", "msg", "stack"})
_COLORS: Final = {
    Level.DEBUG: "\x1b[2m",
    Level.INFO: "\x1b[32m",
    Level.WARN: "\x1b[33m",
    Level.ERROR: "\x1b[31m",
    Level.FATAL: "\x1b[1;31m",
}
_RESET: Final = "\x1b[0m"


class LineLogger:
    """Writes records as lines, without waiting.

    JSON has the keys of Go's ``slog``: ``time`` (UTC, RFC 3339), ``level``, ``msg``, then the
    fields; a field of one of these names gets an ``_`` after it. Exceptions are their kind and
    text; from ``ERROR`` on, that of the field ``error`` brings its trace along as ``stack``.
    Values of other types are their text. Fields of the context are among them, see
    ``context_fields``.

    Args:
        writer: Takes the lines; standard error through a ``QueuedWriter`` by default.
        level: Records below it are dropped.
        format: ``color`` for people, ``text`` without colours, ``json`` for machines; ``auto``
            is ``color`` if standard error is a terminal (``text`` if ``NO_COLOR`` is set), else
            ``json``.
        now: Gives seconds since the epoch.

    Raises:
        TypeError: ``level`` is no level, or ``writer`` a file of text.
        ValueError: There is no such format.
    """

    __slots__ = ("_floor", "_now", "_render", "_second", "_shown", "_write")

    def __init__(
        self,
        writer: LineWriter | None = None,
        *,
        level: Level = Level.INFO,
        format: Format = "auto",  # noqa: A002 - what everybody calls it
        now: Callable[[], float] = time.time,
    ) -> None:
        chosen = _chosen() if format == "auto" else format
        if chosen not in _RENDERS:
            raise ValueError(f"format must be auto, json, text or color, got {format!r}")
        if isinstance(writer, io.TextIOBase):
            raise TypeError("writer takes bytes, not text: pass QueuedWriter(file.fileno())")
        self._write: Final = (QueuedWriter() if writer is None else writer).write
        self._floor: Final = int(require_level(level))
        self._render: Final[_Render] = _RENDERS[chosen]
        self._now: Final = now
        self._second = -1
        self._shown = ""

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return level >= self._floor

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        if level < self._floor:
            return
        context = current_fields()
        if context:
            fields = {**context, **fields}
        self._write(self._render(self._time(), level, message, fields))

    def _time(self) -> str:
        now = self._now()
        second = int(now)
        if second != self._second:
            self._shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._shown}.{int((now - second) * 1_000_000):06d}Z"


def _chosen() -> str:
    if not os.isatty(2):
        return "json"
    return "text" if os.environ.get("NO_COLOR") else "color"


def _json(now: str, level: Level, message: str, fields: Mapping[str, object]) -> bytes:
    line: dict[str, object] = {"time": now, "level": level.name, "msg": message}
    if fields:
        if _OWN.isdisjoint(fields):
            line.update(fields)
        else:
            line.update((f"{key}_" if key in _OWN else key, fields[key]) for key in fields)
        if level >= Level.ERROR:
            stack = _stack(fields.get("error"))
            if stack:
                line["stack"] = stack
    return dumper()(line)


def _plain(value: object) -> Any:
    """Return what JSON has for a value of another type."""
    if isinstance(value, BaseException):
        return described(value)
    if isinstance(value, Mapping):
        parts = cast("Mapping[object, object]", value)
        return {str(key): part for key, part in parts.items()}
    if isinstance(value, set | frozenset | tuple):
        return list(cast("Iterable[object]", value))
    return text_of(value)


def _dump_by_json(line: dict[str, object]) -> bytes:
    try:
        text = _ENCODER.encode(line)
    except (TypeError, ValueError, RecursionError):
        try:
            text = _ENCODER.encode(_finite(line))
        except (TypeError, ValueError, RecursionError):
            text = _ENCODER.encode({text_of(key): _carried(value) for key, value in line.items()})
    return text.encode(errors="backslashreplace") + b"\n"


def _finite(value: object) -> object:
    """Return a value with ``None`` for numbers that JSON has not, as orjson writes them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        parts = cast("dict[object, object]", value)
        return {key: _finite(part) for key, part in parts.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in cast("Iterable[object]", value)]
    return value


def _carried(value: object) -> object:
    """Return a value if JSON can carry it, else its text."""
    try:
        _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError):
        return text_of(value)
    return value


_ENCODER: Final = json.JSONEncoder(
    default=_plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False
)


@cache
def dumper() -> Callable[[dict[str, object]], bytes]:
    """Return orjson's encoder where it is installed, which takes a third of the time."""
    try:
        import orjson
    except ImportError:
        return _dump_by_json
    options = (
        orjson.OPT_APPEND_NEWLINE
        | orjson.OPT_NON_STR_KEYS
        | orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_SUBCLASS
    )

    def dump(line: dict[str, object]) -> bytes:
        try:
            return orjson.dumps(line, _plain, options)
        except TypeError:  # half a surrogate pair, a number beyond 64 bits, a circle
            return _dump_by_json(line)

    return dump


def _people(now: str, level: Level, message: str, fields: Mapping[str, object]) -> bytes:
    return _line(now, f"{level.name:<5}", message, level, fields)


def _color(now: str, level: Level, message: str, fields: Mapping[str, object]) -> bytes:
    return _line(now, f"{_COLORS[level]}{level.name:<5}{_RESET}", message, level, fields)


def _line(now: str, name: str, message: str, level: Level, fields: Mapping[str, object]) -> bytes:
    shown = message if message.isprintable() else quoted(message)
    parts = [now, name, shown, *(f"{quoted(key)}={quoted(value)}" for key, value in fields.items())]
    text = " ".join(parts)
    if level >= Level.ERROR:
        stack = _stack(fields.get("error"))
        if stack:
            text = f"{text}\n{indented(stack)}"
    return f"{text}\n".encode(errors="backslashreplace")


def _stack(error: object) -> str:
    if not isinstance(error, BaseException) or error.__traceback__ is None:
        return ""
    return "".join(traceback.format_exception(error))


_RENDERS: Final[Mapping[str, _Render]] = {"json": _json, "text": _people, "color": _color}
