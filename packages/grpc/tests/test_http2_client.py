"""Clients on our own HTTP/2, and servers on another library that say what none of ours does."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset

from kratos.errors import ConfigError, Error
from kratos.selector import Node
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, text
from kratos.transport import CallOptions, ChainCaller
from kratos_grpc import ClientLimits, GrpcConnector
from kratos_grpc.status import to_status
from kratos_grpc.testing import turns_during
from kratos_http.testing import eventually

Fields = Sequence[tuple[str, str]]
Script = Callable[["Served", int], None]

ENGINE: Final = "kratos"
WINDOW: Final = 65_535  # bytes that a server takes before it has said anything
GRPC: Final = ((":status", "200"), ("content-type", "application/grpc"))
FINE: Final = (("grpc-status", "0"),)


def wire(word: str, flags: int = 0) -> bytes:
    data = text(word).SerializeToString()
    return bytes((flags,)) + len(data).to_bytes(4, "big") + data


class Served(asyncio.Protocol):
    """One connection of a server that follows a script, which is called at the end of requests."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer.connections.append(self)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            self.note(event)
        self.flush()

    def note(self, event: Event) -> None:
        peer = self.peer
        match event:
            case RequestReceived(headers=headers):
                peer.asked.append(dict(cast("Any", headers)))
            case DataReceived(flow_controlled_length=size, stream_id=stream):
                self.h2.acknowledge_received_data(size, stream)
            case StreamReset(error_code=code):
                peer.resets.append(int(code))
            case StreamEnded(stream_id=stream):
                peer.script(self, stream)
            case _:
                pass

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def answer(
        self, stream: int, *bodies: bytes, start: Fields = GRPC, end: Fields | None = FINE
    ) -> None:
        self.h2.send_headers(stream, start, end_stream=not bodies and end is None)
        for number, body in enumerate(bodies, 1):
            self.h2.send_data(stream, body, end_stream=end is None and number == len(bodies))
        if end is not None:
            self.h2.send_headers(stream, end, end_stream=True)


class Peer:
    """The server."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections: list[Served] = []
        self.asked: list[dict[str, str]] = []
        self.resets: list[int] = []

    async def leave(self) -> None:
        """Break all connections off."""
        for each in self.connections:
            each.transport.abort()
            await each.closed.wait()


@asynccontextmanager
async def calling(
    script: Script, *, limits: ClientLimits | None = None, served: type[Served] = Served
) -> AsyncGenerator[tuple[Peer, ChainCaller]]:
    peer = Peer(script)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: served(peer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connector = GrpcConnector(engine=ENGINE, limits=limits)
    connection = connector.connect(Node(scheme="grpc", address=f"127.0.0.1:{port}"))
    try:
        yield peer, ChainCaller(connection.invoke, transport="grpc", timeout=None)
    finally:
        await connection.aclose()
        server.close()
        await peer.leave()


async def take(caller: ChainCaller, method: Any = ECHO, options: Any = None) -> list[str]:
    """Make a call of any arity, and return all that is answered."""
    if method is ECHO:
        return [(await caller.unary(ECHO, text("ask"), options)).value]
    if method is COLLECT:
        return [(await caller.client_stream(COLLECT, [text("ask")], options)).value]
    if method is WATCH:
        async with caller.server_stream(WATCH, text("ask"), options) as replies:
            return [reply.value async for reply in replies]
    async with caller.bidi_stream(CHAT, options) as stream:
        await stream.send(text("ask"))
        await stream.end()
        return [reply.value async for reply in stream]


async def failure_of(script: Script, method: Any = ECHO, **options: Any) -> Error:
    async with calling(script, **options) as (_, caller):
        with pytest.raises(Error) as failure:
            await take(caller, method)
    return failure.value


every_method = pytest.mark.parametrize(
    "method", [ECHO, COLLECT, WATCH, CHAT], ids=lambda each: each.arity.value
)


@every_method
@pytest.mark.parametrize(
    "kind", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"]
)
async def test_reply_is_read_and_the_request_says_what_grpc_demands(method: Any, kind: str) -> None:
    def script(served: Served, stream: int) -> None:
        served.answer(stream, wire("yes"), start=((":status", "200"), ("content-type", kind)))

    async with calling(script) as (peer, caller):
        assert await take(caller, method, CallOptions(timeout=5.0)) == ["yes"]
    (asked,) = peer.asked
    assert asked[":path"] == method.operation
    assert (asked[":method"], asked["te"], asked["content-type"]) == (
        "POST",
        "trailers",
        "application/grpc",
    )
    assert asked["user-agent"].startswith("grpc-python-kratos/")
    assert asked["grpc-accept-encoding"] == "identity,gzip,deflate"
    unit, count = asked["grpc-timeout"][-1], int(asked["grpc-timeout"][:-1])
    assert unit == "m"
    assert 0 < count <= 5000


@every_method
@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("400", "text/html", 500),
        ("401", "text/html", 401),
        ("403", "text/html", 403),
        ("404", "text/html", 501),
        ("429", "text/html", 503),
        ("502", "text/html", 503),
        ("503", "", 503),
        ("504", "text/html", 503),
        ("500", "text/html", 500),
        ("200", "text/html", 500),
        ("503", "application/grpc", 503),
    ],
)
async def test_answer_that_is_none_of_grpc_has_the_code_of_its_status(
    method: Any, status: str, kind: str, code: int
) -> None:
    def script(served: Served, stream: int) -> None:
        start = [(":status", status), *([("content-type", kind)] if kind else [])]
        served.answer(stream, b"<html>", start=start, end=None)

    failure = await failure_of(script, method)
    assert failure.code == code
    assert f"HTTP {status}" in failure.message


@every_method
@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (ErrorCodes.NO_ERROR, 500),
        (ErrorCodes.PROTOCOL_ERROR, 500),
        (ErrorCodes.INTERNAL_ERROR, 500),
        (ErrorCodes.CANCEL, 499),
        (ErrorCodes.ENHANCE_YOUR_CALM, 429),
        (ErrorCodes.INADEQUATE_SECURITY, 403),
        (ErrorCodes.HTTP_1_1_REQUIRED, 500),
    ],
)
async def test_reset_has_the_code_that_grpc_gives_it(method: Any, reset: Any, code: int) -> None:
    def script(served: Served, stream: int) -> None:
        served.h2.reset_stream(stream, reset)

    failure = await failure_of(script, method)
    assert failure.code == code
    assert reset.name in failure.message


@every_method
async def test_call_that_has_only_an_end_is_an_error_with_its_details(method: Any) -> None:
    told = to_status(Error(418, "TEAPOT", "too hot: 100% é", {"pot": "blue"}))
    details = base64.b64encode(told.details).decode()
    end = (
        ("grpc-status", str(told.code)),
        ("grpc-message", "too hot: 100%25 %C3%A9"),
        ("grpc-status-details-bin", details),
        ("x-pot", "blue"),
    )

    def script(served: Served, stream: int) -> None:
        served.answer(stream, start=(*GRPC, *end), end=None)

    failure = await failure_of(script, method)
    assert (failure.code, failure.reason, failure.message) == (418, "TEAPOT", "too hot: 100% é")
    assert dict(failure.metadata) == {"pot": "blue"}
    assert failure.__cause__ is None
    assert failure.__context__ is None


@every_method
@pytest.mark.parametrize(
    ("end", "told"),
    [
        (None, "without a status"),
        ((("x-a", "1"),), "without a status"),
        ((("grpc-status", "fine"),), "'fine', which is none"),
        ((("grpc-status", "-1"),), "'-1', which is none"),
        ((("grpc-status", "0"), ("x-a-bin", "*")), "'x-a-bin' is no base64"),
    ],
)
async def test_end_that_says_nothing_of_use_is_a_failure_of_the_server(
    method: Any, end: Fields | None, told: str
) -> None:
    def script(served: Served, stream: int) -> None:
        served.answer(stream, wire("yes"), end=end)

    failure = await failure_of(script, method)
    assert failure.code == 500
    assert told in failure.message


@pytest.mark.parametrize("method", [ECHO, COLLECT], ids=lambda each: each.arity.value)
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "without a reply"),
        (wire("one") + wire("two"), "one reply"),
        (wire("one")[:-1], "reply"),
        (b"\0\0", "reply"),
        (wire("one", flags=1), "the flags 0x1, and no coding"),
        (wire("one", flags=2), "the flags 0x2, and no coding"),
        (b"\0\0\0\0\2\xff\xff", "no google.protobuf.StringValue"),
    ],
)
async def test_body_that_is_not_one_reply_is_a_failure_of_the_server(
    method: Any, body: bytes, told: str
) -> None:
    def script(served: Served, stream: int) -> None:
        served.answer(stream, body)

    failure = await failure_of(script, method)
    assert (failure.code, failure.reason) == (500, "CODEC")
    assert told in failure.message


@pytest.mark.parametrize("method", [ECHO, COLLECT], ids=lambda each: each.arity.value)
@pytest.mark.parametrize("replies", [0, 2])
async def test_other_number_of_replies_is_unimplemented_to_peers(method: Any, replies: int) -> None:
    def script(served: Served, stream: int) -> None:
        served.answer(stream, wire("one") * replies)

    assert (await failure_of(script, method)).grpc_code == 12


@every_method
@pytest.mark.parametrize(("bodies", "end"), [((b"",), FINE), ((wire("one"),), None)])
async def test_status_in_the_headers_counts_only_if_nothing_follows(
    method: Any, bodies: tuple[bytes, ...], end: Fields | None
) -> None:
    if end is not None:
        end = (("grpc-status", "9"), ("grpc-message", "this one"))

    def script(served: Served, stream: int) -> None:
        served.answer(stream, *bodies, start=(*GRPC, ("grpc-status", "8")), end=end)

    failure = await failure_of(script, method)
    assert failure.message == ("the call ended without a status" if end is None else "this one")


async def test_others_have_their_turn_while_replies_come_in_thousands() -> None:
    def script(served: Served, stream: int) -> None:
        served.answer(stream, wire("") * 3000)

    async with calling(script) as (_, caller):
        assert await turns_during(take(caller, WATCH)) >= 40


async def test_coding_that_nobody_asked_for_is_told() -> None:
    def script(served: Served, stream: int) -> None:
        served.answer(stream, wire("one", flags=1), start=(*GRPC, ("grpc-encoding", "snappy")))

    failure = await failure_of(script)
    assert failure.code == 500
    assert "'snappy', which nobody asked for" in failure.message


async def test_metadata_comes_with_all_values_and_is_not_shared_to_be_changed() -> None:
    def script(served: Served, stream: int) -> None:
        joined = ",".join(base64.b64encode(each).decode() for each in (b"\0\1", b"\2"))
        start = (*GRPC, ("x-a", "1"), ("x-a", "2"), ("x-b-bin", joined))
        served.answer(stream, wire("yes"), start=start, end=(*FINE, ("x-c", "3")))

    ends: list[Any] = []
    async with calling(script) as (_, caller):
        for _ in range(2):  # the second reads what the first has noted
            await take(caller, ECHO, CallOptions(on_end=ends.append))
    for call in ends:
        assert call.reply_headers.values("x-a") == ["1", "2"]
        assert call.reply_headers.values("x-b-bin") == ["AAE", "Ag"]
        assert call.trailers.get("x-c") == "3"
        assert "grpc-status" not in call.trailers
        with pytest.raises(RuntimeError):
            call.trailers.set("x-c", "4")


def refusing(times: int) -> Script:
    """Refuse the first calls as a server does that has not looked at them."""

    def script(served: Served, stream: int) -> None:
        if len(served.peer.asked) <= times:
            served.h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
        else:
            served.answer(stream, wire("yes"))

    return script


@pytest.mark.parametrize("method", [ECHO, WATCH], ids=lambda each: each.arity.value)
async def test_call_that_the_server_never_looked_at_is_sent_once_more(method: Any) -> None:
    async with calling(refusing(1)) as (peer, caller):
        assert await take(caller, method) == ["yes"]
    assert len(peer.asked) == 2
    async with calling(refusing(2)) as (peer, caller):
        with pytest.raises(Error) as failure:
            await take(caller, method)
    assert (failure.value.code, len(peer.asked)) == (503, 2)


class AtOnce(Served):
    """Refuses the first call as soon as it begins."""

    def note(self, event: Event) -> None:
        super().note(event)
        if isinstance(event, RequestReceived) and len(self.peer.asked) == 1:
            self.h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)


@pytest.mark.parametrize("sent", [0, 1])
async def test_stream_that_the_server_never_looked_at_is_opened_anew_if_nothing_was_sent(
    sent: int,
) -> None:
    async with (
        calling(accept, served=AtOnce) as (peer, caller),
        caller.bidi_stream(CHAT) as stream,
    ):
        for _ in range(sent):
            await stream.send(text("ask"))
        reading = asyncio.create_task(cast("Any", anext(aiter(stream))))
        if sent:
            with pytest.raises(Error) as failure:
                await reading
            assert failure.value.code == 503
        else:
            await eventually(lambda: len(peer.asked) == 2)
            await stream.end()
            assert (await reading).value == "yes"


@pytest.mark.parametrize("method", [ECHO, WATCH], ids=lambda each: each.arity.value)
async def test_call_that_a_leaving_server_never_saw_goes_to_the_next(method: Any) -> None:
    def script(served: Served, stream: int) -> None:
        if served is served.peer.connections[0]:
            served.h2.close_connection(last_stream_id=0)
        else:
            served.answer(stream, wire("yes"))

    async with calling(script) as (peer, caller):
        assert await take(caller, method) == ["yes"]
    assert len(peer.connections) == 2


@every_method
async def test_call_that_a_connection_took_along_is_unavailable(method: Any) -> None:
    def script(served: Served, stream: int) -> None:
        served.transport.abort()

    async with calling(script) as (peer, caller):
        with pytest.raises(Error) as failure:
            await take(caller, method)
        peer.script = accept
        assert await take(caller, method) == ["yes"]
    assert failure.value.code == 503
    assert len(peer.asked) == 2


def accept(served: Served, stream: int) -> None:
    """Answer with one reply."""
    served.answer(stream, wire("yes"))


def hold(served: Served, stream: int) -> None:
    """Answer nothing."""


@every_method
async def test_call_whose_time_is_over_is_cancelled_at_the_server(method: Any) -> None:
    def script(served: Served, stream: int) -> None:
        if stream == 1:
            served.answer(stream, wire("yes"))

    async with calling(script) as (peer, caller):
        await take(caller, method)  # so that the connection stands, however slow the machine is
        with pytest.raises(Error) as failure:
            await take(caller, method, CallOptions(timeout=0.05))
        await eventually(lambda: peer.resets == [ErrorCodes.CANCEL])
    assert (failure.value.code, failure.value.reason) == (504, "DEADLINE_EXCEEDED")
    assert peer.asked[-1]["grpc-timeout"][-1] in "um"


@every_method
async def test_headers_beyond_the_limit_end_the_call_naming_the_limit(method: Any) -> None:
    def script(served: Served, stream: int) -> None:
        served.answer(stream, start=(*GRPC, ("x-long", "v" * 2000)), end=FINE)

    failure = await failure_of(script, method, limits=ClientLimits(max_headers=1000))
    assert failure.code == 429
    assert "1000" in failure.message


@every_method
async def test_reply_beyond_the_limit_is_refused_before_it_is_kept(method: Any) -> None:
    def script(served: Served, stream: int) -> None:
        served.h2.send_headers(stream, GRPC)
        served.h2.send_data(stream, b"\0\xff\xff\xff\xff" + bytes(2000))  # 4 GiB are to follow

    async with calling(script, limits=ClientLimits(max_receive=1000)) as (peer, caller):
        with pytest.raises(Error) as failure:
            await take(caller, method)
        await eventually(lambda: peer.resets == [ErrorCodes.CANCEL])
    assert (failure.value.code, failure.value.reason) == (429, "MESSAGE_TOO_LARGE")
    assert "4294967295 bytes exceeds 1000" in failure.value.message
    assert "max_receive sets it" in failure.value.message


@every_method
async def test_request_beyond_the_limit_is_not_sent(method: Any) -> None:
    async with calling(hold, limits=ClientLimits(max_send=4)) as (peer, caller):
        with pytest.raises(Error) as failure:
            await take(caller, method)
    assert (failure.value.code, failure.value.reason) == (429, "MESSAGE_TOO_LARGE")
    assert "max_send sets it" in failure.value.message
    assert not any(peer.resets[1:])


async def test_own_user_agent_goes_before_that_of_the_client() -> None:
    def script(served: Served, stream: int) -> None:
        served.answer(stream, wire("yes"))

    async with calling(script) as (peer, caller):
        await take(caller, ECHO, CallOptions(headers={"user-agent": "mine/1", "x-a": "b"}))
    assert peer.asked[0]["user-agent"] == "mine/1"
    assert peer.asked[0]["x-a"] == "b"


async def test_requests_wait_while_the_server_takes_none() -> None:
    produced = 0
    full = asyncio.Event()

    async def endless() -> AsyncIterator[StringValue]:
        nonlocal produced
        while True:
            produced += 1
            yield text("x" * 1000)

    class Deaf(Served):
        taken = 0

        def note(self, event: Event) -> None:
            if isinstance(event, DataReceived):
                self.taken += event.flow_controlled_length or 0
                if self.taken == WINDOW:
                    full.set()
            else:
                super().note(event)

    peer = Peer(hold)
    server = await asyncio.get_running_loop().create_server(lambda: Deaf(peer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = GrpcConnector(engine=ENGINE).connect(
        Node(scheme="grpc", address=f"127.0.0.1:{port}")
    )
    caller = ChainCaller(connection.invoke, transport="grpc", timeout=None)
    call = asyncio.create_task(caller.client_stream(COLLECT, endless()))
    await full.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # 64 KiB of the server's window, and as many that may wait.
    assert 60 < produced < 200
    await connection.aclose()
    server.close()
    await peer.leave()


@asynccontextmanager
async def proxying() -> AsyncGenerator[tuple[str, list[bytes]]]:
    """Run a proxy that leads wherever it is asked to, and notes where that is."""
    asked: list[bytes] = []
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.close()
            with suppress(ConnectionError):  # the other end was faster
                await writer.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        upstream, out = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for source, sink in ((reader, out), (upstream, writer)):
            pumps.add(asyncio.get_running_loop().create_task(pump(source, sink)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()
        await asyncio.wait(pumps)  # its ends have left


async def test_calls_lead_through_a_proxy() -> None:
    peer = Peer(accept)
    server = await asyncio.get_running_loop().create_server(lambda: Served(peer), "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with proxying() as (proxy, asked):
        connection = GrpcConnector(engine=ENGINE, proxy=proxy).connect(
            Node(scheme="grpc", address=address)
        )
        caller = ChainCaller(connection.invoke, transport="grpc", timeout=None)
        for _ in range(2):
            assert await take(caller) == ["yes"]
        await connection.aclose()
        await peer.leave()
    server.close()
    (head,) = asked
    assert head.startswith(f"CONNECT {address} HTTP/1.1\r\n".encode())
    assert b"proxy-authorization: Basic " in head


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"engine": "kratos", "options": [("grpc.enable_http_proxy", 1)]}, "engine='grpcio'"),
        ({"engine": "grpcio", "proxy": "http://proxy:3128"}, "engine='kratos'"),
        ({"engine": "own"}, "engine 'own' is none"),
        ({"engine": "kratos", "compression": "snappy"}, "snappy"),
        ({"engine": "kratos", "proxy": "socks5://proxy"}, "socks5"),
    ],
)
def test_option_that_the_engine_does_not_know_is_refused(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        GrpcConnector(**options)
