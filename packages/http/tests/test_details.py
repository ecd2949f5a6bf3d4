"""Details of errors on their way over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, ClassVar

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos.encoding.json import JsonCodec, JsonOptions
from kratos.encoding.proto import PROTO
from kratos.errors import Error, FieldViolation
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Arity, Caller, HttpEnvelope, HttpOptions, HttpRule, Method, Mount
from kratos_http import Envelope, HttpConnector, HttpServer, OpenApi, encode_error
from kratos_http._control import error_message, read_error
from kratos_http._details import from_json, from_proto, parted, to_json, with_details
from kratos_http.testing import OpenPeer, client_of

BadRequest: Any = import_module("google.rpc.error_details_pb2").BadRequest

VIOLATION = FieldViolation("email", "is no address", "NO_ADDRESS")
STRANGER = AnyMessage(type_url="example.com/shop.v9.Unheard", value=b"\xff\x00")
ENVELOPED = Method(
    operation="/kratos.testing.Echo/Enveloped",
    name="echo",
    arity=Arity.UNARY,
    request=StringValue,
    reply=StringValue,
    http=(HttpRule(verb="POST", path="/enveloped", body="*"),),
    http_options=HttpOptions(envelope=HttpEnvelope()),
)


class Refusing(EchoService):
    """Refuses with details, streams after a first message."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (*EchoService.METHODS, ENVELOPED)

    def __init__(self, *details: Message) -> None:
        super().__init__()
        self._details = details

    def error(self) -> Error:
        error = Error(418, "INVALID", "not like that", {"k": "v"}, details=self._details)
        return error.with_field_violations(VIOLATION)

    async def echo(self, request: StringValue, /) -> StringValue:
        raise self.error()

    async def collect(self, requests: AsyncIterator[StringValue], /) -> StringValue:
        raise self.error()

    async def watch(self, request: StringValue, /) -> AsyncIterator[StringValue]:
        yield request
        raise self.error()

    async def chat(self, requests: AsyncIterator[StringValue], /) -> AsyncIterator[StringValue]:
        yield text("x")
        raise self.error()


def served(*details: Message, **options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount(Mount(services=[Refusing(*details)]))
    return server


async def use(caller: Caller, method: Method[Any, Any]) -> None:
    if method.arity is Arity.UNARY:
        await caller.unary(method, text("x"), None)
    elif method is COLLECT:
        await caller.client_stream(COLLECT, [text("x")], None)
    elif method is WATCH:
        async with caller.server_stream(WATCH, text("x"), None) as replies:
            assert [reply async for reply in replies]
    else:
        async with caller.bidi_stream(CHAT, None) as chat:
            assert [reply async for reply in chat]


# Events are text: protobuf's bytes are none.
@pytest.mark.parametrize(
    ("method", "codec"),
    [
        (method, codec)
        for method in (ECHO, COLLECT, WATCH, CHAT, ENVELOPED)
        for codec in ("protojson", "json", "proto")
        if (method, codec) != (WATCH, "proto")
    ],
    ids=lambda each: each if isinstance(each, str) else each.operation.rpartition("/")[2],
)
async def test_details_reach_the_caller(method: Method[Any, Any], codec: str) -> None:
    server = served(STRANGER, Duration(seconds=3))
    async with client_of(server, transport=HttpConnector(codec=codec)) as caller:
        with pytest.raises(Error) as failure:
            await use(caller, method)
    error = failure.value
    assert (error.code, error.reason, error.message) == (418, "INVALID", "not like that")
    assert error.metadata == {"k": "v"}
    assert error.field_violations == (VIOLATION,)
    assert error.detail(Duration) == Duration(seconds=3)
    assert error.details[0] == STRANGER


async def ask(peer: Any, accept: str, path: str = "/kratos.testing/echo") -> Any:
    headers = [("Accept", accept), ("Content-Type", "application/json")]
    return await peer.request("POST", path, headers=headers, body=b'"x"')


async def test_details_are_a_member_of_json(open_peer: OpenPeer) -> None:
    async with open_peer(served(STRANGER)) as peer:
        answer = await ask(peer, "application/json")
    assert answer.status == 418
    told = answer.json()
    assert list(told) == ["code", "reason", "message", "metadata", "details"]
    unheard, bad_request = told["details"]
    assert unheard == {"@type": "example.com/shop.v9.Unheard", "@bytes": "/wA="}
    assert bad_request["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    (violation,) = bad_request["fieldViolations"]
    assert violation["field"] == "email"
    assert violation["description"] == "is no address"
    assert violation["reason"] == "NO_ADDRESS"


@pytest.mark.parametrize("kind", ["json", "protojson", "proto", "xml", "yaml"])
def test_error_without_details_has_no_member_for_them(kind: str) -> None:
    plain, detailed = Error(400, "R", "m"), Error(400, "R", "m", details=[Duration(seconds=3)])
    body = encode_error(plain, f"application/{kind}").body
    assert b"details" not in body
    if kind in ("xml", "yaml"):  # which have no form for a message of any type
        assert encode_error(detailed, f"application/{kind}").body == body
    else:
        assert encode_error(detailed, f"application/{kind}").body != body


def test_reader_that_knows_no_details_reads_the_rest_of_the_bytes() -> None:
    plain, detailed = Error(400, "R", "m"), Error(400, "R", "m", details=[STRANGER])
    body = encode_error(detailed, "application/proto").body
    assert body.startswith(encode_error(plain, "application/proto").body)
    assert from_proto(body) == [STRANGER]


def test_message_of_a_websocket_has_details_where_both_ends_are_ours() -> None:
    error = Error(400, "R", "m", details=[STRANGER, Duration(seconds=3)])
    told = error_message(error, own=True).partition(":")[2]
    assert read_error(told, own=True).details == error.details
    assert "details" not in error_message(error, own=False)


async def test_envelope_has_details_beside_the_metadata(open_peer: OpenPeer) -> None:
    envelope = Envelope()
    server = served(error_encoder=envelope.encode_error)
    async with open_peer(server) as peer:
        told = (await ask(peer, "application/json")).json()
        by_definition = (await ask(peer, "application/json", "/enveloped")).json()
    assert told == by_definition
    assert list(told) == ["code", "reason", "message", "data", "metadata", "details"]
    assert told["details"][0]["fieldViolations"][0]["field"] == "email"


def test_strict_reader_takes_details_all_the_same() -> None:
    strict = JsonCodec(options=JsonOptions(discard_unknown=False))
    body, details = parted(strict, b'{"code":400,"details":[{"@type":"a/b","@bytes":"AA=="}]}')
    assert json.loads(body) == {"code": 400}
    assert details == [AnyMessage(type_url="a/b", value=b"\0")]


def test_detail_that_came_as_json_and_is_not_known_goes_on_as_that_json() -> None:
    came = {"@type": "example.com/shop.v9.Unheard", "size": "12", "parts": [1, {"a": None}]}
    (kept,) = from_json([came])
    assert Error(400, "R", details=[kept]).detail(Struct) is not None
    assert to_json([kept]) == [came]


def test_struct_is_a_detail_like_any_other() -> None:
    struct = Struct()
    struct.update({"a": 1})
    error = Error(400, "R", details=[struct])
    (came,) = from_json(to_json(error.details))
    assert Error(400, "R", details=[came]).detail(Struct) == struct


def test_detail_whose_bytes_are_none_of_its_type_keeps_them() -> None:
    broken = AnyMessage(type_url="type.googleapis.com/google.protobuf.Duration", value=b"\xff")
    assert from_json(to_json([broken])) == [broken]


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        "x",
        [1, None, "x", []],
        [{}],
        [{"@type": 1}],
        [{"@type": "", "@bytes": ""}],
        [{"@type": "a/b", "@bytes": "no base64"}],
    ],
)
def test_member_that_holds_no_details_is_passed_over(value: object) -> None:
    assert from_json(value) == []


@pytest.mark.parametrize(
    "body", [b'{"details"', b'["details"]', b'"details"', b"[" * 100_000 + b'"details"']
)
def test_body_that_is_no_error_is_left_to_its_codec(body: bytes) -> None:
    assert parted(JsonCodec(), body) == (body, [])


names = st.text("abc.", min_size=1, max_size=8).filter(lambda name: not name.startswith("."))
anys = st.builds(AnyMessage, type_url=names.map("example.com/x{}".format), value=st.binary())
known = st.builds(Duration, seconds=st.integers(-9999, 9999)) | st.builds(
    StringValue, value=st.text(alphabet=st.characters(exclude_categories=["Cs"]))
)


@settings(max_examples=50)
@given(st.lists(anys | known, max_size=4))
def test_any_details_come_back_in_json_and_in_bytes(details: list[Message]) -> None:
    packed = Error(400, "R", details=details).details
    assert tuple(from_json(json.loads(json.dumps(to_json(packed))))) == packed
    assert tuple(from_proto(with_details(PROTO, b"", packed))) == packed


texts = st.text(max_size=6) | st.sampled_from(
    [
        "\ud800",
        "type.googleapis.com/google.protobuf.Duration",
        "type.googleapis.com/google.protobuf.Struct",
        "type.googleapis.com/google.protobuf.Any",
        "type.googleapis.com/google.rpc.BadRequest",
    ]
)
members = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def made(url: str, data: dict[str, Any], rest: dict[str, Any]) -> Any:
    return {"@type": url, **data, **rest}


objects = st.builds(
    made,
    texts,
    st.fixed_dictionaries({}, optional={"@bytes": texts, "value": members}),
    st.dictionaries(texts, members, max_size=2),
)


@settings(max_examples=50)
@given(st.lists(objects | members, max_size=3))
def test_any_json_is_details_or_passed_over(told: list[Any]) -> None:
    details = from_json(told)
    error = Error(400, "R", details=details)
    text = json.dumps(to_json(error.details))
    assert json.dumps(to_json(from_json(json.loads(text)))) == text


def test_details_that_are_nested_without_an_end_are_passed_over() -> None:
    deep: Any = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {}}
    for _ in range(20_000):
        deep = {"@type": "type.googleapis.com/google.protobuf.Any", "value": deep}
    assert from_json([deep]) == []


@given(st.binary(max_size=60))
def test_any_bytes_are_an_error_without_or_with_details(body: bytes) -> None:
    for codec in (PROTO, JsonCodec()):
        parted(codec, body)


def test_description_tells_of_details() -> None:
    server = HttpServer("127.0.0.1:0")
    document: Any = server.describe(Mount(services=[Refusing()]), OpenApi())
    schema = document["components"]["schemas"]["errors.Status"]
    details = schema["properties"]["details"]
    assert details["type"] == "array"
    assert "@type" in details["items"]["properties"]
    enveloped = json.dumps(document["components"]["responses"])
    assert '"details"' in enveloped


def test_encoded_details_are_readable_text() -> None:
    error = Error(400, "R").with_field_violations(FieldViolation("name", "Größe"))
    assert "Größe".encode() in encode_error(error, "application/json").body
