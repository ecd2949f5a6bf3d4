"""A server without a socket, for applications of a topology."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from kratos.testing.connector import FakeConnector
from kratos.transport import Cause
from kratos.transport.local import LocalTransport
from kratos.transport.server import Mount

__all__ = ["LocalServer"]

_NOTICE: Final = 0.01  # seconds in which calls that are on their way arrive
_FLUSH: Final = 1.0  # seconds for clients to take their answers


class LocalServer:
    """Serves the services of one application at a made-up address.

    It stops as servers with sockets do: it refuses what is new, waits for what is in flight, and
    cuts that off when its time is over.

    Args:
        network: By which clients reach it.
        address: Where.
        timeout: Seconds that it gives a unary call; ``None`` for no limit.
    """

    def __init__(self, network: FakeConnector, address: str, *, timeout: float | None) -> None:
        self._network = network
        self._address = address
        self._timeout = timeout
        self._transport = LocalTransport()
        self._serving = asyncio.Event()
        self._over = asyncio.Event()

    def __str__(self) -> str:
        return f"local server {self._address}"

    @property
    def in_flight(self) -> int:
        """How many calls it is serving."""
        return len(self._transport.dispatcher.calls)

    def mount(self, mount: Mount, /) -> None:
        """Link the chains."""
        self._transport = LocalTransport(
            *mount.services,
            middleware=mount.middleware,
            timeout=self._timeout,
            missing=mount.missing,
        )

    async def bind(self) -> Sequence[str]:
        """Return the address; nothing has to be reserved."""
        return [f"{self._network.scheme}://{self._address}"]

    async def start(self) -> None:
        """Serve until ``stop``."""
        self._network.put(self._address, self._transport)
        self._serving.set()
        await self._over.wait()

    async def ready(self) -> None:
        """Return when it serves."""
        await self._serving.wait()

    async def stop(self) -> None:
        """Finish what is in flight.

        Cancellation: cuts it off with 503 ``DRAINING``.
        """
        self._network.leave(self._address)
        dispatcher = self._transport.dispatcher
        try:
            await asyncio.sleep(_NOTICE)
            await dispatcher.drain()
        except asyncio.CancelledError:
            await dispatcher.drain(0.0)
            raise
        finally:
            # What was answered arrives before the connection ends, as it does on a wire.
            await self._network.ended(self._address, timeout=_FLUSH)
            self._network.stop(self._address)
            self._over.set()

    def crash(self) -> None:
        """Break all connections, and cut calls in flight off, as the end of a process does."""
        self._network.stop(self._address)
        self._transport.dispatcher.cancel(Cause.PEER_GONE)
