"""Calls whose paths no client of gRPC could name, which nobody else is to notice."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from kratos.testing.echo import CHAT, ECHO, EchoService, text
from kratos.transport import Mount, server_call
from kratos_grpc import GrpcServer
from kratos_grpc._grpcio.acceptor import acceptor

HEADERS, RST_STREAM, SETTINGS = 1, 3, 4
END_OF_BOTH = 5  # of the headers, and of the stream


class Held(EchoService):
    """Answers ``held`` when released, and notes which connections calls come by."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.peers: set[str] = set()

    async def _answer(self, request: Any) -> Any:
        call = server_call()
        assert call is not None
        self.peers.add(call.peer)
        if request.value == "held":
            self.begun.set()
            await self.release.wait()
        return request


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame of HTTP/2."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def call(path: bytes) -> bytes:
    """Return what opens a connection and calls a method on it."""
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"x"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    block = b"".join(b"\0%c%b%c%b" % (len(k), k, len(v), v) for k, v in fields)
    opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
    return opening + frame(HEADERS, END_OF_BOTH, 1, block)


async def end_of(path: bytes, address: str) -> None:
    """Call a method, and return when the server has ended the call."""
    reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
    with closing(writer):
        writer.write(call(path))
        kind = stream = 0
        while stream != 1 or kind not in (HEADERS, RST_STREAM):
            head = await reader.readexactly(9)
            kind, stream = head[3], int.from_bytes(head[5:], "big")
            await reader.readexactly(int.from_bytes(head[:3], "big"))
    await writer.wait_closed()


async def ends_of(paths: Iterable[bytes], address: str) -> None:
    await asyncio.gather(*(end_of(path, address) for path in paths))


HOSTILE = (b"/\xff", b"/kratos.testing.Echo/\xc3\x28", b"/\xed\xa0\x80/x", b"\x80")


@pytest.mark.parametrize("path", HOSTILE)
async def test_path_that_is_no_text_disturbs_no_other_call(serve: Any, path: bytes) -> None:
    service = Held()
    async with serve(service) as served:
        held = asyncio.create_task(served.caller.unary(ECHO, text("held")))
        await service.begun.wait()
        async with served.caller.bidi_stream(CHAT) as talk:
            for word in ("one", "two", "three"):
                await end_of(path, served.address)
                assert (await served.caller.unary(ECHO, text(word))).value == word
                await talk.send(text(word))
                assert (await anext(talk)).value == word
        service.release.set()
        assert (await held).value == "held"
    assert len(service.peers) == 1


async def test_calls_are_answered_while_paths_that_are_no_text_keep_coming(serve: Any) -> None:
    service = Held()
    async with serve(service) as served:
        attacks = [asyncio.create_task(ends_of(HOSTILE * 5, served.address)) for _ in range(5)]
        while not all(attack.done() for attack in attacks):
            assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"
        await asyncio.gather(*attacks)
    assert len(service.peers) == 1


async def test_new_connection_is_served_after_a_path_that_is_no_text(serve: Any) -> None:
    async with serve(EchoService()) as served:
        await end_of(b"/\xff", served.address)
        await end_of(ECHO.operation.encode(), served.address)
        channel: Any = grpc.aio.insecure_channel(served.address)
        async with channel:
            assert await channel.unary_unary(ECHO.operation)(b"") == b""


async def test_unknown_operation_stays_unimplemented_after_a_path_that_is_no_text(
    serve: Any,
) -> None:
    async with serve(EchoService()) as served:
        await end_of(b"/\xff", served.address)
        channel: Any = grpc.aio.insecure_channel(served.address)
        async with channel:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await channel.unary_unary("/no.such.Service/Echo")(b"")
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.engine("grpcio")
async def test_paths_that_are_no_text_are_logged_once(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(EchoService()) as served:
        await ends_of(HOSTILE, served.address)
    told = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each.name for each in told] == ["kratos.grpc"]


async def test_stop_after_a_path_that_is_no_text_answers_what_is_in_flight(serve: Any) -> None:
    service = Held()
    async with serve(service) as served:
        held = asyncio.create_task(served.caller.unary(ECHO, text("held")))
        await service.begun.wait()
        await ends_of(HOSTILE, served.address)
        stopping = asyncio.create_task(served.server.stop())
        while served.connection.ready:  # noqa: ASYNC110  the news comes from the other end
            await asyncio.sleep(0)
        assert not stopping.done()
        service.release.set()
        assert (await held).value == "held"
        await stopping


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors by /proc")
async def test_paths_that_are_no_text_leave_no_task_and_no_descriptor_behind(serve: Any) -> None:
    def held() -> tuple[int, int]:
        return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))

    async with serve(EchoService()) as served:
        assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"
        await ends_of(HOSTILE, served.address)
        tasks, descriptors = held()
        for _ in range(25):
            await ends_of(HOSTILE, served.address)
        now = held()
        while now[0] > tasks or now[1] > descriptors:
            await asyncio.sleep(0)  # the server's ends of the connections close on their own
            now = held()


@pytest.mark.engine("grpcio")
@pytest.mark.parametrize("name", ["_request_call", "_request_registered_call"])
async def test_start_fails_when_grpc_stops_accepting_calls(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def broken(_acceptor: object, *_method: bytes) -> None:
        raise RuntimeError("no calls any more")

    monkeypatch.setattr(f"kratos_grpc._grpcio.acceptor._Acceptor.{name}", broken)
    server = GrpcServer("127.0.0.1:0")
    server.mount(Mount(services=[EchoService()]))
    with pytest.raises(RuntimeError, match="no calls any more"):
        await server.start()
    await server.stop()


@pytest.mark.engine("grpcio")
async def test_stops_that_overlap_all_end() -> None:
    class Nothing(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
            return None

    server = acceptor(Nothing(), ["/a/b", "/c/d"], ())
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stops: list[asyncio.Task[None]] = []
    while not stops or not stops[0].done():
        stops.append(asyncio.create_task(server.stop(None)))
        await asyncio.sleep(0)
    await asyncio.gather(*stops)


@pytest.mark.engine("grpcio")
async def test_grpc_with_other_insides_is_used_as_it_is_with_a_warning(
    serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kratos_grpc._grpcio.answer._EXECUTE", "something else")
    async with serve(EchoService()) as served:
        assert (await served.caller.unary(ECHO, text("ok"))).value == "ok"
    assert f"grpcio {grpc.__version__} is new to kratos-grpc" in caplog.text
