"""Endpoints that read and write piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Endpoint, Head, Wire
from kratos_http.testing import eventually, listening

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"
TEXT = ((b"content-type", b"text/plain"),)

Converse = Callable[[Head, Wire], Awaitable[None]]


class Streams:
    """Hands every request to a function."""

    def __init__(self, converse: Converse) -> None:
        self._converse = converse

    def route(self, head: Head, /) -> Endpoint:
        return self

    async def converse(self, head: Head, wire: Wire, /) -> None:
        await self._converse(head, wire)


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
        peer = await opened.connect()
        await peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        head = await peer.until(b"abc\r\n")
        assert b"transfer-encoding: chunked" in head
        await peer.send(b"2\r\nde\r\n0\r\n\r\n")
        assert await peer.until(b"0\r\nx-sum: 1\r\n\r\n") == b"2\r\nde\r\n0\r\nx-sum: 1\r\n\r\n"
        assert (await peer.request("POST", "/", body=b"next")).body == b"next"


async def test_opening_is_sent_without_a_first_piece() -> None:
    async def wait(_head: Head, wire: Wire) -> None:
        wire.start(200, TEXT)
        assert await wire.read() == b"x"
        await wire.finish()

    async with listening(Streams(wait)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"Content-Length: 1\r\n\r\n")
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await peer.send(b"x")
        assert await peer.until(b"0\r\n\r\n") == b"0\r\n\r\n"


async def test_announced_length_replaces_chunks() -> None:
    async with listening(Streams(ignore)) as opened:
        peer = await opened.connect()
        answer = await peer.request("GET", "/")
    assert answer.header("content-length") == "2"
    assert answer.header("transfer-encoding") == ""
    assert answer.body == b"no"


async def test_http_1_0_ends_the_body_with_the_connection() -> None:
    async with listening(Streams(echo)) as opened:
        peer = await opened.connect()
        await peer.send(b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
        answer = await peer.answer()
    assert answer.body == b"abc"
    assert answer.header("connection") == "close"


async def test_head_gets_no_body() -> None:
    async with listening(Streams(echo)) as opened:
        peer = await opened.connect()
        assert (await peer.request("HEAD", "/")).body == b""
        assert (await peer.request("POST", "/", body=b"abc")).body == b"abc"


async def test_unread_body_is_skipped_to_keep_the_connection() -> None:
    async with listening(Streams(ignore)) as opened:
        peer = await opened.connect()
        answer = await peer.request("POST", "/", body=b"x" * 100_000)
        assert (answer.status, answer.header("connection")) == (404, "")
        assert (await peer.request("GET", "/")).status == 404


async def test_long_unread_body_costs_the_connection_and_not_the_answer() -> None:
    async with listening(Streams(ignore)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"Content-Length: 10000000\r\n\r\n" + b"x" * 100)
        answer = await peer.answer()
        assert (answer.body, answer.header("connection")) == (b"no", "close")
        sending = asyncio.ensure_future(peer.send(b"x" * 2_000_000))
        assert await peer.rest() == b""
        await sending


async def test_continue_is_sent_when_the_body_is_first_read() -> None:
    async with listening(Streams(echo_late)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert (await peer.answer()).status == 100
        await peer.send(b"abc")
        assert (await peer.answer()).body == b"abc"


async def echo_late(_head: Head, wire: Wire) -> None:
    body = await wire.read()
    wire.start(200, TEXT)
    await wire.write(body)
    await wire.finish()


async def test_answer_in_place_of_continue_closes_the_connection() -> None:
    async with listening(Streams(ignore)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        answer = await peer.answer()
        peer.end()
        assert await peer.rest() == b""
    assert (answer.status, answer.header("connection")) == (404, "close")


async def test_streams_take_their_turn_among_pipelined_requests() -> None:
    async with listening(Streams(echo)) as opened:
        peer = await opened.connect()
        await peer.send(b"".join(HEAD + b"Content-Length: 1\r\n\r\n%d" % n for n in range(9)))
        assert [(await peer.answer()).body for _ in range(9)] == [b"%d" % n for n in range(9)]


async def test_malformed_rest_of_a_body_is_an_error_at_the_reader() -> None:
    errors: list[Error] = []

    async def read(_head: Head, wire: Wire) -> None:
        try:
            while await wire.read():
                pass
        except Error as error:
            errors.append(error)
        wire.start(400, ((b"content-length", b"0"),))
        await wire.finish()

    async with listening(Streams(read)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nxyz\r\n")
        answer = await peer.answer()
        peer.end()
        assert await peer.rest() == b""
    assert (answer.status, answer.header("connection")) == (400, "close")
    assert [error.code for error in errors] == [400]


async def test_unread_body_holds_the_peer_back() -> None:
    release = asyncio.Event()
    sizes: list[int] = []

    async def read(_head: Head, wire: Wire) -> None:
        await release.wait()
        while piece := await wire.read():
            sizes.append(len(piece))
        wire.start(200, ())
        await wire.finish()

    body = b"x" * 30_000_000
    async with listening(Streams(read)) as opened:
        peer = await opened.connect()
        sending = asyncio.ensure_future(peer.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body)))
        await sending
        sending = asyncio.ensure_future(peer.send(body))
        connection = await opened.connection()
        await eventually(lambda: connection.paused)
        assert not sending.done()
        release.set()
        await sending
        assert (await peer.answer()).status == 200
    assert sum(sizes) == len(body)


async def test_writer_waits_for_a_slow_peer() -> None:
    written = 0

    async def flood(_head: Head, wire: Wire) -> None:
        nonlocal written
        wire.start(200, TEXT)
        for _ in range(300):
            await wire.write(b"x" * 100_000)
            written += 1
        await wire.finish()

    async with listening(Streams(flood)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"\r\n")
        connection = await opened.connection()
        await eventually(lambda: not connection.writable)
        before = written
        for _ in range(100):
            await asyncio.sleep(0)
        assert written == before < 300
        assert len((await peer.answer()).body) == 30_000_000


async def test_peer_that_goes_away_cancels_the_endpoint() -> None:
    ended: list[BaseException] = []
    entered = asyncio.Event()

    async def wait(_head: Head, wire: Wire) -> None:
        wire.start(200, TEXT)
        entered.set()
        try:
            await asyncio.get_running_loop().create_future()
        except BaseException as error:
            ended.append(error)
            raise

    async with listening(Streams(wait)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"\r\n")
        await entered.wait()
        peer.reset()
        await opened.engine.drain()
    assert [type(error) for error in ended] == [asyncio.CancelledError]


async def test_reset_is_no_clean_end() -> None:
    async def broken(_head: Head, wire: Wire) -> None:
        wire.start(200, TEXT)
        await wire.write(b"abc")
        wire.reset(Cause.DEADLINE)

    async with listening(Streams(broken)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"\r\n")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await peer.answer()


@pytest.mark.parametrize("begun", [True, False])
async def test_endpoint_that_fails_gives_no_clean_end(
    begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_head: Head, wire: Wire) -> None:
        if begun:
            wire.start(200, TEXT)
            await wire.write(b"abc")
        raise RuntimeError("an inner secret")

    async with listening(Streams(fail)) as opened:
        peer = await opened.connect()
        await peer.send(HEAD + b"\r\n")
        if begun:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await peer.answer()
        else:
            assert (await peer.answer()).status == 500
    assert "an inner secret" in caplog.text


async def test_misuse_of_a_wire_is_told() -> None:
    told: list[str] = []

    async def misuse(_head: Head, wire: Wire) -> None:
        for attempt in (wire.write(b"x"), wire.finish()):
            with pytest.raises(RuntimeError) as refusal:
                await attempt
            told.append(str(refusal.value))
        wire.start(200, ((b"content-length", b"2"),))
        with pytest.raises(RuntimeError, match="begun already"):
            wire.start(200, ())
        with pytest.raises(RuntimeError, match="shorter"):
            await wire.finish()
        await wire.write(b"ab")
        await wire.finish()
        await wire.finish()
        with pytest.raises(RuntimeError, match="before finishing"):
            await wire.write(b"x")

    async with listening(Streams(misuse)) as opened:
        peer = await opened.connect()
        assert (await peer.request("GET", "/")).body == b"ab"
    assert all("start the answer" in text for text in told)
    assert len(told) == 2


async def test_failure_outside_of_a_call_is_logged_with_its_path_as_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def crash(_head: Head, _wire: Wire) -> None:
        raise RuntimeError("a defect")

    async with listening(Streams(crash)) as opened:
        peer = await opened.connect()
        assert (await peer.request("GET", "/d%C3%BCne")).status == 500
    assert "GET '/d%C3%BCne' failed outside of its call" in caplog.text
