"""What gRPC demands of connections: pings that are not too frequent, and an age that ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final, Protocol

from kratos.transport import Cause
from kratos_grpc.limits import ServerLimits
from kratos_http.conduct import Governed

__all__ = ["GrpcConduct"]

_STRIKES: Final = 2  # pings that come too soon and are borne, as servers of Go and C do
_TOO_MANY: Final = b"too_many_pings"  # by which clients of gRPC know to ping half as often
_VARIATION: Final = 0.1  # of the age, so that connections of one moment end in several


class Timing(Protocol):
    """The part of an event loop that is needed here."""

    def time(self) -> float:
        """Return the time."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        """Call something later."""
        ...


class GrpcConduct:
    """The rules of one connection; see ``Conduct``.

    Pings may come as often as ``min_ping_interval`` allows, and once for each time that something
    was sent, since clients of Go measure the way by them.

    Args:
        connection: The connection.
        limits: Of the server.
        grace: Seconds that cancelled calls get to end.
        loop: What serves the connection.
        chance: Returns numbers from 0 to 1.
    """

    __slots__ = (
        "_age_grace",
        "_answered",
        "_connection",
        "_grace",
        "_interval",
        "_latest",
        "_loop",
        "_strikes",
        "_timer",
    )

    def __init__(
        self,
        connection: Governed,
        limits: ServerLimits,
        *,
        grace: float,
        loop: Timing,
        chance: random.Random,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._interval = limits.min_ping_interval
        self._age_grace = limits.max_connection_age_grace
        self._grace = grace
        self._latest: float | None = None
        self._strikes = 0
        self._answered = False
        self._timer: asyncio.TimerHandle | None = None
        if limits.max_connection_age is not None:
            varied = chance.uniform(1 - _VARIATION, 1 + _VARIATION)
            self._timer = loop.call_later(limits.max_connection_age * varied, self._retire)

    def on_ping(self) -> None:
        """Count a ping that comes too soon, and end the connection after a few."""
        now, latest = self._loop.time(), self._latest
        self._latest = now
        if self._answered:
            self._answered = False
            self._strikes = 0
        elif latest is not None and now - latest < self._interval:
            self._strikes += 1
            if self._strikes > _STRIKES:
                self._connection.expel(_TOO_MANY)

    def on_answer(self) -> None:
        """Let the peer ping once more."""
        self._answered = True

    def close(self) -> None:
        """Forget the connection. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _retire(self) -> None:
        """Take no more calls; those in flight may end within the grace."""
        self._timer = None
        if self._age_grace is not None:
            self._timer = self._loop.call_later(self._age_grace, self._cut_off)
        self._connection.leave()

    def _cut_off(self) -> None:
        """Cancel what is left, so that its callers are told why."""
        self._timer = self._loop.call_later(self._grace, self._connection.abort)
        self._connection.cancel(Cause.AGED)
