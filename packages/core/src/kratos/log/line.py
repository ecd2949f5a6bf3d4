"""The default logger: a line for each record, for people on a terminal, else as JSON."""

from __future__ import annotations

import io
import os
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from kratos.log._interface import NO_FIELDS, Level, Threshold
from kratos.log._json import dumper
from kratos.log._text import indented, quoted
from kratos.log.fields import current_fields
from kratos.log.writer import LineWriter, QueuedWriter, standard_error

__all__ = ["Format", "LineLogger", "build"]

Format: TypeAlias = Literal["auto", "json", "text", "color"]

_Render: TypeAlias = Callable[[str, Level, str, Mapping[str, object]], bytes]

_OWN: Final = frozenset({"time", "level", "msg", "stack"})
_NAMES: Final = ("DEBUG", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")  # by tens
_COLORS: Final = ("\x1b[2m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[1;31m")
_RESET: Final = "\x1b[0m"


class LineLogger:
    """Writes records as lines, without waiting.

    JSON has the keys of Go's ``slog``: ``time`` (UTC, RFC 3339), ``level``, ``msg``, then the
    fields; a field of one of these names gets an ``_`` after it. Exceptions are their kind and
    text; from ``ERROR`` on, that of the field ``error`` brings its trace along as ``stack``.
    Values of other types are their text. Fields of the context are among them, see
    ``context_fields``.

    Args:
        writer: Takes the lines; standard error by default, through a ``QueuedWriter`` that all
            loggers of the process share.
        level: Records below it are dropped.
        format: ``color`` for people, ``text`` without colours, ``json`` for machines; ``auto``
            is ``color`` if standard error is a terminal (``text`` if ``NO_COLOR`` is set), else
            ``json``.
        now: Gives seconds since the epoch.

    Attributes:
        threshold: What ``level`` set, and may be changed.

    Raises:
        TypeError: ``level`` is no level, or ``writer`` a file of text.
        ValueError: There is no such format.
    """

    __slots__ = ("_now", "_render", "_second", "_write", "threshold")

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
        to = standard_error() if writer is None else writer
        self.threshold: Final = Threshold(level)
        self._write: Final = to.write
        self._render: Final[_Render] = _RENDERS[chosen]()
        self._now: Final = now
        self._second: tuple[int, str] = (-1, "")
        if isinstance(to, QueuedWriter):
            to.tell_losses(self._losses)

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return level >= self.threshold.floor

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        if level < self.threshold.floor:
            return
        context = current_fields()
        if context:
            fields = {**context, **fields}
        now = self._now()
        whole = int(now)
        second, shown = self._second
        if whole != second:
            shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
            self._second = whole, shown  # at once, as other threads log, too
        stamp = f"{shown}.{int((now - whole) * 1_000_000):06d}Z"
        self._write(self._render(stamp, level, message, fields))

    def _losses(self, lost: int) -> bytes:
        shown = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(int(self._now())))
        return self._render(shown, Level.WARN, "lines of the log were dropped", {"lines": lost})


def build(*, format: Format = "auto") -> LineLogger:  # noqa: A002
    """Return a logger to standard error that writes all levels: the plug-in ``line``."""
    return LineLogger(level=Level.DEBUG, format=format)


def _chosen() -> str:
    if not os.isatty(2):
        return "json"
    return "text" if os.environ.get("NO_COLOR") else "color"


def _json() -> _Render:
    dump = dumper()

    def render(now: str, level: Level, message: str, fields: Mapping[str, object]) -> bytes:
        name = _NAMES[_rank(level)]
        if not fields:
            return dump({"time": now, "level": name, "msg": message})
        if not _OWN.isdisjoint(fields):
            fields = {f"{key}_" if key in _OWN else key: fields[key] for key in fields}
        record = {"time": now, "level": name, "msg": message, **fields}
        if level >= 40:
            stack = _stack(fields.get("error"))
            if stack:
                record["stack"] = stack
        return dump(record)

    return render


def _rank(level: int) -> int:
    """Return tens; levels that are none of ours count as the next one below."""
    return level // 10 if 0 <= level < 60 else (0 if level < 0 else 5)


def _text() -> _Render:
    def render(now: str, level: Level, message: str, fields: Mapping[str, object]) -> bytes:
        return _line(now, f"{_NAMES[_rank(level)]:<5}", message, level, fields)

    return render


def _color() -> _Render:
    def render(now: str, level: Level, message: str, fields: Mapping[str, object]) -> bytes:
        rank = _rank(level)
        name = f"{_COLORS[rank]}{_NAMES[rank]:<5}{_RESET}"
        return _line(now, name, message, level, fields)

    return render


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
    try:
        return "".join(traceback.format_exception(error))
    except Exception as failure:  # of an exception's own code
        return f"its trace cannot be shown: {type(failure).__name__}"


_RENDERS: Final[Mapping[str, Callable[[], _Render]]] = {
    "json": _json,
    "text": _text,
    "color": _color,
}
