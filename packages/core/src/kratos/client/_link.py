"""One node's connection, brought back whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from math import inf
from typing import Final

from aegis.backoff import Backoff
from kratos.clock import Clock
from kratos.errors import Error
from kratos.limit import Limit, cancel_and_wait, describe, is_cancelled_from_outside, one_line
from kratos.selector import Outcome, OutcomeKind
from kratos.transport import Connection

__all__ = ["Link", "reason_of"]

# Nodes come back within seconds; a client has few of them, so its attempts are no burden.
_BACKOFF: Final = Backoff(base=0.5, cap=5.0)

_log = logging.getLogger("kratos.client")


class Link:
    """A connection, what is done to make it ready, and what became of its calls.

    Args:
        connection: What leads to the node.
        target: What the client was pointed at, for logs.
        clock: Time for back-off.
        progress: Told when the connection became ready, and when an attempt failed.

    Attributes:
        failure: Why the newest attempt to connect failed; ``None`` unless one did.
        tried_at: When the newest attempt that has failed began, by the clock.
        in_flight: Calls under way.
        calls: Calls that have ended.
        failures: How many of them the node failed.
    """

    __slots__ = (
        "_clock",
        "_hurry",
        "_progress",
        "_target",
        "_warming",
        "calls",
        "connection",
        "failure",
        "failures",
        "in_flight",
        "tried_at",
    )

    def __init__(
        self,
        connection: Connection,
        *,
        target: str,
        clock: Clock,
        progress: Callable[[Link], None],
    ) -> None:
        self.connection = connection
        self.failure: BaseException | None = None
        self.tried_at = -inf
        self.in_flight = 0
        self.calls = 0
        self.failures = 0
        self._target = target
        self._clock = clock
        self._progress = progress
        self._hurry = asyncio.Event()
        self._warming: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Address of the node."""
        return self.connection.node.address

    def begin(self) -> None:
        """Count a call in."""
        self.in_flight += 1

    def end(self, outcome: Outcome) -> None:
        """Count a call out."""
        self.in_flight -= 1
        self.calls += 1
        if outcome.kind is OutcomeKind.FAILURE:
            self.failures += 1

    def warm(self) -> None:
        """Work on the connection until it is ready; does nothing while that is under way."""
        if self._warming is None or self._warming.done():  # as it began, in an eager task
            # A context of its own: it is no part of the call that happened to need it.
            self._warming = asyncio.create_task(
                self._warm(),
                name=f"kratos connect {self._target} {self.address}",
                context=Context(),
            )

    def hurry(self) -> None:
        """Try to connect now, if a failed attempt is being waited out."""
        self._hurry.set()

    async def aclose(self, *, drain: float) -> None:
        """Stop working on the connection and close it; see ``Connection.aclose``."""
        if self._warming is not None and not self._warming.done():
            await cancel_and_wait(self._warming)
        await self.connection.aclose(drain=drain)

    async def _warm(self) -> None:
        attempt = 0
        while not await self._attempt():
            self._progress(self)
            await self._pause(_BACKOFF.delay(attempt, random.random))
            attempt += 1
        self._warming = None
        self._progress(self)

    async def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        with suppress(TimeoutError):
            async with Limit(self._clock, seconds):
                await self._hurry.wait()

    async def _attempt(self) -> bool:
        """Try once to become ready, and say whether that worked."""
        began = self._clock.time()
        try:
            await self.connection.warm()
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled_from_outside():
                raise
            self._note(error, began)
            return False
        if not self.connection.ready:
            self._note(ConnectionError("the connection was lost as soon as it stood"), began)
            return False
        if self.failure is not None:
            _log.info("%s: connected to %s", self._target, self.address)
            self.failure = None
        return True

    def _note(self, failure: BaseException, began: float) -> None:
        if self.failure is None:  # one line per outage, not one per attempt
            _log.warning(
                "%s: cannot connect to %s (%s), trying again",
                self._target,
                self.address,
                reason_of(failure),
            )
        self.failure = failure
        self.tried_at = began


def reason_of(failure: BaseException) -> str:
    """Return why there is no connection, for people: of an ``Error`` what it says, not its form."""
    if isinstance(failure, Error) and failure.message:
        return one_line(failure.message)
    return describe(failure)
