"""What is wrong with a value, and checks that say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

__all__ = ["Fault", "ValueCheck", "first_fault", "listed"]


class Fault(NamedTuple):
    """What is wrong with a value.

    Attributes:
        reason: Go's text.
        cause: Text of what is behind it; empty for none.
        path: Where it is within the value; empty for the value itself.
        description: Text for the violation, if it is not that of the value itself.
    """

    reason: str
    cause: str = ""
    path: str = ""
    description: str = ""


ValueCheck: TypeAlias = Callable[[Any], "Fault | None"]


def first_fault(checks: Iterable[ValueCheck], value: Any) -> Fault | None:
    """Return what the first check finds that finds something."""
    for check in checks:
        fault = check(value)
        if fault is not None:
            return fault
    return None


def listed(words: Iterable[object]) -> str:
    """Return a list as Go prints it."""
    return f"[{' '.join(map(str, words))}]"
