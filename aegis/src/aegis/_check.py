"""Checks of options, which all say the same: what was given, and what may be."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

__all__ = ["above", "at_least", "between", "whole"]


def above(name: str, value: float, bound: float = 0) -> None:
    """Raise ``ValueError`` unless ``value`` is finite and more than ``bound``."""
    if not _holds(lambda: bound < value < inf):
        msg = f"{name} must be finite and more than {bound}, got {value!r}"
        raise ValueError(msg)


def at_least(name: str, value: float, bound: float) -> None:
    """Raise ``ValueError`` unless ``value`` is finite and not less than ``bound``."""
    if not _holds(lambda: bound <= value < inf):
        msg = f"{name} must be finite and at least {bound}, got {value!r}"
        raise ValueError(msg)


def whole(name: str, value: float, bound: int) -> None:
    """Raise ``ValueError`` unless ``value`` is an integer and not less than ``bound``.

    For what is counted in large integers, next to which a float loses the small.
    """
    if not isinstance(value, int) or value < bound:
        msg = f"{name} must be a whole number and at least {bound}, got {value!r}"
        raise ValueError(msg)


def between(name: str, value: float, low: float, high: float) -> None:
    """Raise ``ValueError`` unless ``low <= value <= high``."""
    if not _holds(lambda: low <= value <= high):
        msg = f"{name} must lie between {low} and {high}, got {value!r}"
        raise ValueError(msg)


def _holds(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except TypeError:  # a text from a file of settings, say: the error is to name the option
        return False
