"""What ``large`` streams to and from: it counts bytes, and halts where it is told to.

Prints its address as JSON when it serves.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Final

from google.protobuf.wrappers_pb2 import BytesValue, Int64Value

from kratos import App
from kratos.middleware import metadata, recovery
from kratos.transport import Arity, Method, Service
from kratos.transport.http import Reply
from kratos_grpc import Grpc
from kratos_http import HttpServer, Request

__all__ = ["GIVE", "HALTS", "PIECE", "TAKE"]

PIECE: Final = bytes(64 * 1024)
HALTS: Final = 4  # times that a reader stops on its way

GIVE: Final = Method(
    operation="/kratos.soak.Giant/Give",
    name="give",
    arity=Arity.SERVER_STREAM,
    request=Int64Value,
    reply=BytesValue,
)
TAKE: Final = Method(
    operation="/kratos.soak.Giant/Take",
    name="take",
    arity=Arity.CLIENT_STREAM,
    request=BytesValue,
    reply=Int64Value,
)


class Giant(Service):
    """Gives and takes many bytes.

    Args:
        size: Bytes of each stream that is taken: it halts ``HALTS`` times on its way.
    """

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (GIVE, TAKE)

    def __init__(self, size: int) -> None:
        self.moved = 0
        self.halted = 0
        self._marks = [size * mark // (HALTS + 1) for mark in range(1, HALTS + 1)]
        self._go = asyncio.Event()

    async def give(self, request: Int64Value, /) -> AsyncIterator[BytesValue]:
        """Send some bytes."""
        self.moved = 0
        piece = BytesValue(value=PIECE)
        for _ in range(request.value // len(PIECE)):
            yield piece
            self.moved += len(PIECE)

    async def take(self, requests: AsyncIterator[BytesValue], /) -> Int64Value:
        """Count bytes, and halt on the way."""
        self.moved = 0
        marks = list(self._marks)
        async for request in requests:
            self.moved += len(request.value)
            if marks and self.moved >= marks[0]:
                del marks[0]
                await self._halt()
        return Int64Value(value=self.moved)

    async def _halt(self) -> None:
        self.halted = 1
        self._go.clear()
        await self._go.wait()

    async def go(self, _request: Request) -> Reply:
        """Let a reader that halted go on."""
        self.halted = 0
        self._go.set()
        return Reply(200, (), b"0")


def _tell(app: App) -> None:
    address = next(url for url in app.info.endpoints if url.startswith("http://"))
    print(json.dumps({"address": address.removeprefix("http://")}), flush=True)


def build(size: int) -> App:
    """Return the application."""
    giant = Giant(size)

    async def moved(_request: Request) -> Reply:
        return Reply(200, (), str(giant.moved).encode())

    async def halted(_request: Request) -> Reply:
        return Reply(200, (), str(giant.halted).encode())

    http = HttpServer("127.0.0.1:0", protocols=[Grpc()])
    http.route("GET", "/moved")(moved)
    http.route("GET", "/halted")(halted)
    http.route("GET", "/go")(giant.go)
    return App(
        name="giant",
        services=[giant],
        middleware=[recovery(), metadata()],
        servers=[http],
        after_start=[_tell],
    )


if __name__ == "__main__":
    build(int(sys.argv[1])).serve()
