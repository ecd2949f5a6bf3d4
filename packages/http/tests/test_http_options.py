"""What definitions say by kratos/http.proto, at the server and at the client."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, ClassVar

import pytest
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from kratos.client import Client
from kratos.errors import ConfigError, Error, StartupError
from kratos.testing.echo import text
from kratos.transport import (
    Arity,
    Call,
    CallOptions,
    Handler,
    HttpEnvelope,
    HttpOptions,
    HttpRule,
    Method,
    Mount,
    Service,
    local,
    server_call,
)
from kratos_http import HttpConnector, HttpServer
from kratos_http.encoders import Encoders
from kratos_http.testing import OpenPeer, client_of

# By name: these modules ship without types.
Peer: Any = import_module("google.rpc.context.attribute_context_pb2").AttributeContext.Request
HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody

JSON = [("Content-Type", "application/json")]
NAMES = HttpEnvelope(
    success=200,
    message="fine",
    code_key="status",
    reason_key="",
    message_key="msg",
    data_key="result",
)


def method(
    name: str,
    kind: type[Message] = StringValue,
    arity: Arity = Arity.UNARY,
    response_body: str = "",
    **options: Any,
) -> Method[Any, Any]:
    path = f"/{name.lower()}"
    return Method(
        operation=f"/test.Things/{name}",
        name=name.lower(),
        arity=arity,
        request=kind,
        reply=kind,
        http=(HttpRule(verb="POST", path=path, body="*", response_body=response_body),),
        http_options=HttpOptions(**options),
    )


WRAPPED = method("Wrapped", envelope=HttpEnvelope())
NAMED = method("Named", envelope=NAMES)
SMOOTH = method("Smooth", envelope=HttpEnvelope(status_ok=True))
PART = method("Part", Peer, response_body="auth", envelope=HttpEnvelope())
SLOW = method("Slow", timeout=0.02)
PATIENT = method("Patient", timeout=0)
STREAM = method("Stream", arity=Arity.SERVER_STREAM, timeout=0.02, envelope=HttpEnvelope())
LARGE = method("Large", max_body=6_000_000)
SMALL = method("Small", max_body=10)
RAW = method("Raw", HttpBody, Arity.CLIENT_STREAM, max_body=10)
METHODS = (WRAPPED, NAMED, SMOOTH, PART, SLOW, PATIENT, STREAM, LARGE, SMALL, RAW)


class Things(Service):
    """Answers with what it was asked, unless that is a word to be obeyed."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = METHODS

    async def wrapped(self, request: Any, /) -> Any:
        if request == text("fail"):
            raise Error(404, "NO_THING", "there is none", {"id": "7"})
        return request

    named = smooth = part = large = small = wrapped

    async def slow(self, _request: Any, /) -> Any:
        await asyncio.get_running_loop().create_future()

    async def patient(self, request: StringValue, /) -> StringValue:
        call = server_call()
        assert call is not None
        if call.deadline is not None:
            await asyncio.get_running_loop().create_future()
        return request

    async def stream(self, request: Any, /) -> AsyncIterator[Any]:
        yield request
        await asyncio.get_running_loop().create_future()

    async def raw(self, requests: AsyncIterator[Any], /) -> Any:
        return HttpBody(data=b"".join([request.data async for request in requests]))


def things(**options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount(Mount(services=[Things()]))
    return server


async def post(open_peer: OpenPeer, path: str, word: str, **options: Any) -> tuple[int, Any]:
    async with open_peer(things(**options)) as peer:
        answer = await peer.request("POST", path, headers=JSON, body=json.dumps(word).encode())
    return answer.status, answer.json()


class TestEnvelope:
    async def test_reply_is_its_data(self, open_peer: OpenPeer) -> None:
        assert await post(open_peer, "/wrapped", "x") == (
            200,
            {"code": 0, "reason": "", "message": "ok", "data": "x"},
        )

    async def test_error_is_in_it_under_its_own_status(self, open_peer: OpenPeer) -> None:
        status, answer = await post(open_peer, "/wrapped", "fail")
        assert status == 404
        assert answer == {
            "code": 404,
            "reason": "NO_THING",
            "message": "there is none",
            "data": None,
            "metadata": {"id": "7"},
        }

    async def test_names_are_those_of_the_definition(self, open_peer: OpenPeer) -> None:
        assert await post(open_peer, "/named", "x") == (
            200,
            {"status": 200, "msg": "fine", "result": "x"},
        )

    async def test_errors_may_be_sent_under_200(self, open_peer: OpenPeer) -> None:
        status, answer = await post(open_peer, "/smooth", "fail")
        assert (status, answer["code"]) == (200, 404)

    async def test_data_is_what_the_rule_gives(self, open_peer: OpenPeer) -> None:
        async with open_peer(things()) as peer:
            body = b'{"auth": {"principal": "me"}}'
            answer = await peer.request("POST", "/part", headers=JSON, body=body)
        assert answer.json()["data"]["principal"] == "me"

    async def test_other_formats_have_none(self, open_peer: OpenPeer) -> None:
        headers = [*JSON, ("Accept", "application/proto")]
        async with open_peer(things()) as peer:
            answer = await peer.request("POST", "/wrapped", headers=headers, body=b'"x"')
        assert StringValue.FromString(answer.body) == text("x")

    async def test_encoders_of_the_server_go_before_it(self, open_peer: OpenPeer) -> None:
        encoders = {"/test.Things/": Encoders()}
        assert await post(open_peer, "/wrapped", "x", encoders=encoders) == (200, "x")

    async def test_it_goes_before_the_encoder_of_all(self, open_peer: OpenPeer) -> None:
        def refuse(*_: Any) -> Any:
            raise AssertionError

        status, _ = await post(open_peer, "/wrapped", "x", reply_encoder=refuse)
        assert status == 200

    def test_impossible_one_stops_the_start(self) -> None:
        class Odd(Service):
            METHODS = (method("Odd", envelope=HttpEnvelope(code_key="data")),)

            async def odd(self, request: Any, /) -> Any:
                return request

        server = HttpServer("127.0.0.1:0")
        with pytest.raises((StartupError, ConfigError), match="envelope"):
            server.mount(Mount(services=[Odd()]))


class TestEnvelopeAtTheClient:
    @pytest.mark.parametrize("method", [WRAPPED, NAMED, SMOOTH], ids=lambda one: one.name)
    @pytest.mark.parametrize("codec", ["protojson", "json", "proto"])
    async def test_reply_is_taken_out(self, method: Method[Any, Any], codec: str) -> None:
        async with client_of(things(), transport=HttpConnector(codec=codec)) as client:
            assert await client.unary(method, text("x"), None) == text("x")

    async def test_field_is_taken_out(self) -> None:
        request = Peer(auth={"principal": "me"})
        async with client_of(things()) as client:
            assert await client.unary(PART, request, None) == request
            assert await client.unary(PART, Peer(), None) == Peer()

    @pytest.mark.parametrize("method", [WRAPPED, NAMED, SMOOTH], ids=lambda one: one.name)
    async def test_error_is_taken_out(self, method: Method[Any, Any]) -> None:
        async with client_of(things()) as client:
            with pytest.raises(Error) as failure:
                await client.unary(method, text("fail"), None)
        error = failure.value
        assert (error.code, error.message, dict(error.metadata)) == (
            404,
            "there is none",
            {"id": "7"},
        )
        assert error.reason == ("" if method is NAMED else "NO_THING")

    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (200, b' { "code" : 0, "data": "x", "trace": 1 }', "x"),
            (200, b'{"code":0,"reason":"","message":"ok","data":"x","more":"}"}', "x"),
            (200, b'{"code":0}', ""),
            (200, b'{"code":7,"reason":"R","message":"m"}', (7, "R", "m")),
            (200, b'{"code":"odd","message":"m"}', (500, "", "m")),
            (200, b'"x"', (500, "CODEC", "the reply has no 'code': no envelope")),
            (200, b'{"value":"x"}', (500, "CODEC", "the reply has no 'code': no envelope")),
            (404, b'{"code":1,"reason":"R","message":"m"}', (404, "R", "m")),
            (404, b'{"reason":"R","message":"m"}', (404, "R", "m")),
        ],
    )
    async def test_answers_of_strangers_are_read(
        self, status: int, body: bytes, outcome: Any
    ) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            async with Client(url) as client:
                assert await outcome_of(client) == outcome


async def test_error_that_is_no_envelope_keeps_its_status() -> None:
    async def refuse(call: Call, request: Any, next: Handler, /) -> Any:
        raise Error(502, "BAD_GATEWAY", "from between")

    bare = {"/test.Things/": Encoders()}
    async with client_of(things(middleware=[refuse], encoders=bare)) as client:
        assert await outcome_of(client) == (502, "BAD_GATEWAY", "from between")


async def outcome_of(client: Client) -> Any:
    """Return the reply's text, or what the error says."""
    try:
        return (await client.unary(WRAPPED, text("x"), None)).value
    except Error as error:
        return error.code, error.reason, error.message


class TestTimeout:
    @pytest.mark.parametrize("options", [{}, {"timeout": None}, {"timeout": 100.0}])
    async def test_server_keeps_that_of_the_definition(
        self, open_peer: OpenPeer, options: dict[str, Any]
    ) -> None:
        status, _ = await post(open_peer, "/slow", "x", **options)
        assert status == 504

    async def test_server_has_none_where_the_definition_says_so(self, open_peer: OpenPeer) -> None:
        assert await post(open_peer, "/patient", "x", timeout=0.01) == (200, "x")

    async def test_server_that_names_the_operation_goes_first(self, open_peer: OpenPeer) -> None:
        status, _ = await post(open_peer, "/patient", "x", timeouts={PATIENT.operation: 0.01})
        assert status == 504

    async def test_stream_ends_at_its_own(self, open_peer: OpenPeer) -> None:
        async with open_peer(things()) as peer:
            answer = await peer.request("POST", "/stream", headers=JSON, body=b'"x"')
        assert b'"code":504' in answer.body

    async def test_client_keeps_that_of_the_definition(self) -> None:
        async with client_of(things(timeouts={SLOW.operation: math.inf})) as client:
            with pytest.raises(Error) as failure:
                await client.unary(SLOW, text("x"), None)
            assert await client.unary(PATIENT, text("x"), None) == text("x")
        assert failure.value.code == 504

    async def test_client_with_a_shorter_one_of_all_keeps_it_too(self) -> None:
        async with client_of(things(), timeout=0.01) as client:
            assert await client.unary(PATIENT, text("x"), None) == text("x")

    async def test_options_of_a_call_go_first(self) -> None:
        async with client_of(things()) as client:
            with pytest.raises(Error) as failure:
                await client.unary(PATIENT, text("x"), CallOptions(timeout=0.01))
        assert failure.value.code == 504

    async def test_it_is_that_of_http_alone(self) -> None:
        caller = local(Things(), timeout=0.01)
        with pytest.raises(Error) as failure:
            await caller.unary(PATIENT, text("x"), None)
        assert failure.value.code == 504


class TestMaxBody:
    @pytest.mark.parametrize(
        ("path", "size", "status"),
        [("/large", 5_000_000, 200), ("/small", 11, 413), ("/wrapped", 5_000_000, 413)],
    )
    async def test_definition_says_it(
        self, open_peer: OpenPeer, path: str, size: int, status: int
    ) -> None:
        async with open_peer(things()) as peer:
            body = b'"%b"' % (b"x" * (size - 2))
            assert (await peer.request("POST", path, headers=JSON, body=body)).status == status

    @pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413)])
    async def test_it_holds_for_uploads(self, open_peer: OpenPeer, size: int, status: int) -> None:
        async with open_peer(things()) as peer:
            assert (await peer.request("POST", "/raw", body=bytes(size))).status == status
