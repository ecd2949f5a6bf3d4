"""A TCP proxy that can be told to fail, to put between a program and a real server."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType
from typing import Final, Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.limit import cancel_and_wait
from kratos.testing._line import Line

__all__ = ["FaultProxy"]

_CHUNK: Final = 65536  # bytes
_NO_LINGER: Final = struct.pack("ii", 1, 0)  # closing sends a reset instead of a clean end


class FaultProxy(Line):
    """Forwards TCP connections to a server, and disturbs them on demand.

    An async context manager. ``cut``, ``reset``, ``stall``, ``delay`` and ``restore`` make it a
    ``kratos.testing.faults.Faults``. Stalled, it accepts and keeps: neither side hears anything.

    Args:
        host: Host of the server.
        port: Port of the server.
        clock: Time for ``delay``.
    """

    def __init__(self, host: str, port: int, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock)
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[object], list[asyncio.StreamWriter]] = {}
        self.port = 0

    @property
    def address(self) -> str:
        """``host:port`` to connect to."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def cut(self) -> None:
        """Break all connections, and each new one at once, until ``restore``."""
        self._is_cut = True
        self.reset()

    def reset(self) -> None:
        """Break all connections with a TCP reset; new ones work."""
        for writers in self._links.values():
            for writer in writers:
                _break(writer)

    async def start(self) -> None:
        """Listen on a free port of the loopback address."""
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening and break all connections; idempotent."""
        if self._server is not None:
            self._server.close()
            self.cut()
            await cancel_and_wait(*self._links)
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _refuses(self) -> bool:
        return self._is_cut

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._refuses() or task is None:
            _break(writer)
            return
        writers = self._links[task] = [writer]
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection(*self._upstream)
            writers.append(far_writer)
            if self._refuses():
                return
            await self._forward((reader, far_writer), (far_reader, writer))
        except (OSError, asyncio.CancelledError):
            # Either side is gone, or the proxy is closing. The stream server of Python 3.11
            # reports a cancelled task as an error, so this one ends in the ordinary way.
            return
        finally:
            del self._links[task]
            for one in writers:
                _break(one)

    async def _forward(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        pumps = [asyncio.create_task(self._pump(*way)) for way in ways]
        try:
            await asyncio.wait(pumps)
        finally:
            await cancel_and_wait(*pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if self._delay:
                    await self._clock.sleep(self._delay)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
            await self._open.wait()
            writer.write_eof()
        except OSError:
            _break(writer)


def _break(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and not writer.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
