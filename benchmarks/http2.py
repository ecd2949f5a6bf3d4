"""What a request over HTTP/2 takes within the server: no socket, no kernel, no other process.

Batches of requests are fed to a connection of the server whose transport drops what is written. A
batch takes less than a millisecond, which is often undisturbed even on a busy machine: the figure
of a round is that of the fiftieth part that was quickest.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import uvloop
from hpack import Encoder

from benchmarks.measure import Result
from kratos.transport import Mount
from kratos_grpc import Grpc, GrpcWeb
from kratos_grpc.connect import Connect
from kratos_http import HttpServer
from kratos_http.engine import Engine
from kratos_http2 import HeaderBlock, ServerConnection, Stream, encode_fields
from kratos_http2.frames import PREFACE, FrameFlag, FrameType, frame, settings, window_update

__all__ = ["against"]

_BENCH: Final = "http2"
_UNIT: Final = "us_per_request"
_REQUESTS: Final = 6400  # of one round
_BATCHES: Final = (32, 1)
_QUICKEST: Final = 50  # a batch of so many

Fields: TypeAlias = list[tuple[str, str]]
Feed: TypeAlias = Callable[[bytes], None]
Close: TypeAlias = Callable[[], Awaitable[None]]

_PLACE: Final[Fields] = [(":scheme", "http"), (":authority", "127.0.0.1:8000")]
_RPC: Final[Fields] = [(":method", "POST"), *_PLACE, (":path", "/bench.Bench/Hello")]
_GRPC: Final[Fields] = [
    *_RPC,
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.81.0"),
    ("te", "trailers"),
]
_MESSAGE: Final = b"\0\0\0\0\x08\x0a\x06kratos"
_JSON: Final = b'{"name":"kratos"}'

_CASES: Final[dict[str, tuple[Fields, bytes]]] = {
    "unary": (_GRPC, _MESSAGE),
    "unary-deadline": (_GRPC, _MESSAGE),
    "connect-json": (
        [
            *_RPC,
            ("content-type", "application/json"),
            ("connect-protocol-version", "1"),
            ("content-length", str(len(_JSON))),
        ],
        _JSON,
    ),
    "rest": (
        [(":method", "GET"), *_PLACE, (":path", "/hello/kratos"), ("accept", "application/json")],
        b"",
    ),
}


def _batches(case: str, size: int) -> list[bytes]:
    """Return what a client sends, a batch at a time."""
    encoder = Encoder()
    fields, body = _CASES[case]
    found: list[bytes] = []
    for first in range(0, _REQUESTS, size):
        parts = [window_update(0, 64 * size)]
        for number in range(first, first + size):
            own = [
                ("grpc-timeout", f"{1_999_999 - number}u"),
                ("x-request-id", f"{0x18A7BE3C12345678 + 977 * number:x}"),
            ]
            block = encoder.encode(fields + own if case == "unary-deadline" else fields)
            flags = FrameFlag.END_HEADERS | (0 if body else FrameFlag.END_STREAM)
            stream = 2 * number + 1
            parts.append(frame(FrameType.HEADERS, flags, stream, block))
            if body:
                parts.append(frame(FrameType.DATA, FrameFlag.END_STREAM, stream, body))
        found.append(b"".join(parts))
    return found


class _Dropping:
    """A transport that drops what is written."""

    def __init__(self) -> None:
        self.writes = 0
        self.written = b""
        self.over = False

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.written = data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 1)}.get(name, default)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_protocol(self, _protocol: asyncio.BaseProtocol) -> None:
        """It is asked for what it is given."""

    def abort(self) -> None:
        if not self.over:
            raise SystemExit(f"the server cut the connection off after {self.written!r}")

    close = abort


class _Floor:
    """kratos-http2 alone, with an answer that is ready."""

    def __init__(self, transport: _Dropping) -> None:
        self._transport = transport
        self._connection = ServerConnection(self)
        self._head = encode_fields([(b":status", b"200"), (b"content-type", b"application/grpc")])
        self._trailers = encode_fields([(b"grpc-status", b"0")])
        self._connection.start()

    def feed(self, data: bytes) -> None:
        self._connection.receive(data)
        self._transport.write(self._connection.take())

    async def close(self) -> None:
        """There is nothing to close."""

    def on_headers(self, stream: Stream, _block: HeaderBlock, /) -> None:
        if stream.received_end:
            self._answer(stream)

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        self._connection.consumed(stream, len(data))
        self._answer(stream)

    def _answer(self, stream: Stream) -> None:
        self._connection.answer(stream, self._head, _MESSAGE, self._trailers)

    def _nothing(self, *_: Any) -> None:
        """Take no notice."""

    on_output = on_trailers = on_reset = on_stream_error = on_room = on_settings = _nothing
    on_ping = on_pong = on_goaway = on_fault = _nothing


def _kratos(transport: _Dropping) -> tuple[Feed, Close]:
    """Return what feeds a connection of the whole server: three middlewares, one port for all.

    The other closes the server: one of an earlier round would go on to look after its connection,
    and cut it off in the end because it is idle.
    """
    from benchmarks.subjects.kratos_service import CHAIN, BenchService, CounterService

    server = HttpServer("127.0.0.1:0", protocols=[Grpc(), GrpcWeb(), Connect()])
    server.mount(Mount(services=[BenchService(), CounterService()], middleware=CHAIN))
    engine = Engine(server.application, versions=("2",))
    engine.start()
    connection = engine.protocol()
    connection.connection_made(cast("asyncio.Transport", transport))

    async def close() -> None:
        transport.over = True
        connection.connection_lost(None)
        await engine.aclose(grace=1.0)

    return connection.data_received, close


def _floor(transport: _Dropping) -> tuple[Feed, Close]:
    floor = _Floor(transport)
    return floor.feed, floor.close


_SUBJECTS: Final[dict[str, Callable[[_Dropping], tuple[Feed, Close]]]] = {
    "kratos": _kratos,
    "http2-floor": _floor,
}


async def _round(subject: str, batches: Sequence[bytes], size: int) -> float:
    """Return the microseconds of one request."""
    transport = _Dropping()
    feed, close = _SUBJECTS[subject](transport)
    feed(PREFACE + settings([]))
    took: list[float] = []
    for batch in batches:
        writes = transport.writes
        started = time.perf_counter()
        feed(batch)
        while transport.writes == writes:  # noqa: ASYNC110  an event would be measured with it
            await asyncio.sleep(0)
        took.append(time.perf_counter() - started)
    await close()
    return sorted(took)[len(took) // _QUICKEST] / size * 1e6


def against(
    *,
    rounds: int,
    seconds: float,  # noqa: ARG001
    path: Sequence[Path],
) -> list[Result]:
    """Measure everything.

    Args:
        rounds: How many.
        seconds: Not asked for: a round has a number of requests.
        path: Where generated code is.
    """
    sys.path[:0] = [str(each) for each in path]
    results: list[Result] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for case in _CASES:
            for size in _BATCHES:
                name = f"{case}, {size} at once"
                batches = _batches(case, size)
                for subject in _SUBJECTS:
                    values = [runner.run(_round(subject, batches, size)) for _ in range(rounds)]
                    results.append(Result(_BENCH, name, subject, values=values, unit=_UNIT))
    return results
