"""The streams of a call, as handlers and callers see them."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from kratos.transport.call import Call
from kratos.transport.header import Header

__all__ = [
    "Duplex",
    "Duplexed",
    "EnoughSent",
    "Incoming",
    "Messages",
    "Opening",
    "Requests",
    "Send",
    "duplex",
    "iterate",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)

Messages: TypeAlias = "AsyncIterable[T] | Iterable[T]"
Opening: TypeAlias = AbstractAsyncContextManager[T]
Send: TypeAlias = Callable[[T], Awaitable[None]]


class EnoughSent(Exception):
    """Raised by a transport out of ``Call.send``: the peer has all that it asked for.

    A handler that streams replies then ends, its generator is closed, and the call has ended well.
    """


class Incoming(Protocol[T_co]):
    """Replies of a call, read with ``async for``."""

    @property
    def headers(self) -> Header:
        """Headers of the reply."""
        ...

    @property
    def trailers(self) -> Header:
        """Trailers of the reply, valid once the iteration has ended."""
        ...

    def __aiter__(self) -> AsyncIterator[T_co]: ...

    async def __anext__(self) -> T_co: ...


class Duplexed(Incoming[T_co], Protocol[T_contra, T_co]):
    """Both directions of a call."""

    async def send(self, message: T_contra, /) -> None:
        """Send one message; returns when the transport has room."""
        ...

    async def end(self) -> None:
        """Say that no further message follows; the replies go on."""
        ...


class Duplex(Generic[T]):
    """A handler's answer that sends from a plain coroutine instead of yielding."""

    __slots__ = ("_body", "_requests")

    def __init__(
        self,
        requests: AsyncIterator[Any],
        body: Callable[[AsyncIterator[Any], Send[T]], Awaitable[None]],
    ) -> None:
        self._requests = requests
        self._body = body

    async def run(self, send: Send[T]) -> None:
        """Run the body in the call's task."""
        await self._body(self._requests, send)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        raise TypeError("a duplex body is run by the server, not iterated")


def duplex(
    requests: AsyncIterator[Any], body: Callable[[AsyncIterator[Any], Send[T]], Awaitable[None]]
) -> AsyncIterator[T]:
    """Answer a bidirectional call with ``async def body(requests, send)``.

    For handlers that need ``asyncio.timeout`` or ``TaskGroup`` around their sends: a ``yield``
    inside those is broken (PEP 789), a call of ``send`` is not. An ``Error`` out of a ``TaskGroup``
    reaches the caller as if it were raised alone, and so does the first of several; a group with
    other exceptions is 500 UNKNOWN, and in the log as a whole.
    """
    return Duplex(requests, body)


class Requests(AsyncIterator[Any]):
    """The requests of a stream as the chain and the handler see them.

    Runs the hooks, counts, keeps a second consumer out, and turns an end that is none (the
    transport was stopped, not the peer) into the error of its cause.
    """

    __slots__ = ("_busy", "_call", "_source")

    def __init__(self, call: Call, source: AsyncIterator[Any]) -> None:
        self._call = call
        self._source = source
        self._busy = False

    def __aiter__(self) -> Requests:
        return self

    async def __anext__(self) -> Any:
        if self._busy:
            raise RuntimeError("the requests of a call have one consumer; a second one came")
        self._busy = True
        try:
            message = await self._source.__anext__()
        except StopAsyncIteration:
            if self._call.cause is not None:
                raise self._call.cause.error() from None
            raise
        else:
            return await self._call.incoming(message)
        finally:
            self._busy = False


async def iterate(messages: Messages[T]) -> AsyncGenerator[T]:
    """Iterate over messages of either kind of iterable; closing it closes a generator in it."""
    if not isinstance(messages, AsyncIterable):
        for message in messages:
            yield message
        return
    try:
        async for message in messages:
            yield message
    finally:
        aclose = getattr(messages, "aclose", None)
        if aclose is not None:
            await aclose()
