"""A client's side of a transport without sockets, whose nodes go and come at a word."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kratos.errors import Error
from kratos.selector import Node
from kratos.transport import Call, Service
from kratos.transport.local import LocalTransport

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware

__all__ = ["FakeConnection", "FakeConnector"]

_REFUSED: Final = "connection refused"
_LEAVING: Final = "the server is going away"


class FakeConnector:
    """Reaches services in this process by made-up addresses.

    An address refuses connections until ``serve`` puts services behind it. ``silence`` makes
    one that neither answers nor refuses, like a host behind a dropped route; ``leave`` one that
    finishes what it has.

    Args:
        scheme: Endpoint scheme that it stands for.
        lazy: Whether connections count as ready before their first use, as those of HTTP
            do; else they are ready once they stand, as those of gRPC.

    Attributes:
        connections: Every connection made, in order.
    """

    def __init__(self, *, scheme: str = "http", lazy: bool = False) -> None:
        self._scheme = scheme
        self._lazy = lazy
        self._served: dict[str, LocalTransport] = {}
        self._silent: set[str] = set()
        self._leaving: set[str] = set()
        self._changed: set[asyncio.Event] = set()
        self.connections: list[FakeConnection] = []

    @property
    def scheme(self) -> str:
        """Endpoint scheme."""
        return self._scheme

    def connect(self, node: Node, /) -> FakeConnection:
        """Make the connection of a node; see ``Connector``."""
        connection = FakeConnection(self, node, ready=self._lazy)
        self.connections.append(connection)
        return connection

    def serve(
        self, address: str, *services: Service, middleware: Sequence[AnyMiddleware] = ()
    ) -> None:
        """Put services behind an address, and let connections stand."""
        self.put(address, LocalTransport(*services, middleware=middleware, timeout=None))

    def put(self, address: str, transport: LocalTransport) -> None:
        """Put an in-process transport behind an address; see ``serve``."""
        self._silent.discard(address)
        self._leaving.discard(address)
        self._served[address] = transport
        self._tell()

    def leave(self, address: str) -> None:
        """Stand for no new connection, as after a GOAWAY; calls on their way are still served."""
        self._leaving.add(address)
        self._tell()

    def takes_calls(self, address: str) -> bool:
        """Whether an address does not leave (for connections)."""
        return address not in self._leaving

    def stop(self, address: str) -> None:
        """Refuse connections to an address, and break those that stand."""
        self._served.pop(address, None)
        self._silent.discard(address)
        self._break(address)

    def silence(self, address: str) -> None:
        """Leave connections to an address without an answer, and break those that stand."""
        self._served.pop(address, None)
        self._silent.add(address)
        self._break(address)

    def connection(self, address: str) -> FakeConnection:
        """Return the newest connection to an address.

        Raises:
            LookupError: There was none.
        """
        for connection in reversed(self.connections):
            if connection.node.address == address:
                return connection
        raise LookupError(f"no connection to {address} was made")

    async def ended(self, address: str, *, timeout: float) -> None:
        """Return when no call to an address is under way, or after so many seconds."""
        calls = [call for each in self._connections_to(address) for call in each.calls_under_way]
        if calls:
            await asyncio.wait(calls, timeout=timeout)

    async def reach(self, address: str) -> LocalTransport:
        """Return what is served at an address (for connections).

        Raises:
            ConnectionRefusedError: Nothing is.
        """
        while address in self._silent:
            changed = asyncio.Event()
            self._changed.add(changed)
            try:
                await changed.wait()
            finally:
                self._changed.discard(changed)
        served = self._served.get(address)
        if served is None:
            raise ConnectionRefusedError(_REFUSED)
        return served

    def _break(self, address: str) -> None:
        for connection in self._connections_to(address):
            connection.lose()
        self._tell()

    def _connections_to(self, address: str) -> list[FakeConnection]:
        return [each for each in self.connections if each.node.address == address]

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()


class FakeConnection:
    """The connection to one made-up address.

    Attributes:
        attempts: How often it was told to get ready.
        calls: How many calls it was given.
        drains: The argument of each ``aclose``.
    """

    def __init__(self, connector: FakeConnector, node: Node, *, ready: bool) -> None:
        self._connector = connector
        self._node = node
        self._ready = ready
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.attempts = 0
        self.calls = 0
        self.drains: list[float] = []

    @property
    def node(self) -> Node:
        """Where it leads to."""
        return self._node

    @property
    def ready(self) -> bool:
        """Whether calls may be sent now."""
        takes_calls = self._connector.takes_calls(self._node.address)
        return self._ready and not self._closed and takes_calls

    @property
    def closed(self) -> bool:
        """Whether it was told to close."""
        return self._closed

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return len(self._in_flight)

    @property
    def calls_under_way(self) -> tuple[asyncio.Task[Any], ...]:
        """The tasks that carry them (for connectors)."""
        return tuple(self._in_flight)

    def lose(self) -> None:
        """Break it: calls under way fail, and it is no longer ready."""
        self._ready = False
        self._cut()

    async def warm(self) -> None:
        """Try to become ready; see ``Connection``."""
        self.attempts += 1
        await self._connector.reach(self._node.address)
        if not self._connector.takes_calls(self._node.address):
            raise ConnectionRefusedError(_LEAVING)
        self._ready = True

    async def invoke(self, call: Call, request: Any, /) -> Any:
        """Carry one call; see ``Connection``."""
        self.calls += 1
        if self._closed:
            raise Error(503, "UNAVAILABLE", "the connection is closed")
        carrying = asyncio.create_task(self._carry(call, request))
        self._in_flight.add(carrying)
        try:
            await asyncio.wait((carrying,))
        except asyncio.CancelledError:
            carrying.cancel()
            await asyncio.wait((carrying,))
            raise
        finally:
            self._in_flight.discard(carrying)
        if carrying.cancelled():
            raise Error(503, "UNAVAILABLE", "the connection was cut")
        return carrying.result()

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls and let those in flight end; see ``Connection``."""
        self._closed = True
        self.drains.append(drain)
        if self._in_flight and drain > 0:
            await asyncio.wait(self._in_flight, timeout=drain)
        self._cut()
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    def _cut(self) -> None:
        for carrying in self._in_flight:
            carrying.cancel()

    async def _carry(self, call: Call, request: Any) -> Any:
        try:
            served = await self._connector.reach(self._node.address)
        except OSError as error:
            self._ready = False
            raise Error(503, "UNAVAILABLE", _REFUSED) from error
        self._ready = True
        try:
            return await served.invoke(call, request)
        finally:
            call.peer = self._node.address
