"""Envelopes around replies and errors, on both engines."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from google.protobuf.struct_pb2 import Value
from google.protobuf.wrappers_pb2 import StringValue

from kratos.errors import ConfigError, Error, StartupError
from kratos.testing.echo import EchoService
from kratos.transport import Arity, HttpRule, Method, Mount, Service
from kratos_http import Encoders, Envelope, HttpServer, Redirect, Request
from kratos_http.testing import OpenPeer, SocketPeer, running

ECHO = "/kratos.testing/echo"
JSON = [("Content-Type", "application/json")]


def enveloped(envelope: Envelope, **options: Any) -> HttpServer:
    server = HttpServer(
        "127.0.0.1:0",
        reply_encoder=envelope.encode_reply,
        error_encoder=envelope.encode_error,
        **options,
    )
    server.mount(Mount(services=[EchoService()]))
    return server


async def test_replies_and_errors_have_one_shape(open_peer: OpenPeer) -> None:
    async with open_peer(enveloped(Envelope())) as peer:
        reply = await peer.request("POST", ECHO, headers=JSON, body='"ä"'.encode())
        error = await peer.request("POST", ECHO, headers=JSON, body=b'"fail"')
        bad = await peer.request("POST", ECHO, headers=JSON, body=b"{")
        nowhere = await peer.request("GET", "/nowhere")
    assert (reply.status, reply.header("content-type")) == (200, "application/json")
    assert reply.json() == {"code": 0, "reason": "", "message": "ok", "data": "ä"}
    assert error.status == error.json()["code"] >= 400
    assert list(error.json())[:4] == ["code", "reason", "message", "data"]
    assert error.json()["data"] is None
    assert (bad.status, bad.json()["reason"]) == (400, "CODEC")
    assert (nowhere.status, nowhere.json()["reason"]) == (404, "NOT_FOUND")


async def test_names_codes_and_status_are_chosen(open_peer: OpenPeer) -> None:
    envelope = Envelope(
        success=200,
        message="fine",
        status_ok=True,
        code_key="errno",
        reason_key="",
        message_key="msg",
        data_key="result",
    )
    async with open_peer(enveloped(envelope)) as peer:
        reply = await peer.request("POST", ECHO, headers=JSON, body=b'"a"')
        nowhere = await peer.request("GET", "/nowhere")
    assert reply.body == b'{"errno":200,"msg":"fine","result":"a"}'
    assert nowhere.status == 200
    assert nowhere.json() == {
        "errno": 404,
        "msg": "nothing is served at /nowhere",
        "result": None,
    }


async def test_other_formats_have_no_envelope(open_peer: OpenPeer) -> None:
    async with open_peer(enveloped(Envelope())) as peer:
        headers = [*JSON, ("Accept", "application/proto")]
        reply = await peer.request("POST", ECHO, headers=headers, body=b'"a"')
        error = await peer.request("POST", ECHO, headers=headers, body=b"{")
    assert StringValue.FromString(reply.body).value == "a"
    assert (error.status, error.header("content-type")) == (400, "application/proto")


def test_metadata_of_an_error_is_kept_and_a_redirect_redirects() -> None:
    envelope = Envelope()
    error = Error(409, "TAKEN", 'by "you"', {"id": "7"})
    assert json.loads(envelope.encode_error(error, "").body) == {
        "code": 409,
        "reason": "TAKEN",
        "message": 'by "you"',
        "data": None,
        "metadata": {"id": "7"},
    }
    reply = envelope.encode_error(Redirect("/there"), "")
    assert (reply.status, list(reply.headers)) == (302, [(b"location", b"/there")])
    assert envelope.encode_error(Error(7, "ODD", ""), "").status == 500


VALUE = Method(
    operation="/test.Values/Get",
    name="get",
    arity=Arity.UNARY,
    request=StringValue,
    reply=Value,
    http=(HttpRule(verb="GET", path="/value"),),
)


class Values(Service):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (VALUE,)

    async def get(self, request: StringValue, /) -> Value:
        return Value(number_value=float("nan"))


async def test_reply_that_json_cannot_express_is_an_error_of_the_server(
    open_peer: OpenPeer, caplog: pytest.LogCaptureFixture
) -> None:
    envelope = Envelope()
    server = HttpServer("127.0.0.1:0", encoders={"/test.Values/Get": envelope.encoders})
    server.mount(Mount(services=[Values()]))
    async with open_peer(server) as peer:
        answer = await peer.request("GET", "/value")
    assert (answer.status, answer.json()["code"]) == (500, 500)
    assert "/test.Values/Get returned what cannot be sent" in caplog.text


@pytest.mark.parametrize("name", ["/kratos.testing.Echo/Echo", "/kratos.testing.Echo/"])
async def test_encoders_are_chosen_by_operation_or_service(open_peer: OpenPeer, name: str) -> None:
    (operation,) = {
        method.operation for method in EchoService.METHODS if method.arity is Arity.UNARY
    }
    chosen = operation if name.endswith("Echo") else operation.rpartition("/")[0] + "/"
    plain = enveloped(Envelope(), encoders={chosen: Encoders()})
    async with open_peer(plain) as peer:
        reply = await peer.request("POST", ECHO, headers=JSON, body=b'"a"')
        error = await peer.request("POST", ECHO, headers=JSON, body=b"{")
        nowhere = await peer.request("GET", "/nowhere")
    assert reply.body == b'"a"'
    assert "data" not in error.json()
    assert "data" in nowhere.json()


def test_encoders_for_what_is_not_served_are_refused() -> None:
    with pytest.raises(StartupError, match=r"/shop\.Orders/Get"):
        enveloped(Envelope(), encoders={"/shop.Orders/Get": Encoders()})


async def test_call_in_a_group_with_encoders_knows_where_it_is_served() -> None:
    server = HttpServer("127.0.0.1:0")
    envelope = Envelope()
    seen: list[str] = []

    async def handler(request: Request) -> StringValue:
        seen.append(request.call.endpoint)
        return StringValue(value="a")

    group = server.group(reply_encoder=envelope.encode_reply, error_encoder=envelope.encode_error)
    group.add("GET", "/", handler)
    server.mount(Mount(services=()))
    async with running(server) as serving:
        (url,) = await serving.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        answer = await peer.request("GET", "/")
        await peer.aclose()
    assert answer.json()["data"] == "a"
    assert seen == [url]


@pytest.mark.parametrize("keys", [{"code_key": ""}, {"data_key": "code"}, {"message_key": "data"}])
def test_keys_that_would_hide_each_other_are_refused(keys: Any) -> None:
    with pytest.raises(ConfigError, match="keys"):
        Envelope(**keys)
