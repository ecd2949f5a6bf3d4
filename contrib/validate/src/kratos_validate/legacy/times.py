"""Rules of durations and of points in time, which are compared in nanoseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kratos.duration import clamp_nanoseconds, format_nanoseconds
from kratos_validate.legacy.fault import Fault, ValueCheck, listed
from kratos_validate.legacy.numbers import range_check

__all__ = ["duration_checks", "timestamp_checks"]

_SECOND: Final = 1_000_000_000
_MOST_SECONDS: Final = 315_576_000_000
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799
_BOUNDS: Final = ("lt", "lte", "gt", "gte")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def duration_checks(rules: Any) -> Iterator[ValueCheck]:
    """Yield the check of a duration that is there, if rules look at its length."""
    checks: list[ValueCheck] = []
    if rules.HasField("const"):
        checks.append(_equal(_length(rules.const), format_nanoseconds))
    checks += range_check(_bounds(rules, _length), format_nanoseconds)
    allowed, refused = list(getattr(rules, "in")), list(rules.not_in)
    if allowed or refused:
        checks.append(_member(allowed, refused))
    if checks:
        yield _valid("duration", _duration_fault, _length, checks)


def timestamp_checks(rules: Any, now: Callable[[], int] = time.time_ns) -> Iterator[ValueCheck]:
    """Yield the check of a time that is there, if rules look at it.

    Args:
        rules: The rules.
        now: Nanoseconds since the epoch.
    """
    checks: list[ValueCheck] = []
    if rules.HasField("const"):
        checks.append(_equal(_nanoseconds(rules.const), _shown))
    bounds = _bounds(rules, _nanoseconds)
    checks += range_check(bounds, _shown)
    if not bounds:
        checks += _relative(rules, now)
    if checks:
        yield _valid("timestamp", _timestamp_fault, _nanoseconds, checks)


def _bounds(rules: Any, read: Callable[[Any], int]) -> dict[str, int]:
    return {name: read(getattr(rules, name)) for name in _BOUNDS if rules.HasField(name)}


def _equal(only: int, show: Callable[[int], str]) -> ValueCheck:
    fault = Fault(f"value must equal {show(only)}")
    return lambda value: None if value == only else fault


def _member(allowed: list[Any], refused: list[Any]) -> ValueCheck:
    known = frozenset(map(_length, allowed or refused))
    shown = listed(" ".join(str(each).split()).replace(": ", ":") for each in allowed or refused)
    if allowed:
        fault = Fault(f"value must be in list {shown}")
        return lambda value: None if value in known else fault
    unwanted = Fault(f"value must not be in list {shown}")
    return lambda value: unwanted if value in known else None


def _relative(rules: Any, now: Callable[[], int]) -> Iterator[ValueCheck]:
    within = _length(rules.within) if rules.HasField("within") else None
    near = "" if within is None else f" within {format_nanoseconds(within)}"
    span = float("inf") if within is None else within
    if rules.lt_now:
        past = Fault(f"value must be less than now{near}")
        yield lambda value: None if 0 < now() - value <= span else past
    elif rules.gt_now:
        future = Fault(f"value must be greater than now{near}")
        yield lambda value: None if 0 < value - now() <= span else future
    elif within is not None:
        around = Fault(f"value must be{near} of now")
        yield lambda value: None if abs(value - now()) < span else around


def _valid(
    name: str,
    look: Callable[[Any], str],
    read: Callable[[Any], int],
    checks: list[ValueCheck],
) -> ValueCheck:
    def check(value: Any) -> Fault | None:
        if cause := look(value):
            return Fault(f"value is not a valid {name}", cause)
        count = read(value)
        for each in checks:
            if (fault := each(count)) is not None:
                return fault
        return None

    return check


def _length(duration: Any) -> int:
    return clamp_nanoseconds(duration.seconds, duration.nanos)


def _nanoseconds(timestamp: Any) -> int:
    found: int = timestamp.seconds * _SECOND + timestamp.nanos
    return found


def _duration_fault(value: Any) -> str:
    seconds, nanos = value.seconds, value.nanos
    if not -_MOST_SECONDS <= seconds <= _MOST_SECONDS:
        return f"proto: duration ({_parts(value)}) exceeds {_edge(seconds)}10000 years"
    if not -_SECOND < nanos < _SECOND:
        return f"proto: duration ({_parts(value)}) has out-of-range nanos"
    if (seconds > 0 > nanos) or (seconds < 0 < nanos):
        return f"proto: duration ({_parts(value)}) has seconds and nanos with different signs"
    return ""


def _timestamp_fault(value: Any) -> str:
    if value.seconds < _FIRST_SECOND:
        return f"proto: timestamp ({_parts(value)}) before 0001-01-01"
    if value.seconds > _LAST_SECOND:
        return f"proto: timestamp ({_parts(value)}) after 9999-12-31"
    if not 0 <= value.nanos < _SECOND:
        return f"proto: timestamp ({_parts(value)}) has out-of-range nanos"
    return ""


def _edge(seconds: int) -> str:
    return "-" if seconds < 0 else "+"


def _parts(value: Any) -> str:
    return " ".join(str(value).split()).replace(": ", ":")


def _shown(nanoseconds: int) -> str:
    """Return a time as Go prints it."""
    seconds, rest = divmod(nanoseconds, _SECOND)
    moment = (_EPOCH + timedelta(seconds=seconds)).strftime("%H:%M:%S")
    day = (_EPOCH + timedelta(seconds=seconds)).date().isoformat()
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{day} {moment}{fraction} +0000 UTC"
