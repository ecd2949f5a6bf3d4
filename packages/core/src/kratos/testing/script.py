"""What a method of a generated mock answers, and what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Generic, TypeVar

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.transport import Method

__all__ = ["Script"]

ReqT = TypeVar("ReqT", bound=Message)
RepT = TypeVar("RepT", bound=Message)


class Script(Generic[ReqT, RepT]):
    """Answers one method of a mock.

    Attributes:
        requests: Every request message that came, in order; of streams, too.
        calls: How many calls came.

    Args:
        method: The method.
    """

    def __init__(self, method: Method[ReqT, RepT]) -> None:
        self._method = method
        self._replies: Sequence[RepT] = ()
        self._error: BaseException | None = None
        self._answered = 0
        self.requests: list[ReqT] = []
        self.calls = 0

    def returns(self, *replies: RepT) -> None:
        """Answer with these, from now on.

        A method with one reply gives the first to the next call, the second to the one after it,
        and the last to all that follow. One with a stream of replies gives all to every call.
        """
        self._replies = replies
        self._error = None
        self._answered = 0

    def raises(self, error: BaseException) -> None:
        """Raise this once the replies have been given: at once if there are none."""
        self._error = error

    async def unary(self, request: ReqT) -> RepT:
        """Answer one request.

        Raises:
            Error: 501 UNSCRIPTED, if nothing was said about the method; else what ``raises`` said.
        """
        self.calls += 1
        self.requests.append(request)
        return self._next()

    async def client_stream(self, requests: AsyncIterator[ReqT]) -> RepT:
        """Answer all requests together; raises what ``unary`` raises."""
        self.calls += 1
        async for request in requests:
            self.requests.append(request)
        return self._next()

    async def server_stream(self, request: ReqT) -> AsyncIterator[RepT]:
        """Answer one request with all replies; raises what ``unary`` raises."""
        self.calls += 1
        self.requests.append(request)
        for reply in self._all():
            yield reply
        self._end()

    async def bidi_stream(self, requests: AsyncIterator[ReqT]) -> AsyncIterator[RepT]:
        """Answer when the requests have ended, with all replies; raises what ``unary`` raises."""
        self.calls += 1
        async for request in requests:
            self.requests.append(request)
        for reply in self._all():
            yield reply
        self._end()

    def _next(self) -> RepT:
        replies = self._all()
        index = self._answered
        self._answered += 1
        if index >= len(replies):
            self._end()
        return replies[min(index, len(replies) - 1)]

    def _all(self) -> Sequence[RepT]:
        if not self._replies and self._error is None:
            raise Error(
                501,
                "UNSCRIPTED",
                f"nothing was said about {self._method.operation}; "
                f"call on_{self._method.name.rstrip('_')}.returns(...) or .raises(...) first",
            )
        return self._replies

    def _end(self) -> None:
        if self._error is not None:
            raise self._error
