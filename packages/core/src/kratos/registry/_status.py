"""What a keeper knows about its publication, and how it tells."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from kratos.clock import Clock
from kratos.limit import describe
from kratos.registry._instance import ServiceInstance

__all__ = ["RegistrationState", "RegistrationStatus", "Reporter"]

_log = logging.getLogger("kratos.registry")


class RegistrationState(Enum):
    """How the registry stands to the desired instance."""

    PENDING = "pending"
    """Not registered yet."""
    HELD = "held"
    """Registered as desired, and the last check was good."""
    DEGRADED = "degraded"
    """Registered, but the last check, or a change of the instance, failed; trying again."""
    LOST = "lost"
    """No longer registered; registering again."""
    GONE = "gone"
    """Closed for good. With a ``last_error`` the withdrawal failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationStatus:
    """A moment in a keeper's life.

    Attributes:
        state: The state.
        instance: The desired instance.
        since: Clock time in seconds at which ``state`` began.
        last_error: The newest error; kept after recovery, so that it can still be seen.
        failures: Errors since all was well; 0 while it is.
        clock: The keeper's clock, for ``age``.
    """

    state: RegistrationState
    instance: ServiceInstance
    since: float
    last_error: BaseException | None = None
    failures: int = 0
    clock: Clock

    @property
    def age(self) -> float:
        """Seconds since ``state`` began."""
        return self.clock.time() - self.since

    @property
    def registered(self) -> bool:
        """Whether others can find the instance, as far as is known."""
        return self.state in (RegistrationState.HELD, RegistrationState.DEGRADED)


class Reporter:
    """Holds a keeper's status; logs its changes and tells them to ``on_change``.

    Args:
        registrar: Name of the back end, for logs.
        instance: The desired instance.
        clock: Time of the status.
        on_change: Called with each new status.
    """

    __slots__ = ("_clock", "_on_change", "_registrar", "status")

    def __init__(
        self,
        registrar: str,
        instance: ServiceInstance,
        *,
        clock: Clock,
        on_change: Callable[[RegistrationStatus], None] | None,
    ) -> None:
        self._registrar = registrar
        self._clock = clock
        self._on_change = on_change
        self.status = RegistrationStatus(
            state=RegistrationState.PENDING, instance=instance, since=clock.time(), clock=clock
        )

    def want(self, instance: ServiceInstance) -> None:
        """Note another desired instance."""
        self.status = replace(self.status, instance=instance)

    def reached(self, state: RegistrationState) -> None:
        """Note a state without an error."""
        if state is not self.status.state:
            _log.info("%s is %s at %s", self.status.instance, state.value, self._registrar)
            self._change(replace(self.status, state=state, since=self._clock.time(), failures=0))

    def failed(
        self, state: RegistrationState, error: BaseException, *, next_in: float | None
    ) -> None:
        """Note an error, the state it leads to, and in how many seconds the next attempt is."""
        before = self.status
        _log.warning(
            "%s is %s at %s: %s; %s",
            before.instance,
            state.value,
            self._registrar,
            describe(error),
            "no further attempt" if next_in is None else f"next attempt in {next_in:.1f} s",
        )
        since = before.since if state is before.state else self._clock.time()
        failures = before.failures + 1
        self._change(replace(before, state=state, since=since, last_error=error, failures=failures))

    def _change(self, status: RegistrationStatus) -> None:
        self.status = status
        if self._on_change is None:
            return
        try:
            self._on_change(status)
        except (Exception, asyncio.CancelledError):  # no cancellation of ours: no await
            _log.exception("%s: the listener for changes failed", status.instance)
