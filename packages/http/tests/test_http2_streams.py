"""Endpoints that read and write piece by piece, over HTTP/2."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Endpoint, Head, Reply, Wire
from kratos_http import Limits
from kratos_http.testing import eventually, listening
from kratos_http2 import ErrorCode, Settings

TEXT = ((b"content-type", b"text/plain"),)

Converse = Callable[[Head, Wire], Awaitable[None]]


class Streams:
    """Hands requests to a function, but those of /plain."""

    def __init__(self, converse: Converse) -> None:
        self._converse = converse

    def route(self, head: Head, /) -> Endpoint:
        return _Plain() if head.path == b"/plain" else self

    async def converse(self, head: Head, wire: Wire, /) -> None:
        await self._converse(head, wire)


class _Plain:
    max_body = 1000

    async def answer(self, _head: Head, body: bytes, /) -> Reply:
        return Reply(200, (), b"plain" + body)


async def echo(_head: Head, wire: Wire) -> None:
    wire.start(200, TEXT)
    while piece := await wire.read():
        await wire.write(piece)
    await wire.finish(((b"x-sum", b"1"),))


async def ignore(_head: Head, wire: Wire) -> None:
    wire.start(404, ((b"content-length", b"2"),))
    await wire.write(b"no")
    await wire.finish()


async def test_pieces_go_back_as_they_come() -> None:
    async with listening(Streams(echo)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("POST", "/")
        await request.send(b"abc")
        assert await request.until(b"abc") == b"abc"
        await request.send(b"de", end=True)
        answer = await request.answer()
        assert (answer.body, list(answer.trailers)) == (b"de", [("x-sum", "1")])
        assert answer.header("content-length") == ""


async def test_opening_is_sent_without_a_first_piece() -> None:
    go_on = asyncio.Event()

    async def wait(_head: Head, wire: Wire) -> None:
        wire.start(200, TEXT)
        await go_on.wait()
        await wire.finish()

    async with listening(Streams(wait)) as opened:
        request = (await opened.connect_http2()).begin("GET", "/", end=True)
        await request.begun()
        go_on.set()
        assert (await request.answer()).body == b""


async def test_announced_length_is_sent() -> None:
    async with listening(Streams(ignore)) as opened:
        answer = await (await opened.connect_http2()).request("GET", "/")
        assert (answer.status, answer.header("content-length"), answer.body) == (404, "2", b"no")


async def test_head_gets_no_body() -> None:
    async with listening(Streams(echo)) as opened:
        peer = await opened.connect_http2()
        answer = await peer.request("HEAD", "/")
        assert (answer.status, answer.body) == (200, b"")
        assert (await peer.request("GET", "/plain")).status == 200


async def test_body_that_is_not_wanted_may_end_after_the_answer() -> None:
    # curl 7.88 takes a reset that comes before it has sent a body for the failure of its request.
    size = 1024 * 1024
    assert size > Limits().stream_window, "it would pass without being given room"
    async with listening(Streams(ignore)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("POST", "/")
        assert (await request.answer()).body == b"no"
        await request.send(b"x" * size, end=True)
        await eventually(lambda: request.stream is not None and request.stream.closed)
        assert request.code is None
        assert (await peer.request("GET", "/plain")).status == 200


async def test_body_that_is_not_wanted_and_does_not_end_is_cut_off() -> None:
    async with listening(Streams(ignore), limits=Limits(linger=0.01)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("POST", "/")
        await request.send(b"x" * 100)
        assert (await request.answer()).body == b"no"
        assert await request.broken() == ErrorCode.NO_ERROR
        assert (await peer.request("GET", "/plain")).status == 200


async def test_continue_is_sent_when_the_body_is_first_read() -> None:
    go_on = asyncio.Event()

    async def late(head: Head, wire: Wire) -> None:
        await go_on.wait()
        body = await wire.read()
        wire.start(200, TEXT)
        await wire.write(body)
        await wire.finish()

    async with listening(Streams(late)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("POST", "/", headers=[("expect", "100-continue")])
        await peer.request("GET", "/plain")
        assert request.interim == []
        go_on.set()
        await eventually(lambda: request.interim == [100])
        await request.send(b"x", end=True)
        assert (await request.answer()).body == b"x"


async def test_answer_in_place_of_continue_is_final() -> None:
    async with listening(Streams(ignore)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("POST", "/", headers=[("expect", "100-continue")])
        assert (await request.answer()).status == 404
        assert request.interim == []
        assert (await peer.request("GET", "/plain")).status == 200


async def test_unread_body_holds_its_stream_back_and_no_other() -> None:
    go_on = asyncio.Event()
    sizes: list[int] = []

    async def late(_head: Head, wire: Wire) -> None:
        await go_on.wait()
        while piece := await wire.read():
            sizes.append(len(piece))
        wire.start(200, TEXT)
        await wire.finish()

    limits = Limits(stream_window=100_000)
    async with listening(Streams(late), limits=limits) as opened:
        peer = await opened.connect_http2()
        blocked = [peer.begin("POST", f"/{number}") for number in range(12)]
        for request in blocked:  # together more than the connection's window
            await request.send(b"x" * 150_000, end=True)
        assert (await peer.request("POST", "/plain", body=b"!")).body == b"plain!"
        for request in blocked:
            stream = request.stream
            assert stream is not None
            await eventually(lambda stream=stream: stream.pending == 50_000)  # type: ignore[misc]
        go_on.set()
        for request in blocked:
            await request.answer()
        assert sum(sizes) == 12 * 150_000


async def test_bodies_that_nobody_reads_are_bounded_for_all_of_a_connection() -> None:
    go_on = asyncio.Event()

    async def late(_head: Head, wire: Wire) -> None:
        await go_on.wait()
        while await wire.read():
            pass
        wire.start(200, TEXT)
        await wire.finish()

    limits = Limits(max_bodies=100_000, connection_window=100_000, stream_window=65_535)
    async with listening(Streams(late), limits=limits) as opened:
        peer = await opened.connect_http2()
        requests = [peer.begin("POST", f"/{number}") for number in range(20)]
        for request in requests:
            await request.send(b"x" * 60_000, end=True)
        peer.h2.ping(b"12345678")
        await eventually(lambda: peer.pongs)
        waiting = sum(each.stream.pending for each in requests if each.stream is not None)
        assert waiting >= 20 * 60_000 - 2 * 100_000 - 65_535
        go_on.set()
        for request in requests:
            assert (await request.answer()).status == 200


async def test_writer_waits_for_a_peer_that_gives_no_window() -> None:
    written = 0

    async def flood(_head: Head, wire: Wire) -> None:
        nonlocal written
        wire.start(200, TEXT)
        for _ in range(100):
            await wire.write(b"x" * 10_000)
            written += 1
        await wire.finish()

    async with listening(Streams(flood)) as opened:
        peer = await opened.connect_http2(Settings(stream_window=65_535))
        peer.reads = False
        request = peer.begin("GET", "/", end=True)
        await eventually(lambda: len(request.body) == 65_535)
        assert (await peer.request("GET", "/plain")).status == 200
        assert written == 6
        peer.reads = True
        assert request.stream is not None
        peer.h2.consumed(request.stream, 65_535)
        assert len((await request.answer()).body) == 1_000_000


async def test_writer_waits_for_a_peer_that_does_not_read_its_socket() -> None:
    written = 0

    async def flood(_head: Head, wire: Wire) -> None:
        nonlocal written
        wire.start(200, TEXT)
        while True:
            await wire.write(b"x" * 100_000)
            written += 1

    async with listening(Streams(flood)) as opened:
        big = 2**31 - 1
        peer = await opened.connect_http2(Settings(stream_window=big, connection_window=big))
        request = peer.begin("GET", "/", end=True)
        await request.begun()
        peer.pause()
        (connection,) = opened.engine.connections
        await eventually(lambda: not connection.writable)
        before = written
        for _ in range(100):
            await asyncio.sleep(0)
        assert written - before <= 1
        peer.reset()
        await eventually(lambda: not opened.engine.connections)


@pytest.mark.parametrize("how", ["reset", "lost", "end"])
async def test_peer_that_goes_away_cancels_the_endpoint(how: str) -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_head: Head, _wire: Wire) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with listening(Streams(wait)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("GET", "/", end=True)
        await entered.wait()
        {"reset": request.reset, "lost": peer.reset, "end": peer.end}[how]()
        await cancelled.wait()
        if how == "reset":
            assert (await peer.request("GET", "/plain")).status == 200


async def test_reader_and_writer_of_a_lost_request_get_an_error() -> None:
    reasons: list[str] = []
    done = asyncio.Event()

    class Running:
        def cancel(self, cause: Cause, /) -> None:
            reasons.append(cause.name)

    async def read(head: Head, wire: Wire) -> None:
        head.running = Running()
        wire.start(200, TEXT)
        for act in (wire.read, lambda: wire.write(b"x")):
            try:
                await act()
            except Error as error:
                reasons.append(error.reason)
        done.set()

    async with listening(Streams(read)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("POST", "/")
        await request.begun()
        request.reset()
        await done.wait()
    assert reasons == ["PEER_GONE", "CLIENT_CLOSED", "CLIENT_CLOSED"]


async def test_answer_that_was_sent_whole_is_not_cancelled_by_its_peers_going() -> None:
    cleaned = asyncio.Event()
    go_on = asyncio.Event()

    async def tidy(_head: Head, wire: Wire) -> None:
        wire.start(200, TEXT)
        await wire.write(b"x")
        await wire.finish()
        await go_on.wait()
        cleaned.set()

    async with listening(Streams(tidy)) as opened:
        peer = await opened.connect_http2()
        assert (await peer.request("GET", "/")).body == b"x"
        peer.reset()
        await peer.closed()
        go_on.set()
        await cleaned.wait()


async def test_reset_is_no_clean_end() -> None:
    async def broken(_head: Head, wire: Wire) -> None:
        wire.start(200, TEXT)
        await wire.write(b"half")
        wire.reset(Cause.CALLER)

    async with listening(Streams(broken)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("GET", "/", end=True)
        assert await request.broken() == ErrorCode.CANCEL
        assert (await peer.request("GET", "/plain")).status == 200


@pytest.mark.parametrize("started", [False, True])
async def test_endpoint_that_fails_gives_no_clean_end(
    caplog: pytest.LogCaptureFixture, *, started: bool
) -> None:
    async def fail(_head: Head, wire: Wire) -> None:
        if started:
            wire.start(200, TEXT)
        raise LookupError("secret")

    async with listening(Streams(fail)) as opened:
        request = (await opened.connect_http2()).begin("GET", "/", end=True)
        if started:
            assert await request.broken() == ErrorCode.INTERNAL_ERROR
        else:
            answer = await request.answer()
            assert answer.status == 500
            assert b"secret" not in answer.body
    assert "secret" in caplog.text


async def test_body_that_is_shorter_than_announced_is_an_error_at_the_reader() -> None:
    reasons: list[str] = []
    entered, done = asyncio.Event(), asyncio.Event()

    async def read(_head: Head, wire: Wire) -> None:
        entered.set()
        try:
            while await wire.read():
                pass
        except (Error, asyncio.CancelledError) as error:
            reasons.append(type(error).__name__)
            raise
        finally:
            done.set()

    async with listening(Streams(read)) as opened:
        peer = await opened.connect_http2()
        request = peer.begin("POST", "/", headers=[("content-length", "5")])
        await entered.wait()
        await request.send(b"abc", end=True)
        assert await request.broken() == ErrorCode.PROTOCOL_ERROR
        await done.wait()
        assert reasons
        assert (await peer.request("GET", "/plain")).status == 200


async def test_misuse_of_a_wire_is_told() -> None:
    seen: list[str] = []

    async def misuse(_head: Head, wire: Wire) -> None:
        misuses: list[Callable[[], Awaitable[None]]] = [lambda: wire.write(b"x"), wire.finish]
        for act in misuses:
            with pytest.raises(RuntimeError, match="start the answer") as caught:
                await act()
            seen.append(str(caught.value))
        for status in (101, 1000):
            with pytest.raises(ValueError, match="is no status"):
                wire.start(status, ())
        wire.start(200, ((b"content-length", b"3"),))
        with pytest.raises(RuntimeError, match="begun already"):
            wire.start(200, ())
        await wire.write(b"ab")
        with pytest.raises(RuntimeError, match="shorter"):
            await wire.finish()
        with pytest.raises(RuntimeError, match="longer"):
            await wire.write(b"cd")
        seen.append("done")
        wire.reset(Cause.CALLER)

    async with listening(Streams(misuse)) as opened:
        request = (await opened.connect_http2()).begin("GET", "/", end=True)
        await request.broken()
    assert seen[-1] == "done"
