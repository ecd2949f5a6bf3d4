"""Connections whose links and nodes fail at a word, around those of any transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeAlias

from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.selector import Node
from kratos.transport import Arity, Call, Connection, Connector, Messages
from kratos.transport.client_stream import WireStream
from kratos.transport.stream import iterate

__all__ = ["FaultyConnector", "Links"]

_GONE: Final = "the node is going away"

Watches: TypeAlias = "Sequence[Callable[[], None]]"
Disturb: TypeAlias = "Callable[[Call, str, Links.Carry], Awaitable[Any]]"


class Links:
    """Which nodes take no calls, and which links are silent."""

    Carry: TypeAlias = "Callable[[Watches], Awaitable[Any]]"

    def __init__(self) -> None:
        self._gone: set[str] = set()
        self._silent: set[str] = set()
        self._changed = asyncio.Event()

    def go_away(self, address: str) -> None:
        """Let a node, or all, refuse what is new."""
        self._gone.add(address)

    def half_open(self, address: str) -> None:
        """Let a link, or all, fall silent."""
        self._silent.add(address)

    def restore(self, address: str) -> None:
        """Undo both, for one node or for all."""
        for state in (self._gone, self._silent):
            if address:
                state.discard(address)
            else:
                state.clear()
        self.wake()

    def refuses(self, address: str) -> bool:
        """Whether a node refuses what is new."""
        return bool(self._gone) and (address in self._gone or "" in self._gone)

    def is_silent(self, address: str) -> bool:
        """Whether nothing can go over a link."""
        return bool(self._silent) and (address in self._silent or "" in self._silent)

    async def changed(self) -> None:
        """Return when whoever waits for a link has to look again."""
        await self._changed.wait()

    def wake(self) -> None:
        """Let all who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()


class FaultyConnector:
    """A connector whose connections can be disturbed; see ``CallFaults.connector``."""

    def __init__(self, inner: Connector, links: Links, disturb: Disturb) -> None:
        self._inner = inner
        self._links = links
        self._disturb = disturb

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints that the inner one reaches."""
        return self._inner.scheme

    def connect(self, node: Node, /) -> Connection:
        """Return the inner connection with the faults in its way."""
        return _FaultyConnection(self._inner.connect(node), self._links, self._disturb)


class _FaultyConnection:
    def __init__(self, inner: Connection, links: Links, disturb: Disturb) -> None:
        self._inner = inner
        self._links = links
        self._disturb = disturb
        self._address = inner.node.address
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def node(self) -> Node:
        return self._inner.node

    @property
    def ready(self) -> bool:
        return self._inner.ready and not self._links.refuses(self._address)

    async def warm(self) -> None:
        await self.passed()
        if self._links.refuses(self._address):
            raise ConnectionRefusedError(_GONE)
        await self._inner.warm()

    async def invoke(self, call: Call, request: Any, /) -> Any:
        if self._closed:
            raise self._unavailable("the connection is closed")
        if self._links.refuses(self._address):  # picked before it was known
            raise self._unavailable(_GONE)
        # In a task: the inner connection cannot cut off a call that it has not been given yet.
        carrying = asyncio.create_task(self._carry(call, request))
        self._in_flight.add(carrying)
        try:
            await asyncio.wait((carrying,))
        except asyncio.CancelledError:
            await cancel_and_wait(carrying)
            raise
        finally:
            self._in_flight.discard(carrying)
        if carrying.cancelled():
            raise self._unavailable("the connection was cut")
        return carrying.result()

    async def aclose(self, *, drain: float = 0.0) -> None:
        self._closed = True
        if self._in_flight and drain > 0:
            await asyncio.wait(self._in_flight, timeout=drain)
        await self._inner.aclose()
        await cancel_and_wait(*self._in_flight)

    async def passed(self) -> None:
        """Return when something can go over the link."""
        while self._links.is_silent(self._address):
            await self._links.changed()

    async def _carry(self, call: Call, request: Any) -> Any:
        return await self._disturb(
            call, self._address, lambda watches: self._send(call, request, watches)
        )

    async def _send(self, call: Call, request: Any, watches: Watches) -> Any:
        await self.passed()
        if call.opening is not None:
            call.opening = _Opening(call.opening, self._address, self._links, watches)
        if call.method.arity is Arity.CLIENT_STREAM:
            request = self._requests(request)
        try:
            reply = await self._inner.invoke(call, request)
        except Exception:  # a failure needs the link as well
            await self.passed()
            raise
        await self.passed()
        return reply

    async def _requests(self, messages: Messages[Any]) -> AsyncGenerator[Any]:
        async with aclosing(iterate(messages)) as each:
            async for message in each:
                await self.passed()
                yield message

    def _unavailable(self, why: str) -> Error:
        return Error(503, "UNAVAILABLE", f"{self._address}: {why}")


class _Attachable(Protocol):
    """Where a client's stream is handed to; see ``Call.opening``."""

    @property
    def attached(self) -> bool: ...

    async def attach(self, call: Call, stream: WireStream) -> None: ...


class _Opening:
    """Hands a stream on with the faults in its way."""

    def __init__(self, inner: _Attachable, address: str, links: Links, watches: Watches) -> None:
        self._inner = inner
        self._address = address
        self._links = links
        self._watches = watches

    @property
    def attached(self) -> bool:
        return self._inner.attached

    async def attach(self, call: Call, stream: WireStream) -> None:
        faulty = _FaultyStream(stream, self._address, self._links, self._watches)
        try:
            await self._inner.attach(call, faulty)
        finally:
            faulty.release()


class _FaultyStream:
    def __init__(self, inner: WireStream, address: str, links: Links, watches: Watches) -> None:
        self._inner = inner
        self._address = address
        self._links = links
        self._watches = watches
        self._over = False

    async def receive(self) -> Any:
        for watch in self._watches:
            watch()
        try:
            reply = await self._inner.receive()
        except Exception:  # an end, of either kind, needs the link as well
            await self._passed()
            raise
        await self._passed()
        if self._over:
            raise StopAsyncIteration  # it has come too late; the chain tells why
        return reply

    async def send(self, message: Any, /) -> None:
        await self._passed()
        await self._inner.send(message)

    async def end(self) -> None:
        await self._passed()
        await self._inner.end()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def release(self) -> None:
        """Wait for the link no longer: the call has ended, for instance by its deadline."""
        self._over = True
        self._links.wake()

    async def _passed(self) -> None:
        while not self._over and self._links.is_silent(self._address):
            await self._links.changed()
