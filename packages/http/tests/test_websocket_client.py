"""The client's end of WebSockets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, ClassVar

import pytest

from kratos.client import Client
from kratos.errors import Error
from kratos.testing.echo import CHAT, COLLECT, text
from kratos.transport import Arity, Call, CallOptions, Handler, HttpRule, Method, Mount, Service
from kratos_http import HttpConnector, HttpServer
from kratos_http._control import read_error, read_fields
from kratos_http.testing import eventually, frame, running

# By name: these modules ship without types.
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody
Peer: Any = import_module("google.rpc.context.attribute_context_pb2").AttributeContext.Request

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NORMAL = b"\x03\xe8"


def bidi(name: str, kind: Any, rule: HttpRule) -> Method[Any, Any]:
    return Method(
        operation=f"/test.Rooms/{name}",
        name=name.lower(),
        arity=Arity.BIDI_STREAM,
        request=kind,
        reply=kind,
        http=(rule,),
    )


ROOM = bidi("Room", Peer, HttpRule(verb="POST", path="/rooms/{host}", body="auth"))
RAW = bidi("Raw", HttpBody, HttpRule(verb="POST", path="/raw", body="*"))


class Rooms(Service):
    """Sends back what it gets."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (ROOM, RAW)

    async def room(self, requests: AsyncIterator[Any], /) -> AsyncIterator[Any]:
        async for request in requests:
            yield request

    raw = room


@asynccontextmanager
async def client_of(**options: Any) -> AsyncGenerator[Client]:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount(Mount(services=[Rooms()]))
    async with running(server):
        (url,) = await server.bind()
        async with Client(url, transport=HttpConnector(max_connections=1)) as client:
            yield client


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


@asynccontextmanager
async def fake(talk: Talk, **options: Any) -> AsyncGenerator[Client]:
    """Be a server that does what none should; ``talk`` gets the key that answers the client's."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if b"-key: " in line)
        guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        answer = base64.b64encode(hashlib.sha1(key + guid, usedforsecurity=False).digest())
        try:
            await talk(reader, writer, answer)
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with Client(url, transport=HttpConnector(**options)) as client:
            yield client
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def accepted(key: bytes, more: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (key, more)
    )


def plain(opcode: int, payload: bytes = b"") -> bytes:
    return frame(opcode, payload, masked=False)


async def outcome(client: Client, *, send: bool = False) -> Error:
    """Chat until the call fails, and return the failure."""

    async def chat() -> None:
        async with client.bidi_stream(CHAT, None) as stream:
            if send:
                await stream.send(text("x"))
            async for _ in stream:
                pass

    with pytest.raises(Error) as failure:
        await chat()
    return failure.value


class TestOpening:
    async def test_first_request_fills_in_path_and_query(self) -> None:
        async with client_of() as client, client.bidi_stream(ROOM, None) as stream:
            for principal in ("a", "b"):
                request = Peer(host="the den", path="/x", auth={"principal": principal})
                await stream.send(request)
                assert await stream.__anext__() == request
            await stream.end()
            assert [reply async for reply in stream] == []

    async def test_stream_that_sends_nothing_has_no_path(self) -> None:
        async with client_of() as client, client.bidi_stream(ROOM, None) as stream:
            await stream.end()
            with pytest.raises(Error, match="host") as failure:
                await stream.__anext__()
        assert failure.value.code == 400

    async def test_raw_bodies_go_as_they_are(self) -> None:
        async with client_of() as client, client.bidi_stream(RAW, None) as stream:
            await stream.send(HttpBody(data=b"\x1eend\xff"))
            assert (await stream.__anext__()).data == b"\x1eend\xff"

    @pytest.mark.parametrize("method", [ROOM, RAW], ids=["lazy", "at once"])
    async def test_refusal_arrives_whole(self, method: Method[Any, Any]) -> None:
        async def refuse(call: Call, request: Any, next: Handler, /) -> Any:
            raise Error(401, "UNAUTHORIZED", "who are you?", {"realm": "x"})

        async def chat(client: Client) -> None:
            async with client.bidi_stream(method, None) as stream:
                await stream.send(Peer(host="x") if method is ROOM else HttpBody())
                await stream.__anext__()

        async with client_of(middleware=[refuse]) as client:
            for _ in range(2):  # the one connection is given back
                with pytest.raises(Error) as failure:
                    await chat(client)
                assert failure.value.metadata == {"realm": "x"}
                assert failure.value.reason == "UNAUTHORIZED"

    async def test_server_that_cannot_be_reached_is_503(self) -> None:
        async with Client("http://127.0.0.1:1", transport=HttpConnector()) as client:
            options = CallOptions(fail_fast=True)
            with pytest.raises(Error) as failure:
                await client.client_stream(COLLECT, [text("x")], options)
        assert failure.value.code == 503

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "CODEC"),
            (accepted(b"wrong"), "CODEC"),
            (
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                "CODEC",
            ),
            (b"no HTTP at all\r\n\r\n", "UNAVAILABLE"),
            (b"", "UNAVAILABLE"),
        ],
    )
    async def test_answer_that_is_none_to_the_handshake_is_an_error(
        self, answer: bytes, reason: str
    ) -> None:
        async def talk(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, _k: bytes) -> None:
            writer.write(answer)

        async with fake(talk) as client:
            assert (await outcome(client)).reason == reason

    async def test_protocol_that_was_not_offered_is_refused(self) -> None:
        async def talk(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes) -> None:
            writer.write(accepted(key, b"Sec-WebSocket-Protocol: chat\r\n"))

        async with fake(talk) as client:
            assert (await outcome(client)).reason == "CODEC"


class TestEnds:
    @pytest.mark.parametrize(
        ("sent", "code", "reason"),
        [
            (plain(CLOSE, b"\x03\xf3"), 503, "UNAVAILABLE"),
            (plain(CLOSE), 503, "UNAVAILABLE"),
            (b"", 503, "UNAVAILABLE"),
            (plain(TEXT, b"["), 500, "CODEC"),
            (plain(TEXT, b"\x1ewhat"), 500, "CODEC"),
            (plain(TEXT, b"\xff"), 500, "CODEC"),
            (frame(TEXT, b'"masked"'), 500, "CODEC"),
            (plain(TEXT, b"x" * 200), 500, "REPLY_TOO_LARGE"),
            (plain(TEXT, b"\x1eerror:oops"), 500, "UNKNOWN"),
            (
                plain(
                    TEXT,
                    b"\x1eerror:error: code = 418 reason = TEA message = a b metadata = "
                    b"map[] cause = <nil>",
                ),
                418,
                "TEA",
            ),
        ],
    )
    async def test_everything_but_a_good_close_is_an_error(
        self, sent: bytes, code: int, reason: str
    ) -> None:
        async def talk(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes) -> None:
            writer.write(accepted(key) + sent)

        async with fake(talk, max_reply=100) as client:
            error = await outcome(client)
        assert (error.code, error.reason) == (code, reason)

    @pytest.mark.parametrize("sent", [NORMAL, b"\x03\xe9"])
    async def test_good_close_is_the_end(self, sent: bytes) -> None:
        async def talk(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes) -> None:
            writer.write(accepted(key) + plain(TEXT, b'"a"') + plain(CLOSE, sent))

        async with fake(talk) as client, client.bidi_stream(CHAT, None) as stream:
            assert [reply.value async for reply in stream] == ["a"]

    async def test_call_without_its_reply_is_an_error(self) -> None:
        async def talk(_r: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes) -> None:
            writer.write(accepted(key) + plain(CLOSE, NORMAL))

        async with fake(talk) as client:
            with pytest.raises(Error, match="without a reply"):
                await client.client_stream(COLLECT, [], None)


class TestPings:
    async def test_pings_are_answered_while_nobody_receives(self) -> None:
        ponged = asyncio.Event()

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes
        ) -> None:
            writer.write(accepted(key) + plain(PING, b"?"))
            assert (await reader.readexactly(7))[0] & 0x0F == PONG
            ponged.set()
            await reader.read()

        async with fake(talk) as client, client.bidi_stream(CHAT, None):
            await ponged.wait()

    async def test_server_of_ours_that_falls_silent_is_given_up(self) -> None:
        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes
        ) -> None:
            writer.write(accepted(key, b"Sec-WebSocket-Protocol: kratos.stream.v1\r\n"))
            await reader.read()

        async with fake(talk, ping_interval=0.01, ping_timeout=0.01) as client:
            assert (await outcome(client)).reason == "UNAVAILABLE"

    async def test_go_server_is_not_pinged(self) -> None:
        came: list[bytes] = []

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: bytes
        ) -> None:
            writer.write(accepted(key))
            came.append(await reader.read())

        async with fake(talk, ping_interval=0.01, ping_timeout=0.01) as client:
            async with client.bidi_stream(CHAT, CallOptions(timeout=1.0)) as stream:
                with pytest.raises(Error, match="DEADLINE"):
                    await stream.__anext__()
            await eventually(lambda: came)
        assert came == [b""]


NO_CAUSE = " metadata = map[] cause = <nil>\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "error: code = 404 reason = R message = m metadata = map[k:v] cause = <nil>",
            (404, "R", "m"),
        ),
        (
            f"error: code = 1 reason =  message = m{NO_CAUSE}{NO_CAUSE}",
            (1, "", f"m{NO_CAUSE}"),
        ),
    ],
)
def test_error_of_go_is_read_from_its_text(text: str, parts: tuple[int, str, str]) -> None:
    error = read_error(text, own=False)
    assert (error.code, error.reason, error.message) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "error: code = 404 reason = R message = m metadata = map[k:v]",
        "error: code = 404 reason = R message = m cause = <nil>",
        "error: code = x reason = R message = m metadata = map[] cause = <nil>",
        "error: code = " + "9" * 5000 + " reason = R message = m metadata = map[] cause = <nil>",
        # An expression would take hours to find that nothing ends what begins so often.
        "error: code = 1 reason = " + " message = " * 5000 + " metadata = map[" * 5000 + "]" * 5000,
    ],
    ids=range(6),
)
def test_other_text_is_the_message_of_an_error(text: str) -> None:
    error = read_error(text, own=False)
    assert (error.code, error.reason, error.message) == (500, "UNKNOWN", text)


def test_malformed_words_of_a_server_do_not_break_the_client() -> None:
    assert read_error("[" * 100_000, own=True).code == 500
    assert read_error('{"code": ' + "9" * 4000 + "}", own=True).code == 500
    assert len(read_fields("[" * 100_000)) == 0
    assert read_error("[1", own=True).code == 500
    assert read_error('{"code": "x", "metadata": [1]}', own=True).metadata == {}
    assert list(read_fields('{"x-a": ["1", "b\\n"], "x-b": 1, "": ["x"]}').items()) == [
        ("x-a", "1")
    ]
