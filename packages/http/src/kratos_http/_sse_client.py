"""A client's event stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from kratos.errors import Error
from kratos.limit import cancel_and_wait, is_cancelled_from_outside
from kratos.transport import Call
from kratos_http._events import EventParser, EventTooLarge
from kratos_http._exchange import Lost
from kratos_http._http2_requests import StreamedRequest
from kratos_http._plan import Plan
from kratos_http._trouble import frozen, too_large, unavailable
from kratos_http.reconnect import Reconnect

__all__ = ["Resumption", "SseStream"]

_TRANSIENT: Final = frozenset((429, 502, 503))


class Resumption:
    """Connections that go on where the one before them was lost.

    Args:
        policy: When.
        reopen: Opens one for the events that follow an id.
        dismiss: Lets one go.
    """

    __slots__ = ("_policy", "_reopen", "dismiss", "failures")

    def __init__(
        self,
        policy: Reconnect,
        reopen: Callable[[str], Awaitable[StreamedRequest]],
        dismiss: Callable[[StreamedRequest], None],
    ) -> None:
        self._policy = policy
        self._reopen = reopen
        self.dismiss = dismiss
        self.failures = 0

    def applies(self, error: Error, parser: EventParser) -> bool:
        """Tell whether the events after an error can be asked for."""
        # An id of other characters would be no header.
        return error.code in _TRANSIENT and parser.last_id != "" and parser.last_id.isprintable()

    async def connection(self, parser: EventParser, failure: Error) -> StreamedRequest:
        """Return the next connection.

        Args:
            parser: Of the one before.
            failure: What ended that one.

        Raises:
            Error: The failure that the last attempt had, or an answer that is final.
        """
        while self.failures < self._policy.attempts:
            await self._policy.clock.sleep(self._policy.delay(self.failures, parser.retry))
            self.failures += 1
            try:
                return await self._reopen(parser.last_id)
            except Error as error:
                if error.code not in _TRANSIENT:
                    raise
                failure = error
        raise failure


class SseStream:
    """A ``WireStream`` over the events of one answer, or of several that go on one after another.

    Args:
        call: The call; gets the trailers.
        plan: How its method is called.
        connection: Where the answer's body comes.
        max_event: Bytes of the largest event.
        resumption: Where further answers come from; ``None`` for nowhere.

    Attributes:
        connection: Where the present answer's body comes.
    """

    __slots__ = (
        "_call", "_closed", "_events", "_max_event", "_parser", "_plan", "_resuming", "_resumption",
        "connection",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        plan: Plan,
        connection: StreamedRequest,
        *,
        max_event: int,
        resumption: Resumption | None = None,
    ) -> None:
        self.connection = connection
        self._call = call
        self._plan = plan
        self._max_event = max_event
        self._parser = EventParser(max_event)
        self._events: deque[tuple[str, bytes]] = deque()
        self._resumption = resumption
        self._resuming: asyncio.Task[None] | None = None
        self._closed = False

    async def receive(self) -> Any:
        """Return the next reply; see ``WireStream``."""
        while True:
            while self._events:
                kind, data = self._events.popleft()
                if kind == "message":
                    if self._resumption is not None:
                        self._resumption.failures = 0
                    return self._plan.message(self._plan.event_kind, data)
                if kind == "error":
                    await self._resume(self._plan.streamed_error(self._plan.event_kind, data))
            try:
                piece = await self.connection.read()
                if not piece:
                    self._call.trailers = frozen(self.connection.trailers)
                    raise StopAsyncIteration
                self._events.extend(self._parser.feed(piece))
            except EventTooLarge as error:
                raise too_large(self._call, error) from error
            except Lost as error:
                await self._resume(unavailable(self._call, error).with_cause(error))

    async def send(self, message: Any, /) -> None:
        """Refuse: the one request was sent with the head."""
        raise RuntimeError(f"{self._call.method.operation} takes one request")

    async def end(self) -> None:
        """Do nothing: the request has ended."""

    async def aclose(self) -> None:
        """Cut the stream off, unless it has ended; see ``WireStream``."""
        self._closed = True
        self.connection.close()
        if self._resuming is not None:
            await cancel_and_wait(self._resuming)

    async def _resume(self, failure: Error) -> None:
        """Go on with another answer, or raise the failure if that cannot be."""
        resumption = self._resumption
        if resumption is None or self._closed or not resumption.applies(failure, self._parser):
            raise failure
        resumption.dismiss(self.connection)
        # In a task of its own, so that the end of the call ends it, whoever waits for it.
        self._resuming = asyncio.get_running_loop().create_task(self._go_on(resumption, failure))
        try:
            await self._resuming
        except asyncio.CancelledError:
            if is_cancelled_from_outside():
                raise
            raise failure from None  # the call has ended
        finally:
            self._resuming = None

    async def _go_on(self, resumption: Resumption, failure: Error) -> None:
        """Take the next connection; kept here, as whoever waits may give up as it comes."""
        connection = await resumption.connection(self._parser, failure)
        if self._closed:
            resumption.dismiss(connection)
            raise failure
        self.connection = connection
        self._parser = self._parser.next()
        self._events.clear()
