"""A client's event stream."""

from __future__ import annotations

from collections import deque
from typing import Any

from kratos.transport import Call
from kratos_http._events import EventParser, EventTooLarge
from kratos_http._exchange import Lost
from kratos_http._plan import Plan
from kratos_http._streaming import StreamConnection
from kratos_http._trouble import frozen, too_large, unavailable

__all__ = ["SseStream"]


class SseStream:
    """A ``WireStream`` over the events of one answer.

    Args:
        call: The call; gets the trailers.
        plan: How its method is called.
        connection: Where the answer's body comes.
        max_event: Bytes of the largest event.
    """

    __slots__ = ("_call", "_connection", "_events", "_parser", "_plan")

    def __init__(
        self, call: Call, plan: Plan, connection: StreamConnection, *, max_event: int
    ) -> None:
        self._call = call
        self._plan = plan
        self._connection = connection
        self._parser = EventParser(max_event)
        self._events: deque[tuple[str, bytes]] = deque()

    async def receive(self) -> Any:
        """Return the next reply; see ``WireStream``."""
        while True:
            while self._events:
                kind, data = self._events.popleft()
                if kind == "message":
                    return self._plan.message(self._plan.kind, data)
                if kind == "error":
                    raise self._plan.streamed_error(self._plan.kind, data)
            try:
                piece = await self._connection.read()
                if not piece:
                    self._call.trailers = frozen(self._connection.trailers)
                    raise StopAsyncIteration
                self._events.extend(self._parser.feed(piece))
            except EventTooLarge as error:
                raise too_large(self._call, error) from error
            except Lost as error:
                raise unavailable(self._call, error) from error

    async def send(self, message: Any, /) -> None:
        """Refuse: the one request was sent with the head."""
        raise RuntimeError(f"{self._call.method.operation} takes one request")

    async def end(self) -> None:
        """Do nothing: the request has ended."""

    async def aclose(self) -> None:
        """Cut the stream off, unless it has ended; see ``WireStream``."""
        self._connection.close()
