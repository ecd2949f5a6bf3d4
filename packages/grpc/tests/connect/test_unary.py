"""Unary calls over Connect, as bytes on the wire."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from typing import Any, ClassVar

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from packages.grpc.tests.connect.conftest import Speak

from kratos.errors import Error, bad_request
from kratos.testing.echo import EchoService
from kratos.transport import Arity, Call, Handler, Method, Service, server_call
from kratos_http.testing import Answer, SocketPeer

ECHO = "/kratos.testing.Echo/Echo"
JSON = ("Content-Type", "application/json")
PROTO = ("Content-Type", "application/proto")
GZIP = ("Content-Encoding", "gzip")


def gzipped(data: bytes) -> bytes:
    return zlib.compress(data, wbits=31)


async def echo(peer: SocketPeer, word: str, *headers: tuple[str, str]) -> Answer:
    return await peer.request(
        "POST", ECHO, headers=[JSON, *headers], body=json.dumps(word).encode()
    )


async def test_a_call_in_json_is_answered_in_json(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await peer.request("POST", ECHO, headers=[JSON], body=b'"hello"')
        assert (answer.status, answer.body) == (200, b'"hello"')
        assert answer.values("content-type") == ["application/json"]


async def test_a_call_in_protobuf_is_answered_in_protobuf(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        body = StringValue(value="hello").SerializeToString()
        answer = await peer.request("POST", ECHO, headers=[PROTO], body=body)
        assert StringValue.FromString(answer.body).value == "hello"
        assert answer.values("content-type") == ["application/proto"]


async def test_an_empty_body_is_an_empty_message_in_protobuf_alone(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await peer.request("POST", ECHO, headers=[PROTO])
        assert (answer.status, answer.body) == (200, b"")
        answer = await peer.request("POST", ECHO, headers=[JSON])
        assert (answer.status, answer.json()["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"]
)
async def test_content_types_are_known_however_they_are_written(speak: Speak, kind: str) -> None:
    async with speak(EchoService()) as peer:
        answer = await peer.request("POST", ECHO, headers=[("Content-Type", kind)], body=b'"a"')
        assert (answer.status, answer.body) == (200, b'"a"')


async def test_another_content_type_is_refused_with_those_that_are_taken(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        for kind in ("image/jpeg", "application/connect+json", ""):
            headers = [("Content-Type", kind)] if kind else []
            answer = await peer.request("POST", ECHO, headers=headers, body=b"x")
            assert answer.status == 415
            assert answer.header("accept-post") == "application/proto, application/json"


async def test_another_verb_is_refused_with_those_that_are_taken(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        for verb in ("GET", "DELETE", "PUT"):
            answer = await peer.request(verb, ECHO, headers=[JSON])
            assert (answer.status, answer.header("allow")) == (405, "POST")


async def test_an_unknown_method_is_not_found_in_words_of_connect(speak: Speak) -> None:
    version = ("Connect-Protocol-Version", "1")
    async with speak(EchoService()) as peer:
        answer = await peer.request(
            "POST", "/kratos.testing.Echo/Missing", headers=[JSON, version], body=b"{}"
        )
        assert answer.status == 404
        assert "no method /kratos.testing.Echo/Missing" in answer.body.decode()
        streamed = [("Content-Type", "application/connect+proto"), version]
        answer = await peer.request("POST", "/a.B/C", headers=streamed)
        assert answer.status == 404


async def test_what_is_no_call_is_left_to_the_other_routes(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await peer.request("POST", "/kratos.testing/echo", headers=[JSON], body=b'"a"')
        assert (answer.status, answer.body) == (200, b'"a"')
        answer = await peer.request("POST", "/kratos.testing/missing", headers=[JSON], body=b"{}")
        assert (answer.status, answer.json()["code"]) == (404, 404)


async def test_a_prefix_stands_before_every_path(speak: Speak) -> None:
    async with speak(EchoService(), prefix="/rpc/") as peer:
        answer = await peer.request("POST", f"/rpc{ECHO}", headers=[JSON], body=b'"a"')
        assert answer.body == b'"a"'
        assert (await peer.request("POST", ECHO, headers=[JSON], body=b'"a"')).status == 404


async def test_errors_tell_code_message_reason_and_metadata(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await echo(peer, "fail")
        assert (answer.status, answer.header("content-type")) == (409, "application/json")
        told = answer.json()
        assert (told["code"], told["message"]) == ("aborted", "try later")
        (detail,) = told["details"]
        assert detail["type"] == "google.rpc.ErrorInfo"
        assert detail["debug"]["reason"] == "BUSY"
        info = ErrorInfo.FromString(base64.b64decode(detail["value"] + "=="))
        assert (info.reason, dict(info.metadata)) == ("BUSY", {"table": "7", "ünï": "cödé"})


async def test_what_a_handler_must_not_tell_stays_here(
    speak: Speak, caplog: pytest.LogCaptureFixture
) -> None:
    async with speak(EchoService()) as peer:
        answer = await echo(peer, "crash")
        assert (answer.status, answer.json()["code"]) == (500, "internal")
        assert "secret" not in answer.body.decode()
    assert "inner secret" in caplog.text


async def test_malformed_json_is_refused_with_its_place(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await peer.request("POST", ECHO, headers=[JSON], body=b"{")
        assert (answer.status, answer.json()["code"]) == (400, "invalid_argument")
        assert "google.protobuf.StringValue in JSON: $" in answer.json()["message"]
        answer = await peer.request("POST", ECHO, headers=[PROTO], body=b"\xff")
        assert answer.json()["code"] == "invalid_argument"


async def test_the_time_that_a_client_has_is_that_of_the_call(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await echo(peer, "hang", ("Connect-Timeout-Ms", "20"))
        assert (answer.status, answer.json()["code"]) == (504, "deadline_exceeded")
        answer = await echo(peer, "hello", ("Connect-Timeout-Ms", "0"))
        assert answer.status == 504
        answer = await echo(peer, "hello", ("Connect-Timeout-Ms", "9999999999"))
        assert answer.status == 200


@pytest.mark.parametrize("value", ["", "-1", "1.5", "12345678901", "1s"])
async def test_what_is_no_time_limit_is_refused(speak: Speak, value: str) -> None:
    async with speak(EchoService()) as peer:
        answer = await echo(peer, "hello", ("Connect-Timeout-Ms", value or "+"))
        assert (answer.status, answer.json()["code"]) == (400, "invalid_argument")
        assert "Connect-Timeout-Ms" in answer.json()["message"]


async def test_the_version_may_be_asked_for(speak: Speak) -> None:
    async with speak(EchoService(), require_version=True) as peer:
        assert (await echo(peer, "a")).status == 400
        assert (await echo(peer, "a", ("Connect-Protocol-Version", "1"))).status == 200
    async with speak(EchoService()) as peer:
        answer = await echo(peer, "a", ("Connect-Protocol-Version", "2"))
        assert answer.status == 400
        assert "not '2'" in answer.json()["message"]


async def test_compressed_requests_are_read(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        for coding, window in (("gzip", 31), ("deflate", 15)):
            headers = [JSON, ("Content-Encoding", coding)]
            body = zlib.compress(b'"hello"', wbits=window)
            answer = await peer.request("POST", ECHO, headers=headers, body=body)
            assert answer.body == b'"hello"'
        answer = await peer.request("POST", ECHO, headers=[PROTO, GZIP])
        assert (answer.status, answer.body) == (200, b"")  # no bytes are never compressed
        answer = await echo(peer, "hello", ("Content-Encoding", "identity"))
        assert answer.body == b'"hello"'


async def test_an_unknown_coding_is_refused_with_those_that_are_known(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await echo(peer, "hello", ("Content-Encoding", "lzw"))
        assert (answer.status, answer.json()["code"]) == (501, "unimplemented")
        assert "gzip, deflate" in answer.json()["message"]


async def test_a_request_that_is_no_compressed_message_is_refused(speak: Speak) -> None:
    async with speak(EchoService()) as peer:
        answer = await echo(peer, "hello", GZIP)
        assert (answer.status, answer.json()["code"]) == (400, "invalid_argument")


async def test_a_large_request_is_refused_on_the_wire_and_when_it_is_inflated(speak: Speak) -> None:
    async with speak(EchoService(), max_receive=1000) as peer:
        answer = await peer.request("POST", ECHO, headers=[JSON, GZIP], body=gzipped(b" " * 1001))
        assert (answer.status, answer.json()["code"]) == (429, "resource_exhausted")
        answer = await echo(peer, "x" * 1000)
        assert (answer.status, answer.json()["code"]) == (429, "resource_exhausted")
        assert "exceeds 1000" in answer.json()["message"]


async def test_a_large_reply_is_not_sent(speak: Speak, caplog: pytest.LogCaptureFixture) -> None:
    async with speak(EchoService(), max_send=10) as peer:
        answer = await echo(peer, "hello, world")
        assert answer.json()["code"] == "resource_exhausted"
    assert "exceeds 10" in caplog.text


async def test_replies_are_compressed_where_both_want_it(speak: Speak) -> None:
    word = "x" * 2000
    async with speak(EchoService(), compression=["gzip", "deflate"]) as peer:
        answer = await echo(peer, word, ("Accept-Encoding", "br, deflate, gzip"))
        assert answer.header("content-encoding") == "deflate"
        assert json.loads(zlib.decompress(answer.body)) == word
        assert answer.header("vary") == "accept-encoding"
        answer = await echo(peer, word, ("Accept-Encoding", "deflate;q=0, gzip"))
        assert answer.header("content-encoding") == "gzip"
        answer = await echo(peer, word)
        assert answer.json() == word
        answer = await echo(peer, "short", ("Accept-Encoding", "gzip"))
        assert answer.json() == "short"
        answer = await peer.request(
            "POST", ECHO, headers=[JSON, GZIP], body=gzipped(json.dumps(word).encode())
        )
        assert answer.header("content-encoding") == "gzip"  # it reads what it writes


class Lab(Service):
    """Sets headers and trailers, and answers with what it is told."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
        Method(
            operation="/lab.Lab/Head",
            name="head",
            arity=Arity.UNARY,
            request=StringValue,
            reply=Struct,
        ),
        Method(
            operation="/lab.Lab/Wrong",
            name="wrong",
            arity=Arity.UNARY,
            request=StringValue,
            reply=Int64Value,
        ),
    )

    async def head(self, request: StringValue, /) -> Struct:
        call = server_call()
        assert call is not None
        call.reply_headers.add("x-one", "1")
        call.reply_headers.add("x-one", "2")
        call.reply_headers.add("content-type", "text/html")
        call.reply_headers.add("connect-accept-encoding", "relayed")
        call.trailers.add("x-cost", "7")
        call.trailers.add_bytes("x-raw-bin", b"\x00\xff")
        if request.value == "unsendable":
            call.trailers.add("x-cost", "zwölf")
        if request.value == "fail":
            raise bad_request("NO", "no", {"a": "b"}).with_detail(Duration(seconds=3))
        reply = Struct()
        reply["raw"] = repr(call.headers.get_bytes("x-raw-bin"))
        reply["all"] = call.headers.values("x-raw-bin")
        reply["transport"] = call.transport
        return reply

    async def wrong(self, request: StringValue, /) -> Any:
        return BytesValue()


async def test_headers_and_trailers_travel_among_the_headers(speak: Speak) -> None:
    raw = [("X-Raw-Bin", "AP8="), ("X-Raw-Bin", "AQ,Ag==")]
    async with speak(Lab()) as peer:
        answer = await peer.request("POST", "/lab.Lab/Head", headers=[JSON, *raw], body=b'"a"')
        assert answer.json() == {
            "raw": repr(b"\x00\xff"),
            "all": ["AP8", "AQ", "Ag"],
            "transport": "connect",
        }
        assert answer.values("x-one") == ["1", "2"]
        assert answer.values("content-type") == ["application/json"]
        assert answer.values("connect-accept-encoding") == []
        assert answer.values("trailer-x-cost") == ["7"]
        assert answer.values("trailer-x-raw-bin") == ["AP8"]
        assert answer.trailers == []


async def test_metadata_that_is_no_base64_is_refused(speak: Speak) -> None:
    async with speak(Lab()) as peer:
        answer = await peer.request(
            "POST", "/lab.Lab/Head", headers=[JSON, ("X-Raw-Bin", "?")], body=b'"a"'
        )
        assert (answer.status, answer.json()["code"]) == (400, "invalid_argument")
        assert "x-raw-bin" in answer.json()["message"]


async def test_an_error_has_headers_trailers_and_details(speak: Speak) -> None:
    async with speak(Lab()) as peer:
        answer = await peer.request("POST", "/lab.Lab/Head", headers=[PROTO], body=b"\n\x04fail")
        assert (answer.status, answer.header("content-type")) == (400, "application/json")
        assert answer.values("x-one") == ["1", "2"]
        assert answer.values("trailer-x-cost") == ["7"]
        assert answer.json()["details"] == [
            {
                "type": "google.rpc.ErrorInfo",
                "value": "CgJOTxoGCgFhEgFi",
                "debug": {"reason": "NO", "metadata": {"a": "b"}},
            },
            {"type": "google.protobuf.Duration", "value": "CAM", "debug": "3s"},
        ]


async def test_what_cannot_be_a_header_is_an_error_of_ours(
    speak: Speak, caplog: pytest.LogCaptureFixture
) -> None:
    async with speak(Lab()) as peer:
        answer = await peer.request("POST", "/lab.Lab/Head", headers=[JSON], body=b'"unsendable"')
        assert (answer.status, answer.json()["message"]) == (500, "unknown request error")
        assert answer.values("x-one") == []
    assert "x-cost" in caplog.text


async def test_a_reply_of_another_type_is_an_error_of_ours(
    speak: Speak, caplog: pytest.LogCaptureFixture
) -> None:
    async with speak(Lab()) as peer:
        answer = await peer.request("POST", "/lab.Lab/Wrong", headers=[JSON], body=b'"a"')
        assert (answer.status, answer.json()["code"]) == (500, "internal")
    assert "/lab.Lab/Wrong: a Int64Value is due, not BytesValue" in caplog.text


async def test_the_chain_of_the_server_is_that_of_connect(speak: Speak) -> None:
    seen: list[str] = []

    async def refuse(call: Call, request: Any, next: Handler) -> Any:
        seen.append(f"{call.transport} {call.method.operation} {call.path.decode()}")
        if request.value == "stranger":
            raise Error(401, "WHO", "who are you?")
        return await next(call, request)

    service = EchoService()
    async with speak(service, middleware=[refuse]) as peer:
        assert (await echo(peer, "friend")).status == 200
        assert (await echo(peer, "stranger")).json()["code"] == "unauthenticated"
    assert service.seen == ["friend"]
    assert seen == [f"connect {ECHO} {ECHO}"] * 2


async def test_a_client_that_goes_away_ends_its_call(speak: Speak) -> None:
    service = EchoService()
    async with speak(service) as peer:
        asking = asyncio.ensure_future(echo(peer, "hang"))
        await service.entered.wait()
        asking.cancel()
        peer.reset()
        await service.left.wait()
    assert service.interrupted == 1
