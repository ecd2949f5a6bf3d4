"""Refusing at once what cannot succeed in the time that is left."""

from __future__ import annotations

import math
from asyncio import get_running_loop
from collections.abc import Awaitable, Mapping
from typing import Any, Final, cast

from kratos.errors import ConfigError, Error
from kratos.transport.call import Call, Handler

__all__ = ["BUDGET_TOO_SMALL", "checked_floor", "checked_floors", "floored", "require_time"]

BUDGET_TOO_SMALL: Final = "BUDGET_TOO_SMALL"
"""Reason of the error 504 for a call that had some time left, but less than its operation takes."""


def floored(handler: Handler, floor: float) -> Handler:
    """Return a handler that refuses calls with less than ``floor`` seconds left.

    See ``require_time``.
    """

    def guarded(call: Call, request: Any) -> Awaitable[Any]:
        require_time(call, floor)
        return handler(call, request)

    return guarded


def require_time(call: Call, floor: float) -> None:
    """Refuse a call with less than ``floor`` seconds left; one without a deadline passes.

    Raises:
        Error: 504 ``BUDGET_TOO_SMALL``, with both times in its metadata, ``floor`` and ``left``.
    """
    deadline = call.deadline
    if deadline is not None:
        left = deadline - get_running_loop().time()
        if left < floor:
            raise _too_small(call, left, floor)


def checked_floors(floors: Mapping[str, float] | None) -> dict[str, float]:
    """Return a copy of floors by operation name.

    Raises:
        ConfigError: One is not positive, or not finite, or they are no mapping.
    """
    given = by_operation("floors", floors)
    return {name: checked_floor(name, floor) for name, floor in given.items()}


def by_operation(option: str, values: Mapping[str, float] | None) -> dict[str, float]:
    """Return a copy of what an option says by operation name.

    Raises:
        ConfigError: It is no mapping.
    """
    if values is not None and not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"{option} must be seconds by operation, such as {{'/shop.v1.Orders/Get': 0.5}}, "
            f"not {values!r}"
        )
    return dict(values or {})


def checked_floor(name: str, floor: float, *, limit: float | None = None) -> float:
    """Return a floor that lets calls pass.

    Args:
        name: What it is for, for the error.
        floor: Seconds.
        limit: Seconds that calls get at most; ``None`` for no limit.

    Raises:
        ConfigError: It is not positive, not finite, or more than the limit.
    """
    seconds = cast("object", floor)
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ConfigError(f"floor of {name}: {floor!r} is no number of seconds above 0")
    if limit is not None and floor > limit:
        raise ConfigError(
            f"floor of {name}: {floor} seconds are more than its time limit of {limit}, so that "
            "every call would be refused"
        )
    return floor


def _too_small(call: Call, left: float, floor: float) -> Error:
    shown = f"{max(left, 0.0):.6f}".rstrip("0").rstrip(".")
    return Error(
        504,
        BUDGET_TOO_SMALL,
        f"{call.method.operation} was not begun: it takes {floor:g} s, and {shown} s were left",
        {"floor": f"{floor:g}", "left": shown},
    )
