"""The back end behind all gateways: ``gateway_backend HOST:PORT``, a ready answer at once."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, cast

import uvloop

_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 26\r\n\r\n"
    b'{"message":"Hello kratos"}'
)


class _Ready(asyncio.Protocol):
    """Answers each request of those that have no body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._before = b""

    def data_received(self, data: bytes) -> None:
        heads = (self._before + data).split(b"\r\n\r\n")
        self._before = heads[-1]
        self._transport.write(_ANSWER * (len(heads) - 1))


async def _serve(address: str) -> None:
    host, _, port = address.rpartition(":")
    server = await asyncio.get_running_loop().create_server(_Ready, host, int(port))
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1]))
