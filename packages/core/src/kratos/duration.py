"""Durations as Go writes them: ``1h2m3.5s`` (Go: ``time.ParseDuration``, ``Duration.String``).

Two units only: functions that say ``nanoseconds`` use whole nanoseconds and lose nothing,
all others use seconds as ``float``.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "MAX_NANOSECONDS",
    "MIN_NANOSECONDS",
    "clamp_nanoseconds",
    "format_duration",
    "format_nanoseconds",
    "parse_duration",
    "parse_nanoseconds",
]

MAX_NANOSECONDS: Final = (1 << 63) - 1
MIN_NANOSECONDS: Final = -(1 << 63)

_SECOND: Final = 1_000_000_000
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_TERM: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
# Far beyond the range, and short enough for int() to stay cheap.
_MAX_DIGITS: Final = 64


def parse_duration(text: str) -> float:
    """Return the seconds of a Go duration such as ``250ms`` or ``1h2m3.5s``.

    Raises:
        ValueError: The text is no duration, or leaves the range of about 292 years.
    """
    return parse_nanoseconds(text) / _SECOND


def format_duration(seconds: float) -> str:
    """Return seconds as Go prints them, rounded to nanoseconds and clamped to Go's range.

    Raises:
        ValueError: ``seconds`` is not a number.
    """
    if seconds != seconds:
        raise ValueError("a duration cannot be NaN")
    if seconds * _SECOND >= MAX_NANOSECONDS:
        return format_nanoseconds(MAX_NANOSECONDS)
    if seconds * _SECOND <= MIN_NANOSECONDS:
        return format_nanoseconds(MIN_NANOSECONDS)
    return format_nanoseconds(round(seconds * _SECOND))


def parse_nanoseconds(text: str) -> int:
    """Return the nanoseconds of a Go duration; a fraction of a nanosecond is cut off.

    Raises:
        ValueError: The text is no duration, or leaves the range of 64 bits.
    """
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    if unsigned == "0":
        return 0
    if not unsigned:
        raise ValueError(f"{text!r} is no duration; write one like 1h2m3.5s")
    total = 0
    at = 0
    while at < len(unsigned):
        term = _TERM.match(unsigned, at)
        if term is None or not (term[1] or term[2]):
            raise ValueError(f"{text!r} is no duration; write one like 1h2m3.5s")
        total += _term(text, term[1], term[2] or "", term[3])
        at = term.end()
    total = -total if text[0] == "-" else total
    if not MIN_NANOSECONDS <= total <= MAX_NANOSECONDS:
        raise ValueError(f"duration {text!r} is out of range; the longest is 2562047h")
    return total


def _term(text: str, whole: str, fraction: str, unit: str) -> int:
    factor = _UNITS.get(unit)
    if factor is None:
        wrong = f"unknown unit {unit!r}" if unit else "a unit is missing"
        raise ValueError(f"duration {text!r}: {wrong}; use ns, us, ms, s, m or h")
    if len(whole) > _MAX_DIGITS:
        raise ValueError(f"duration {text[:_MAX_DIGITS]!r}... is out of range")
    fraction = fraction[:_MAX_DIGITS]
    part = int(fraction) * factor // 10 ** len(fraction) if fraction else 0
    return int(whole or "0") * factor + part


def format_nanoseconds(nanoseconds: int) -> str:
    """Return nanoseconds as Go prints them: ``0s``, ``1.5µs``, ``2m0.000000022s``."""
    if not nanoseconds:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < 1_000:
        return f"{sign}{rest}ns"
    if rest < 1_000_000:
        return f"{sign}{_decimal(rest, 3)}\u00b5s"
    if rest < _SECOND:
        return f"{sign}{_decimal(rest, 6)}ms"
    minutes, rest = divmod(rest, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def clamp_nanoseconds(seconds: int, nanoseconds: int = 0) -> int:
    """Join the two parts of a protobuf Duration, held within Go's 64 bits."""
    return max(MIN_NANOSECONDS, min(MAX_NANOSECONDS, seconds * _SECOND + nanoseconds))


def _decimal(value: int, places: int) -> str:
    whole, part = divmod(value, 10**places)
    return f"{whole}.{part:0{places}}".rstrip("0") if part else str(whole)
