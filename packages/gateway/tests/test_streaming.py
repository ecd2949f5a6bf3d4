"""Bodies that go on: nothing waits for the end, nothing is kept without bound."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kratos.transport.http import Head, Wire
from kratos_gateway.testing import backend, proxied
from kratos_http.testing import Http2Peer, eventually


def to(address: str, **more: Any) -> dict[str, Any]:
    given = {"path": "/*", "protocol": "HTTP", "timeout": "5s", "backends": [{"target": address}]}
    return {**given, **more}


async def test_an_event_reaches_the_client_before_the_next_is_sent() -> None:
    go_on = asyncio.Event()

    async def script(_head: Head, wire: Wire) -> None:
        wire.start(200, [(b"content-type", b"text/event-stream")])
        await wire.write(b"data: 1\n\n")
        await go_on.wait()
        await wire.write(b"data: 2\n\n")
        await wire.finish()

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        request = (await gateway.connect_http2()).begin("GET", "/", end=True)
        assert await request.until(b"\n\n") == b"data: 1\n\n"
        go_on.set()
        assert (await request.answer()).body == b"data: 2\n\n"


async def test_events_outlast_the_time_limit_that_other_answers_have() -> None:
    async def script(head: Head, wire: Wire) -> None:
        kind = b"text/event-stream" if head.path == b"/events" else b"text/plain"
        wire.start(200, [(b"content-type", kind)])
        await wire.write(b"begun\n")
        await asyncio.sleep(0.2)
        await wire.write(b"ended\n")
        await wire.finish()

    async with backend(script) as node, proxied(to(node.address, timeout="0.1s")) as gateway:
        peer = await gateway.connect_http2()
        assert (await peer.request("GET", "/events")).body == b"begun\nended\n"
        with pytest.raises(ConnectionError):
            await peer.request("GET", "/text")


async def test_an_endpoint_that_says_so_has_no_time_limit_once_it_answers() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        wire.start(200, [])
        await wire.write(b"begun\n")
        await asyncio.sleep(0.2)
        await wire.finish()

    endpoint = {"timeout": "0.1s", "stream": True}
    async with backend(script) as node, proxied(to(node.address, **endpoint)) as gateway:
        assert (await (await gateway.connect()).request("GET", "/")).body == b"begun\n"


async def test_an_upload_reaches_the_back_end_before_it_has_ended() -> None:
    arrived = asyncio.Event()

    async def script(_head: Head, wire: Wire) -> None:
        first = await wire.read()
        arrived.set()
        size = len(first)
        while piece := await wire.read():
            size += len(piece)
        wire.start(200, [])
        await wire.write(b"%d" % size)
        await wire.finish()

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nfirst")
        await arrived.wait()
        await peer.send(b"x" * 199_995)
        assert (await peer.answer()).body == b"200000"
        assert node.header("content-length") == "200000"
        arrived.clear()
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc")
        await arrived.wait()
        await peer.send(b"\r\n0\r\n\r\n")
        assert (await peer.answer()).body == b"3"
        assert node.header("transfer-encoding") == "chunked"


async def test_an_answer_may_come_before_the_upload_has_ended() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        wire.start(413, [(b"content-length", b"3")])
        await wire.write(b"big")
        await wire.finish()

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nfirst")
        answer = await peer.answer()
        assert (answer.status, answer.body) == (413, b"big")


async def test_an_upload_that_breaks_off_is_broken_off_at_the_back_end() -> None:
    broken = asyncio.Event()
    begun = asyncio.Event()

    async def script(_head: Head, wire: Wire) -> None:
        try:
            while await wire.read():
                begun.set()
        finally:
            broken.set()

    async with backend(script) as node, proxied(to(node.address)) as gateway:
        peer = await gateway.connect()
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nfirst")
        await begun.wait()
        peer.reset()
        await broken.wait()
        await eventually(lambda: not gateway.proxy.in_flight)


@pytest.mark.parametrize("protocol", ["HTTP", "GRPC"])
async def test_a_client_that_does_not_read_holds_the_back_end_back(protocol: str) -> None:
    written = 0
    stuck = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def script(_head: Head, wire: Wire) -> None:
        nonlocal written
        wire.start(200, [(b"content-type", b"application/octet-stream")])
        timer = None
        while written < 256 * 1024 * 1024:
            if timer is not None:
                timer.cancel()
            timer = loop.call_later(0.3, stuck.set)  # nothing was written for so long
            await wire.write(b"x" * 65536)
            written += 65536

    async with (
        backend(script) as node,
        proxied(to(node.address, protocol=protocol, stream=True)) as gateway,
    ):
        peer = await gateway.connect_http2()
        peer.reads = False
        peer.begin("GET", "/", end=True)
        await stuck.wait()
        assert written < 64 * 1024 * 1024


class Call:
    """A call of gRPC by hand."""

    def __init__(self, peer: Http2Peer, *, end: bool = False) -> None:
        kind = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "5S")]
        self.request = peer.begin("POST", "/pkg.Svc/Do", headers=kind, end=end)

    async def send(self, data: bytes, *, end: bool = False) -> None:
        await self.request.send(data, end=end)


GRPC = [(b"content-type", b"application/grpc")]
OK = [(b"grpc-status", b"0"), (b"grpc-message", b""), (b"x-told", b"at the end")]


async def test_a_unary_call_keeps_metadata_message_and_trailers() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        asked = await wire.read()
        while await wire.read():
            pass
        wire.start(200, [*GRPC, (b"x-head", b"1")])
        await wire.write(asked)
        await wire.finish(OK)

    async with backend(script) as node, proxied(to(node.address, protocol="GRPC")) as gateway:
        peer = await gateway.connect_http2()
        for _ in range(2):
            call = Call(peer)
            await call.send(b"\0\0\0\0\2hi", end=True)
            answer = await call.request.answer()
            assert (answer.status, answer.body) == (200, b"\0\0\0\0\2hi")
            assert answer.header("x-head") == "1"
            assert dict(answer.trailers) == {k.decode(): v.decode() for k, v in OK}
        head = node.heads[0]
        assert (head.version, head.path) == ("2", b"/pkg.Svc/Do")
        assert (node.header("te"), node.header("grpc-timeout")) == ("trailers", "5S")
        assert len({each.peer for each in node.heads}) == 1


async def test_messages_go_both_ways_in_turn_however_long_that_takes() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        wire.start(200, GRPC)
        while piece := await wire.read():
            await wire.write(piece.upper())
        await wire.finish(OK)

    endpoint = {"protocol": "GRPC", "timeout": "0.1s"}
    async with backend(script) as node, proxied(to(node.address, **endpoint)) as gateway:
        call = Call(await gateway.connect_http2())
        await call.request.begun()  # before any message
        for word in (b"a;", b"b;"):
            await asyncio.sleep(0.12)
            await call.send(word)
            assert await call.request.until(b";") == word.upper()
        await call.send(b"", end=True)
        assert dict((await call.request.answer()).trailers)["grpc-status"] == "0"


async def test_trailers_alone_come_as_trailers() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        while await wire.read():
            pass
        wire.start(200, [*GRPC, (b"grpc-status", b"5"), (b"grpc-message", b"no%20such")])
        await wire.finish()

    async with backend(script) as node, proxied(to(node.address, protocol="GRPC")) as gateway:
        peer = await gateway.connect_http2()
        whole, coming = Call(peer, end=True), Call(peer)
        await coming.send(b"x")
        await coming.send(b"", end=True)
        for call in (whole, coming):
            answer = await call.request.answer()
            trailers = dict(answer.trailers)
            assert (trailers["grpc-status"], trailers["grpc-message"]) == ("5", "no%20such")
            assert answer.header("grpc-status") == ""


async def test_a_call_whose_back_end_is_lost_midway_ends_with_a_status() -> None:
    go = asyncio.Event()

    async def script(_head: Head, wire: Wire) -> None:
        wire.start(200, GRPC)
        await wire.write(b"\0\0\0\0\1x")
        await go.wait()
        raise RuntimeError("broken")

    async with backend(script) as node, proxied(to(node.address, protocol="GRPC")) as gateway:
        call = Call(await gateway.connect_http2(), end=True)
        await call.request.until(b"x")
        go.set()
        trailers = dict((await call.request.answer()).trailers)
        assert trailers["grpc-status"] == "2"
        assert trailers["grpc-message"] == "the back end could not be reached, or was lost"


async def test_a_call_that_the_client_cancels_is_cancelled_at_the_back_end() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def script(_head: Head, wire: Wire) -> None:
        wire.start(200, GRPC)
        await wire.write(b"x")
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with backend(script) as node, proxied(to(node.address, protocol="GRPC")) as gateway:
        call = Call(await gateway.connect_http2(), end=True)
        await begun.wait()
        call.request.reset()
        await cancelled.wait()
