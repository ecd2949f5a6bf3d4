"""What the configuration says about further attempts, understood."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

from aegis.backoff import Backoff
from aegis.budget import RetryBudget
from aegis.clock import Clock
from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Retry
from kratos_gateway.times import in_seconds

__all__ = ["backoff_of", "budget_of", "hedge_delay_of", "is_idempotent"]

_BASE: Final = 0.025  # seconds, as of Envoy
_TIMES: Final = 10  # that the last wait is longer than the first, as of Envoy
_SHARE: Final = 0.2
_MIN_PER_SECOND: Final = 10.0
_WINDOW: Final = 10.0  # seconds, as of Finagle
_IDEMPOTENT: Final = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"))


def is_idempotent(method: str) -> bool:
    """Tell whether requests of a method may be sent twice (RFC 9110, 9.2.2)."""
    return method in _IDEMPOTENT


def hedge_delay_of(retry: Retry) -> float | None:
    """Return the seconds after which another attempt is made beside those under way.

    ``None`` for no such attempts.

    Raises:
        ConfigError: It is not more than nothing.
    """
    if not retry.HasField("hedge_delay"):
        return None
    delay = in_seconds(retry.hedge_delay)
    if delay <= 0:
        raise ConfigError("retry.hedge_delay: it must be more than 0s; leave it out for none")
    return delay


def backoff_of(retry: Retry) -> Backoff | None:
    """Return how long to wait between attempts; ``None`` for not at all.

    Raises:
        ConfigError: A time is out of its range.
    """
    if not retry.HasField("backoff"):
        return None
    told = retry.backoff
    base = in_seconds(told.base) if told.HasField("base") else _BASE
    most = in_seconds(told.max) if told.HasField("max") else base * _TIMES
    if not 0 < base <= most:
        raise ConfigError(
            f"retry.backoff: base, {base:g}s, must be more than 0s, and max, {most:g}s, no less"
        )
    return Backoff(base=base, cap=most)


def budget_of(retry: Retry) -> Callable[[Clock], RetryBudget] | None:
    """Return what makes the budget of further attempts; ``None`` for no bound.

    Raises:
        ConfigError: A number is out of its range.
    """
    if not retry.HasField("budget"):
        return None
    told = retry.budget
    share = told.share if told.HasField("share") else _SHARE
    least = told.min_per_second if told.HasField("min_per_second") else _MIN_PER_SECOND
    window = in_seconds(told.window) if told.HasField("window") else _WINDOW
    if not 0 <= share <= 1:
        raise ConfigError(f"retry.budget.share: {share:g} is not between 0 and 1; 0.2 is a fifth")
    if not 0 <= least < math.inf:
        raise ConfigError(f"retry.budget.min_per_second: {least:g} must be 0 or more")
    if window <= 0:
        raise ConfigError(f"retry.budget.window: {window:g}s must be more than 0s")
    return partial(_budget, share, least, window)


def _budget(share: float, least: float, window: float, clock: Clock) -> RetryBudget:
    return RetryBudget(ratio=share, min_per_second=least, ttl=window, clock=clock)
