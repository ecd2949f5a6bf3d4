"""Connections whose links and nodes fail at a word, around those of any transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeAlias

from kratos.errors import Error
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
        self._restored = asyncio.Event()

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
        self._restored.set()
        self._restored = asyncio.Event()

    def refuses(self, address: str) -> bool:
        """Whether a node refuses what is new."""
        return bool(self._gone) and (address in self._gone or "" in self._gone)

    async def passed(self, address: str) -> None:
        """Return when something can go over a link."""
        while address in self._silent or "" in self._silent:
            await self._restored.wait()


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

    @property
    def node(self) -> Node:
        return self._inner.node

    @property
    def ready(self) -> bool:
        return self._inner.ready and not self._links.refuses(self._address)

    async def warm(self) -> None:
        await self._links.passed(self._address)
        if self._links.refuses(self._address):
            raise ConnectionRefusedError(_GONE)
        await self._inner.warm()

    async def invoke(self, call: Call, request: Any, /) -> Any:
        if self._links.refuses(self._address):  # picked before it was known
            raise Error(503, "UNAVAILABLE", f"{self._address}: {_GONE}")

        async def carry(watches: Watches) -> Any:
            await self._links.passed(self._address)
            if call.opening is not None:
                call.opening = _Opening(call.opening, self, watches)
            try:
                reply = await self._inner.invoke(call, self._gated(call, request))
            except Exception:
                await self._links.passed(self._address)
                raise
            await self._links.passed(self._address)
            return reply

        return await self._disturb(call, self._address, carry)

    async def aclose(self, *, drain: float = 0.0) -> None:
        await self._inner.aclose(drain=drain)

    async def passed(self) -> None:
        """Return when something can go over the link (for its streams)."""
        await self._links.passed(self._address)

    def _gated(self, call: Call, request: Any) -> Any:
        """Return the requests of a stream of them as they pass the link."""
        return self._requests(request) if call.method.arity is Arity.CLIENT_STREAM else request

    async def _requests(self, messages: Messages[Any]) -> AsyncGenerator[Any]:
        async with aclosing(iterate(messages)) as each:
            async for message in each:
                await self.passed()
                yield message


class _Attachable(Protocol):
    """Where a client's stream is handed to; see ``Call.opening``."""

    @property
    def attached(self) -> bool: ...

    async def attach(self, call: Call, stream: WireStream) -> None: ...


class _Opening:
    """Hands a stream on with the faults in its way."""

    def __init__(self, inner: _Attachable, link: _FaultyConnection, watches: Watches) -> None:
        self._inner = inner
        self._link = link
        self._watches = watches

    @property
    def attached(self) -> bool:
        return self._inner.attached

    async def attach(self, call: Call, stream: WireStream) -> None:
        await self._inner.attach(call, _FaultyStream(stream, self._link, self._watches))


class _FaultyStream:
    def __init__(self, inner: WireStream, link: _FaultyConnection, watches: Watches) -> None:
        self._inner = inner
        self._link = link
        self._watches = watches

    async def receive(self) -> Any:
        for watch in self._watches:
            watch()
        try:
            reply = await self._inner.receive()
        except Exception:  # an end, of either kind, needs the link as well
            await self._link.passed()
            raise
        await self._link.passed()
        return reply

    async def send(self, message: Any, /) -> None:
        await self._link.passed()
        await self._inner.send(message)

    async def end(self) -> None:
        await self._link.passed()
        await self._inner.end()

    async def aclose(self) -> None:
        await self._inner.aclose()
