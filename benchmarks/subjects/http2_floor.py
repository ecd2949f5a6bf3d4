"""The floor of our HTTP/2: one unary call of gRPC, with nothing of a server around it.

Header blocks are ready, nothing is routed, nothing checked, and no task is made.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from struct import Struct
from typing import Any, Final, cast

import uvloop
from bench.bench_pb2 import HelloRequest

from benchmarks.subjects.greetings import greeting
from kratos_http2 import HeaderBlock, ServerConnection, Stream, encode_fields

_ENVELOPE: Final = Struct(">BL")
_HEAD: Final = encode_fields([(b":status", b"200"), (b"content-type", b"application/grpc")])
_TRAILERS: Final = encode_fields([(b"grpc-status", b"0")])


class _Floor(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._call_soon = asyncio.get_running_loop().call_soon
        self._connection = ServerConnection(self)
        self._connection.start()

    def data_received(self, data: bytes) -> None:
        self._connection.receive(data)

    def on_output(self) -> None:
        self._call_soon(self._flush)

    def _flush(self) -> None:
        self._transport.write(self._connection.take())

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        stream.owner = b""

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        stream.owner += data
        if not stream.received_end:
            return
        body: bytes = stream.owner
        self._connection.consumed(stream, len(body))
        message = greeting(HelloRequest.FromString(body[5:])).SerializeToString()
        reply = _ENVELOPE.pack(0, len(message)) + message
        self._connection.answer(stream, _HEAD, reply, _TRAILERS)

    def on_fault(self, error: Exception, /) -> None:
        self._flush()
        self._transport.close()
        raise error

    def _nothing(self, *_: Any) -> None:
        """Take no notice."""

    on_trailers = on_reset = on_stream_error = on_room = on_settings = _nothing
    on_ping = on_pong = on_goaway = _nothing


async def _serve(address: str) -> None:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Floor, host, int(port))
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1]))
