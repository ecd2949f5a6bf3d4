"""Rules of numbers, and of all else that has an order."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from kratos_validate.legacy.fault import Fault, ValueCheck, listed

__all__ = ["constant", "membership", "number_checks", "range_check"]

_MOST_PLAIN: Final = 6
_LEAST_PLAIN: Final = -4


def number_checks(rules: Any, kind: str) -> Iterator[ValueCheck]:
    """Yield the checks of a number, in Go's order."""
    show: Callable[[Any], str] = str
    if kind == "float":
        show = _float32
    elif kind == "double":
        show = _float64
    yield from constant(rules, show)
    bounds = {
        name: getattr(rules, name) for name in ("lt", "lte", "gt", "gte") if rules.HasField(name)
    }
    yield from range_check(bounds, show)
    yield from membership(rules, show)


def constant(rules: Any, show: Callable[[Any], str]) -> Iterator[ValueCheck]:
    """Yield the check for the one value that is allowed, if there is one."""
    if rules.HasField("const"):
        only = rules.const
        fault = Fault(f"value must equal {show(only)}")
        yield lambda value: None if value == only else fault


def membership(rules: Any, show: Callable[[Any], str]) -> Iterator[ValueCheck]:
    """Yield the check for values that are allowed, or for those that are not."""
    allowed, refused = list(getattr(rules, "in")), list(rules.not_in)
    if allowed:
        within = Fault(f"value must be in list {listed(map(show, allowed))}")
        known = frozenset(allowed)
        yield lambda value: None if value in known else within
    elif refused:
        without = Fault(f"value must not be in list {listed(map(show, refused))}")
        unwanted = frozenset(refused)
        yield lambda value: without if value in unwanted else None


def range_check(bounds: dict[str, Any], show: Callable[[Any], str]) -> Iterator[ValueCheck]:
    """Yield the check of ``lt``, ``lte``, ``gt`` and ``gte``, if there is one of them.

    Bounds that cross allow what is outside of them.
    """
    upper = next((name for name in ("lt", "lte") if name in bounds), None)
    lower = next((name for name in ("gt", "gte") if name in bounds), None)
    if upper is None and lower is None:
        return
    high: Any = bounds.get(upper or "")
    low: Any = bounds.get(lower or "")
    below = _below(high, strict=upper == "lt")
    above = _above(low, strict=lower == "gt")
    if upper is None:
        words = "greater than" if lower == "gt" else "greater than or equal to"
        fault = Fault(f"value must be {words} {show(low)}")
        yield lambda value: None if above(value) else fault
    elif lower is None:
        words = "less than" if upper == "lt" else "less than or equal to"
        fault = Fault(f"value must be {words} {show(high)}")
        yield lambda value: None if below(value) else fault
    elif high > low:
        opening, closing = "(" if lower == "gt" else "[", ")" if upper == "lt" else "]"
        inside = Fault(f"value must be inside range {opening}{show(low)}, {show(high)}{closing}")
        yield lambda value: None if above(value) and below(value) else inside
    else:
        opening, closing = "[" if upper == "lt" else "(", "]" if lower == "gt" else ")"
        outside = Fault(f"value must be outside range {opening}{show(high)}, {show(low)}{closing}")
        yield lambda value: None if above(value) or below(value) else outside


def _below(bound: Any, *, strict: bool) -> Callable[[Any], bool]:
    # As Go has it for what is no number: it is not beyond any bound.
    return (lambda value: not value >= bound) if strict else (lambda value: not value > bound)


def _above(bound: Any, *, strict: bool) -> Callable[[Any], bool]:
    return (lambda value: not value <= bound) if strict else (lambda value: not value < bound)


def _float32(value: float) -> str:
    """Return the shortest text that is the same number of 32 bits."""
    packed = struct.pack("f", value)
    for digits in range(1, 9):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == packed:
            return _float64(float(text))
    return _float64(float(f"{value:.9g}"))


def _float64(value: float) -> str:
    """Return a number as Go's ``%v`` does: the shortest digits, and 1e+06 from there on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, _ = Decimal(repr(value)).as_tuple()
    exponent = Decimal(repr(value)).adjusted() if value else 0
    if value and not _LEAST_PLAIN <= exponent < _MOST_PLAIN:
        written = "".join(map(str, digits)).rstrip("0") or "0"
        mantissa = f"{written[0]}.{written[1:]}".rstrip(".")
        return f"{'-' if sign else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    plain = f"{Decimal(repr(value)):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
