"""What makes the attempts of an endpoint, as its configuration says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aegis.circuitbreaker import SreBreaker
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.proxy.hedging import Hedge
from kratos_gateway.proxy.pacing import Pace
from kratos_gateway.proxy.retry import Retry
from kratos_gateway.retries import backoff_of, budget_of, hedge_delay_of

__all__ = ["Attempting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempting:
    """Makes it for all endpoints of a configuration.

    Attributes:
        enabled: Tells whether there are further attempts at all, whenever one would follow.
        unsafe: Whether requests that are not idempotent have them, where the endpoint says nothing.
        clock: Time for breakers, budgets and waits.
    """

    enabled: Callable[[], bool]
    unsafe: bool
    clock: Clock = SYSTEM_CLOCK

    def retry(self, endpoint: Endpoint) -> Retry:
        """Return what makes the attempts of an endpoint one after the other.

        Raises:
            ConfigError: Something in its ``retry`` is wrong.
        """
        make_budget = budget_of(endpoint.retry)
        backoff = backoff_of(endpoint.retry)
        now = partial(_nanoseconds, self.clock)
        return Retry(
            endpoint,
            enabled=self.enabled,
            unsafe=self.unsafe,
            make_breaker=partial(_breaker, now),
            budget=None if make_budget is None else make_budget(now),
            pace=None if backoff is None else Pace(backoff, clock=self.clock),
        )

    def hedge(self, endpoint: Endpoint, retry: Retry) -> Hedge | None:
        """Return what makes them so that they may overlap; ``None`` where they may not.

        Raises:
            ConfigError: Something in its ``retry`` is wrong.
        """
        told = endpoint.retry
        delay = hedge_delay_of(told)
        if delay is None:
            return None
        unsafe = told.HasField("idempotent_only") and not told.idempotent_only
        return Hedge(retry, delay=delay, unsafe=unsafe, clock=self.clock)


def _breaker(now: Callable[[], int]) -> SreBreaker:
    return SreBreaker(
        success=0.8, request=10, window=3.0, buckets=10, count_rejected=False, clock=now
    )


def _nanoseconds(clock: Clock) -> int:
    return int(clock.time() * 1e9)
