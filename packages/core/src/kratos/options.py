"""Checks of what constructors are handed, for programs that nobody checks for types.

An error says which option was wrong, what it was, and what is taken instead.
"""

from __future__ import annotations

import math

from kratos.errors import ConfigError

__all__ = [
    "require_callable",
    "require_count",
    "require_instance",
    "require_methods",
    "require_number",
]


def require_instance(option: str, value: object, kind: type) -> None:
    """Refuse what is neither ``None`` nor of a class.

    Raises:
        ConfigError: The value is neither.
    """
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"{option} is {kind.__name__}(...) or None, not {value!r}")


def require_callable(option: str, value: object) -> None:
    """Refuse what is neither ``None`` nor can be called.

    Raises:
        ConfigError: The value is neither.
    """
    if value is not None and not callable(value):
        raise ConfigError(f"{option} is a function or None, not {value!r}")


def require_methods(option: str, value: object, kind: str, *methods: str) -> None:
    """Refuse what is neither ``None`` nor has some methods.

    Args:
        option: Its name.
        value: What it was given.
        kind: What has such methods, with its article.
        methods: Their names.

    Raises:
        ConfigError: The value is neither.
    """
    if value is None or all(callable(getattr(value, name, None)) for name in methods):
        return
    raise ConfigError(f"{option} is {kind}, with {', '.join(methods)}, or None, not {value!r}")


def require_count(option: str, value: object, *, least: int = 1) -> None:
    """Refuse what is no whole number, or too small.

    Raises:
        ConfigError: The value is one of both.
    """
    if not isinstance(value, int) or value < least:
        raise ConfigError(f"{option} is a whole number from {least}, not {value!r}")


def require_number(
    option: str,
    value: object,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    finite: bool = False,
    optional: bool = False,
) -> None:
    """Refuse what is no number, of seconds for instance, or out of a range.

    Args:
        option: Its name.
        value: What it was given.
        above: What it has to exceed.
        least: What it has to reach.
        finite: Whether infinity is refused.
        optional: Whether ``None`` is taken.

    Raises:
        ConfigError: The value is none of these.
    """
    if value is None and optional:
        return
    fits = isinstance(value, int | float) and value >= least and value > above
    if fits and not (finite and value == math.inf):
        return
    bounds = [f"above {above:g}"] * (above > -math.inf) + [f"from {least:g}"] * (least > -math.inf)
    wanted = " ".join(["a number", *bounds, *["and finite"] * finite, *["or None"] * optional])
    raise ConfigError(f"{option} is {wanted}, not {value!r}")
