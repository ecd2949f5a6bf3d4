"""A connection of the HTTP engine without sockets: bytes in, in pieces, and bytes out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kratos.transport.http import Endpoint, Head, HttpApplication, Reply, Socket, Wire
from kratos_http import Limits
from kratos_http.engine import Engine

__all__ = ["Application", "exchanged"]

_QUIET: Final = 6  # turns of the loop without any change, after which nothing more happens
_PATIENCE: Final = 2000  # turns after which something hangs
_INFO: Final[Mapping[str, Any]] = {"peername": ("127.0.0.1", 1)}


class Application:
    """Echoes in one of three ways, by the path.

    Attributes:
        heads: The requests that were understood.
    """

    max_body = 2000

    def __init__(self) -> None:
        self.heads: list[Head] = []

    def route(self, head: Head, /) -> Endpoint:
        self.heads.append(head)
        if head.path == b"/stream":
            return _STREAM
        return _SOCKET if head.path == b"/socket" else self

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        return Reply(200, ((b"content-type", b"text/plain"),), head.path + b"|" + body)


class _Stream:
    async def converse(self, head: Head, wire: Wire, /) -> None:
        pieces = [head.path, b"|"]
        while piece := await wire.read():
            pieces.append(piece)
        wire.start(200, ())
        await wire.write(b"".join(pieces))
        await wire.finish()


class _Socket:
    async def talk(self, head: Head, socket: Socket, /) -> None:
        await socket.accept()
        while (message := await socket.receive()) is not None:
            await socket.send(message)
        await socket.close()


_STREAM: Final = _Stream()
_SOCKET: Final = _Socket()


class _Line(asyncio.Transport):
    """Keeps what is written; closes in the loop's next turn, as real ones do."""

    def __init__(self, connection: asyncio.Protocol) -> None:
        super().__init__(_INFO)
        self.sent = bytearray()
        self.paused = False
        self.closed = False
        self.ended = False
        self.protocol = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "nothing is written after the end"
        if not self.closed:
            self.sent += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def exchanged(application: HttpApplication, pieces: Sequence[bytes]) -> bytes:
    """Feed pieces to a connection, then go away; return all that was sent back.

    Raises:
        AssertionError: Something hangs, or a task or the connection outlives its peer.
    """
    limits = Limits(max_head=8000, max_headers=20, max_message=2000)
    engine = Engine(application, limits=limits, versions=("1.1",))
    engine.start()
    try:
        connection = engine.protocol()
        line = _Line(connection)
        connection.connection_made(line)
        waiting = deque(pieces)
        while waiting and not line.closed:
            line.protocol.data_received(waiting.popleft())
            await _quiet(line)
            assert not line.paused or line.closed, "reading does not go on"
        if not line.closed:
            line.protocol.eof_received()
            line.close()
        for _ in range(_PATIENCE):
            if not engine.connections and len(asyncio.all_tasks()) == 1:
                return bytes(line.sent)
            await asyncio.sleep(0)
        raise AssertionError(f"left behind: {engine.connections}, {asyncio.all_tasks()}")
    finally:
        await engine.aclose()


async def _quiet(line: _Line) -> None:
    """Let the loop turn until nothing more comes of what was fed."""
    quiet = 0
    seen: object = None
    for _ in range(_PATIENCE):
        await asyncio.sleep(0)
        now = (len(line.sent), line.paused, line.closed, len(asyncio.all_tasks()))
        quiet = quiet + 1 if now == seen else 0
        seen = now
        if quiet == _QUIET:
            return
    raise AssertionError("the connection does not come to rest")
