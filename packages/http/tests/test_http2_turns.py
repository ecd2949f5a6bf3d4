"""When requests over HTTP/2 are begun, and their answers written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from kratos.transport.http import Endpoint, Head, Reply
from kratos_http._http2_connection import Http2Connection
from kratos_http.engine import Engine
from kratos_http.testing import eventually
from kratos_http2 import encode_fields
from kratos_http2.frames import PREFACE, FrameFlag, FrameType, frame, rst_stream, settings

WHOLE = FrameFlag.END_HEADERS | FrameFlag.END_STREAM


class Greeting:
    """Answers at once, or on /wait when it is opened."""

    max_body = 1000

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.begun: list[bytes] = []

    def route(self, head: Head, /) -> Endpoint:
        return self

    async def answer(self, head: Head, _body: bytes, /) -> Reply:
        self.begun.append(head.path)
        if head.path == b"/wait":
            await self.opened.wait()
        return Reply(200, (), b"hello")


class Kept:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        """It is closed by the test."""

    abort = close


class Peer:
    """A connection of an engine, without a socket."""

    def __init__(self, engine: Engine) -> None:
        self.kept = Kept()
        self.connection = cast("Http2Connection", engine.protocol())
        self.connection.connection_made(cast("asyncio.Transport", self.kept))
        self.connection.data_received(PREFACE + settings([]))
        self._next = 1

    def ask(self, *paths: bytes) -> bytes:
        """Return requests as they travel."""
        parts: list[bytes] = []
        for path in paths:
            fields = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"))
            block = encode_fields((*fields, (b":path", path)))
            parts.append(frame(FrameType.HEADERS, WHOLE, self._next, block))
            self._next += 2
        return b"".join(parts)

    async def settled(self) -> None:
        """Wait until what it began with is written, and forget that."""
        await eventually(lambda: self.kept.writes)
        self.kept.writes.clear()

    @property
    def answers(self) -> list[int]:
        """How many answers each write had."""
        return [data.count(b"hello") for data in self.kept.writes]


@asynccontextmanager
async def serving(greeting: Greeting, peers: int) -> AsyncGenerator[list[Peer]]:
    engine = Engine(greeting, versions=("2",))
    engine.start()
    opened = [Peer(engine) for _ in range(peers)]
    for peer in opened:
        await peer.settled()
    try:
        yield opened
    finally:
        greeting.opened.set()
        for peer in opened:
            peer.connection.connection_lost(None)
        await engine.aclose(grace=1.0)


async def test_a_connection_that_is_alone_is_answered_before_anything_else() -> None:
    async with serving(Greeting(), 1) as (peer,):
        peer.connection.data_received(peer.ask(b"/a", b"/b"))
        assert peer.answers == [2]


async def test_connections_that_take_turns_are_answered_together() -> None:
    greeting = Greeting()
    async with serving(greeting, 2) as (one, other):
        one.connection.data_received(one.ask(b"/a", b"/b"))
        other.connection.data_received(other.ask(b"/c"))
        assert greeting.begun == []
        await eventually(lambda: other.answers)
        assert greeting.begun == [b"/a", b"/b", b"/c"]
        assert (one.answers, other.answers) == ([2], [1])


async def test_an_answer_that_is_waited_for_is_written_when_it_is_there() -> None:
    greeting = Greeting()
    async with serving(greeting, 1) as (peer,):
        peer.connection.data_received(peer.ask(b"/wait", b"/a", b"/wait"))
        assert peer.answers == [1]
        greeting.opened.set()
        await eventually(lambda: len(peer.answers) > 1)
        assert peer.answers == [1, 2]


async def test_a_request_that_is_reset_before_it_begins_never_does() -> None:
    greeting = Greeting()
    async with serving(greeting, 2) as (one, other):
        one.connection.data_received(one.ask(b"/gone", b"/a") + rst_stream(1, 8))
        other.connection.data_received(other.ask(b"/lost"))
        other.connection.connection_lost(None)
        await eventually(lambda: one.answers)
        assert greeting.begun == [b"/a"]
        assert one.connection.is_idle
