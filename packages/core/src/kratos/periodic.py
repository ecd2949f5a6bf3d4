"""A job that runs again and again, next to servers and with their life."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.limit import Limit, is_cancelled_from_outside

__all__ = ["Periodic"]

_log = logging.getLogger("kratos.periodic")


class Periodic:
    """Runs a job every ``interval`` seconds; give it to ``App(servers=...)``.

    Runs never overlap: the next one is due ``interval`` seconds after the begin of the last, or
    at its end if that is later; what was missed is not made up for. A run that fails is logged,
    and the next one comes in its time. When the application stops, a run under way may finish
    within the application's ``stop_timeout``.

    Args:
        job: What to run.
        interval: Seconds between the begins of two runs; positive.
        name: Name in logs; by default that of the function.
        delay: Seconds before the first run.
        timeout: Seconds after which a run is cancelled and counts as failed; ``None`` for no
            limit.
        clock: Time for all waits.

    Raises:
        ConfigError: A time is wrong, or the job is no function, but what it returned for instance.
    """

    def __init__(
        self,
        job: Callable[[], Awaitable[object]],
        /,
        *,
        interval: float,
        name: str = "",
        delay: float = 0.0,
        timeout: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        given = cast("object", job)
        if not callable(given):
            if asyncio.iscoroutine(given):
                given.close()  # or it would be said to have never been awaited
            raise ConfigError(f"a job is an async function, such as refresh, not {given!r}")
        if interval <= 0 or delay < 0 or (timeout is not None and timeout <= 0):
            raise ConfigError(
                f"interval={interval} and timeout={timeout} must be positive, "
                f"delay={delay} must not be negative"
            )
        self._job = job
        self._interval = interval
        self._name = name or getattr(job, "__qualname__", type(job).__name__)
        self._delay = delay
        self._timeout = timeout
        self._clock = clock
        self._stopping = asyncio.Event()

    def __str__(self) -> str:
        return f"job {self._name}"

    async def start(self) -> None:
        """Run the job until ``stop``.

        Cancellation: cancels a run under way.
        """
        due = self._clock.time() + self._delay
        while not await self._stops_before(due):
            begin = self._clock.time()
            await self._run()
            due = max(begin + self._interval, self._clock.time())

    async def stop(self) -> None:
        """Begin no further run; ``start`` returns when the present one has ended. Idempotent."""
        self._stopping.set()

    async def _stops_before(self, due: float) -> bool:
        limit = Limit(self._clock, due - self._clock.time())
        try:
            async with limit:
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        limit = Limit(self._clock, self._timeout)
        try:
            async with limit:
                await self._job()
        except TimeoutError as error:
            if limit.expired:
                _log.error("%s took longer than %s s and was cancelled", self, self._timeout)
            else:
                _log.error("%s failed", self, exc_info=error)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled_from_outside():
                raise
            _log.error("%s failed", self, exc_info=error)
