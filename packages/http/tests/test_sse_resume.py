"""Streams of events that a client takes up again where they were lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from aegis.backoff import Backoff
from kratos.client import Client
from kratos.clock import Clock
from kratos.errors import ConfigError, Error
from kratos.testing.clock import FakeClock, InstantClock
from kratos.testing.echo import text
from kratos.testing.proxy import FaultProxy
from kratos.transport import (
    Arity,
    Call,
    Handler,
    HttpRule,
    Method,
    Mount,
    Service,
    Side,
    server_call,
)
from kratos_http import HttpConnector, HttpServer, Reconnect, StreamOptions
from kratos_http._events import EventParser
from kratos_http._exchange import Lost
from kratos_http._sse_client import Resumption, SseStream
from kratos_http._streaming import StreamConnection
from kratos_http.testing import eventually, running


def streaming(name: str, verb: str) -> Method[StringValue, StringValue]:
    body = "" if verb == "GET" else "*"
    return Method(
        operation=f"/test.Numbers/{name}",
        name=name.lower(),
        arity=Arity.SERVER_STREAM,
        request=StringValue,
        reply=StringValue,
        http=(HttpRule(verb=verb, path=f"/{name.lower()}", body=body),),
    )


COUNT = streaming("Count", "GET")
POSTED = streaming("Posted", "POST")


class Numbers(Service):
    """Counts from where its caller was."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (COUNT, POSTED)

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.last = 3
        self.more = asyncio.Event()
        self.failure: Error | None = None

    def grow(self, last: int) -> None:
        self.last = last
        self.more.set()
        self.more = asyncio.Event()

    async def count(self, _request: StringValue, /) -> AsyncIterator[StringValue]:
        call = server_call()
        assert call is not None
        came = call.headers.get("last-event-id")
        self.asked.append(came)
        if self.failure is not None and came:
            raise self.failure
        number = int(came or 0)
        while True:
            while number < self.last:
                number += 1
                yield text(str(number))
            if number >= 6:
                return
            await self.more.wait()

    def posted(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        return self.count(request)


def number_of(message: Message) -> str:
    assert isinstance(message, StringValue)
    return message.value


@asynccontextmanager
async def counting(
    reconnect: Reconnect | None, *, ids: bool = True, **options: Any
) -> AsyncGenerator[tuple[Numbers, FaultProxy, Client]]:
    service = Numbers()
    streams = StreamOptions(event_id=number_of if ids else None)
    server = HttpServer("127.0.0.1:0", streams=streams)
    server.mount(Mount(services=[service]))
    async with running(server):
        (url,) = await server.bind()
        async with FaultProxy("127.0.0.1", int(url.rpartition(":")[2])) as proxy:
            connector = HttpConnector(reconnect=reconnect, max_connections=1)
            async with Client(f"http://{proxy.address}", transport=connector, **options) as client:
                yield service, proxy, client


def at_once(clock: Clock | None = None, **options: Any) -> Reconnect:
    return Reconnect(clock=clock or InstantClock(), random=lambda: 1.0, **options)


async def take(replies: AsyncIterator[StringValue], count: int) -> list[str]:
    return [(await replies.__anext__()).value for _ in range(count)]


async def test_lost_stream_goes_on_where_it_was() -> None:
    async with counting(at_once()) as (service, proxy, client):
        async with client.server_stream(COUNT, text(""), None) as replies:
            assert await take(replies, 3) == ["1", "2", "3"]
            proxy.reset()
            service.grow(6)
            assert [reply.value async for reply in replies] == ["4", "5", "6"]
        assert service.asked == ["", "3"]
        async with client.server_stream(COUNT, text(""), None) as replies:  # there is room again
            assert len([reply async for reply in replies]) == 6


async def test_stream_may_be_lost_again_and_again() -> None:
    async with (
        counting(at_once(attempts=1)) as (service, proxy, client),
        client.server_stream(COUNT, text(""), None) as replies,
    ):
        await take(replies, 3)
        for last in (4, 5, 6):
            proxy.reset()
            service.grow(last)
            assert await take(replies, 1) == [str(last)]
    assert service.asked == ["", "3", "4", "5"]


async def test_attempts_end_and_the_waits_between_them_grow() -> None:
    clock = InstantClock()
    backoff = Backoff(base=1.0, cap=60.0)
    policy = at_once(clock, attempts=3, backoff=backoff)
    async with (
        counting(policy) as (_, proxy, client),
        client.server_stream(COUNT, text(""), None) as replies,
    ):
        await take(replies, 3)
        proxy.cut()
        with pytest.raises(Error) as failure:
            await replies.__anext__()
    assert failure.value.reason == "UNAVAILABLE"
    assert clock.waited == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("reconnect", "ids", "method"),
    [(None, True, COUNT), (at_once(), False, COUNT), (at_once(), True, POSTED)],
    ids=["not asked for", "without ids", "not idempotent"],
)
async def test_stream_that_cannot_go_on_is_lost(
    reconnect: Reconnect | None, ids: bool, method: Method[StringValue, StringValue]
) -> None:
    async with (
        counting(reconnect, ids=ids) as (service, proxy, client),
        client.server_stream(method, text(""), None) as replies,
    ):
        await take(replies, 3)
        proxy.reset()
        with pytest.raises(Error) as failure:
            await replies.__anext__()
    assert failure.value.reason == "UNAVAILABLE"
    assert service.asked == [""]


async def test_refusal_is_the_end() -> None:
    async with (
        counting(at_once()) as (service, proxy, client),
        client.server_stream(COUNT, text(""), None) as replies,
    ):
        await take(replies, 3)
        service.failure = Error(410, "FORGOTTEN", "these events are no longer there")
        proxy.reset()
        with pytest.raises(Error) as failure:
            await replies.__anext__()
    assert failure.value.reason == "FORGOTTEN"
    assert service.asked == ["", "3"]


async def test_server_that_is_busy_for_a_while_is_asked_again() -> None:
    async with (
        counting(at_once(attempts=4)) as (service, proxy, client),
        client.server_stream(COUNT, text(""), None) as replies,
    ):
        await take(replies, 3)
        service.failure = Error(503, "BUSY", "later")
        proxy.reset()
        with pytest.raises(Error) as failure:
            await replies.__anext__()
    assert failure.value.reason == "BUSY"
    assert service.asked == ["", "3", "3", "3", "3"]


async def test_connection_that_comes_as_its_caller_gives_up_is_kept() -> None:
    class Lossy(StreamConnection):
        """Brings one event, and is lost."""

        def __init__(self) -> None:
            super().__init__(max_head=1)
            self.pieces = [b"event: note\nid: 1\ndata: x\n\n"]

        async def read(self) -> bytes:
            if self.pieces:
                return self.pieces.pop()
            raise Lost("it was cut", begun=True)

    async def reopen(_last_id: str) -> StreamConnection:
        reading.cancel()
        return following

    dismissed: list[object] = []
    first, following = Lossy(), StreamConnection(max_head=1)
    call = Call(COUNT, side=Side.CLIENT, transport="http")
    resumption = Resumption(at_once(), reopen, dismissed.append)
    plan: Any = None  # no event of this test is a message
    stream = SseStream(call, plan, first, max_event=100, resumption=resumption)
    reading = asyncio.create_task(stream.receive())
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert dismissed == [first]
    assert stream.connection is following


async def test_deadline_of_the_call_ends_the_wait() -> None:
    clock = FakeClock()
    made: list[Call] = []

    async def keep(call: Call, request: Any, next: Handler, /) -> Any:
        made.append(call)
        return await next(call, request)

    async with (
        counting(at_once(clock), middleware=[keep]) as (_, proxy, client),
        client.server_stream(COUNT, text(""), None) as replies,
    ):
        await take(replies, 3)
        call = made[0]
        proxy.cut()
        reading = asyncio.ensure_future(replies.__anext__())
        await eventually(lambda: clock.sleepers == 1)
        call.expire()
        with pytest.raises(Error) as failure:
            await reading
        assert clock.sleepers == 0
    assert failure.value.reason == "DEADLINE_EXCEEDED"


async def test_caller_that_leaves_ends_the_wait() -> None:
    clock = FakeClock()
    async with counting(at_once(clock)) as (_, proxy, client):
        async with client.server_stream(COUNT, text(""), None) as replies:
            await take(replies, 3)
            proxy.cut()
            reading = asyncio.ensure_future(replies.__anext__())
            await eventually(lambda: clock.sleepers == 1)
            reading.cancel()
            await asyncio.wait((reading,))
            assert reading.cancelled()
        assert clock.sleepers == 0


async def test_server_says_how_long_to_wait() -> None:
    parser = EventParser(1 << 20)
    parser.feed(b"retry: 2500\nid: a\ndata: x\n\nretry: soon\nretry: 9999999999999\n\n")
    policy = at_once(max_retry=2.0, backoff=Backoff(base=0.5))
    assert parser.retry == 2.5
    assert policy.delay(0, 1.0) == 1.5
    assert policy.delay(0, parser.retry) == 2.5
    assert policy.delay(1, 0.0) == 1.0


@pytest.mark.parametrize(
    ("wire", "last"),
    [
        (b"data: x\n\n", ""),
        (b"id: 7\ndata: x\n\n", "7"),
        (b"id: 7\ndata: x\n\nid: 8\ndata: y\n", "7"),
        (b"id: 7\n\n", "7"),
        (b"id: 7\ndata: x\n\ndata: y\n\n", "7"),
        (b"id: 7\ndata: x\n\nid\ndata: y\n\n", ""),
        (b"id: 7\ndata: x\n\nid: a\0b\ndata: y\n\n", "7"),
        ("id: ä\n\n".encode(), "ä"),
    ],
)
def test_id_is_that_of_the_newest_whole_event(wire: bytes, last: str) -> None:
    parser = EventParser(1 << 20)
    parser.feed(wire)
    assert parser.last_id == last
    assert parser.next().last_id == last


@pytest.mark.parametrize("options", [{"attempts": 0}, {"max_retry": -1.0}, {"max_retry": math.nan}])
def test_numbers_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(ConfigError):
        Reconnect(**options)
