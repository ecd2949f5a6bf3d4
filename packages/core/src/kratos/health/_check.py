"""One named check: run with a time limit, one at a time, its result kept for a while."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias, cast

from kratos.clock import Clock
from kratos.errors import ConfigError
from kratos.limit import Limit, cancel_and_wait, describe, is_cancelled_from_outside
from kratos.transport.call import SERVER_CALL

__all__ = ["Check", "CheckFunction", "Kind", "Result"]

CheckFunction: TypeAlias = "Callable[[], Awaitable[bool | None] | bool | None]"


class Kind(Enum):
    """Which question a check answers."""

    LIVE = "live"
    READY = "ready"
    STARTUP = "startup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run of a check found.

    Attributes:
        name: Name of the check.
        ok: Whether it passed.
        critical: Whether its failure fails the report.
        message: Why it failed, for operators: it may tell inner names and addresses.
        at: Clock time in seconds at which the run ended.
        duration: Seconds that the run took.
    """

    name: str
    ok: bool
    critical: bool
    message: str
    at: float
    duration: float


class Check:
    """A named check; made by ``Health.add_check``.

    Attributes:
        name: Unique in its table.
        kind: Which question it answers.
        critical: Whether its failure fails the report.
        last: The newest result; ``None`` before the first.
    """

    __slots__ = (
        "_clock", "_function", "_running", "_timeout", "_ttl", "critical", "kind", "last", "name",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        function: CheckFunction,
        *,
        kind: Kind,
        critical: bool,
        timeout: float,
        ttl: float,
        clock: Clock,
    ) -> None:
        self.name = name
        self.kind = kind
        self.critical = critical
        self.last: Result | None = None
        self._function = function
        self._timeout = timeout
        self._ttl = ttl
        self._clock = clock
        self._running: asyncio.Task[Result] | None = None
        if not name:
            raise ConfigError("a health check needs a name")
        if timeout <= 0 or ttl < 0:
            raise ConfigError(
                f"health check {name!r}: timeout={timeout} must be positive "
                f"and ttl={ttl} not negative"
            )
        if kind is Kind.LIVE and inspect.iscoroutinefunction(function):
            raise ConfigError(_NOT_LIVE.format(name=name))

    async def result(self) -> Result:
        """Return the result of ``ttl`` seconds or less ago, or of a run; askers share one run.

        Cancellation: safe; the run goes on for other askers, within its time limit.
        """
        last = self.last
        if last is not None and self._clock.time() - last.at < self._ttl:
            return last
        if self._running is None or self._running.done():  # cancelled before it began
            context = copy_context()
            context.run(SERVER_CALL.set, None)  # the run belongs to all askers, not to one call
            self._running = asyncio.create_task(
                self._run(), name=f"kratos-health {self.name}", context=context
            )
        return await asyncio.shield(self._running)

    async def aclose(self) -> None:
        """End a run that is under way; idempotent."""
        if self._running is not None:
            await cancel_and_wait(self._running)

    async def _run(self) -> Result:
        started = self._clock.time()
        try:
            message = await self._failure()
        finally:
            self._running = None
        ended = self._clock.time()
        self.last = Result(
            name=self.name,
            ok=not message,
            critical=self.critical,
            message=message,
            at=ended,
            duration=ended - started,
        )
        return self.last

    async def _failure(self) -> str:
        """Return why the check fails; empty if it does not."""
        limit = Limit(self._clock, self._timeout)
        try:
            passed = self._function()
            if inspect.isawaitable(passed):
                if self.kind is Kind.LIVE:
                    _dispose(passed)
                    raise ConfigError(_NOT_LIVE.format(name=self.name))
                async with limit:
                    passed = await passed
        except TimeoutError as error:
            return f"no answer within {self._timeout:g} s" if limit.expired else describe(error)
        except asyncio.CancelledError as error:
            if is_cancelled_from_outside():
                raise
            return describe(error)
        except Exception as error:
            return describe(error)
        return "the check returned False" if passed is False else ""


_NOT_LIVE = (
    "health check {name!r}: a check of liveness must be a plain function, because what it would "
    "await is a dependency, and a dependency that is away must not restart this process; "
    "use kind=Kind.READY"
)


def _dispose(awaitable: Awaitable[object]) -> None:
    if inspect.iscoroutine(awaitable):
        cast("Coroutine[Any, Any, object]", awaitable).close()
    elif isinstance(awaitable, asyncio.Future):
        awaitable.cancel()
