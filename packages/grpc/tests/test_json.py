"""Requests in JSON, as clients of Go send them, recognised by how they begin."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import grpc
import grpc.aio
import pytest
from google.protobuf import struct_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos import encoding
from kratos.definition import GET_SERVICE_DESC, MetadataService
from kratos.definition.metadata_pb2 import GetServiceDescRequest
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.transport import Arity, Method, Service
from kratos_grpc._json import json_starts
from kratos_grpc.status import DETAILS_KEY, WireStatus, from_status

# Where the content type is not known; our own engine goes by that.
by_first_byte = pytest.mark.engine("grpcio")

RAW = {
    Arity.UNARY: "unary_unary",
    Arity.CLIENT_STREAM: "stream_unary",
    Arity.SERVER_STREAM: "unary_stream",
    Arity.BIDI_STREAM: "stream_stream",
}
every_arity = pytest.mark.parametrize(
    ("method", "requests", "replies"),
    [
        (ECHO, [b'"hello"'], [b'"hello"']),
        (COLLECT, [b'"a"', b'"b"'], [b'"a b"']),
        (WATCH, [b'"a b"'], [b'"a"', b'"b"']),
        (CHAT, [b'"a"', b' "b" '], [b'"a"', b'"b"']),
    ],
    ids=["unary", "client_stream", "server_stream", "bidi_stream"],
)


async def exchange(served: Any, method: Method[Any, Any], *requests: bytes) -> list[bytes]:
    """Send bytes as they are, and return what comes."""
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(served.address, options=options) as channel:
        call = getattr(channel, RAW[method.arity])(method.operation)
        rpc = call(iter(requests)) if method.arity.client_streams else call(*requests)
        if method.arity.server_streams:
            return [reply async for reply in rpc]
        return [await rpc]


async def refusal(served: Any, method: Method[Any, Any], *requests: bytes) -> tuple[int, str, str]:
    """Send bytes that are refused, and return code, reason and text."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await exchange(served, method, *requests)
    found = failure.value
    details = found.trailing_metadata().get(DETAILS_KEY, b"")
    assert isinstance(details, bytes)
    code: int = found.code().value[0]
    error = from_status(WireStatus(code=code, message=found.details() or "", details=details))
    return error.code, error.reason, error.message


@by_first_byte
@every_arity
async def test_requests_in_json_are_answered_in_json(
    serve: Any, method: Method[Any, Any], requests: list[bytes], replies: list[bytes]
) -> None:
    async with serve(EchoService()) as served:
        assert await exchange(served, method, *requests) == replies


@every_arity
async def test_requests_in_protobuf_are_answered_in_protobuf(
    serve: Any, method: Method[Any, Any], requests: list[bytes], replies: list[bytes]
) -> None:
    def binary(messages: list[bytes]) -> list[bytes]:
        return [text(json.loads(each)).SerializeToString() for each in messages]

    async with serve(EchoService()) as served:
        assert await exchange(served, method, *binary(requests)) == binary(replies)


@by_first_byte
async def test_object_is_read_and_written_as_over_http(serve: Any) -> None:
    async with serve(MetadataService([])) as served:
        (reply,) = await exchange(served, GET_SERVICE_DESC, b'{"name":"kratos.api.Metadata"}')
    (*_, last) = json.loads(reply)["fileDescSet"]["file"]
    assert last["name"] == "metadata/metadata.proto"


@by_first_byte
async def test_handler_sees_the_same_message_in_either_format(serve: Any) -> None:
    service = EchoService()
    async with serve(service) as served:
        await exchange(served, ECHO, text("hello").SerializeToString())
        await exchange(served, ECHO, b'"hello"')
    assert service.seen == ["hello", "hello"]


@by_first_byte
async def test_error_of_a_call_in_json_is_that_of_any_call(serve: Any) -> None:
    async with serve(EchoService()) as served:
        assert await refusal(served, ECHO, b'"fail"') == (409, "BUSY", "try later")


@by_first_byte
@pytest.mark.parametrize(
    ("request_", "where"),
    [(b'{"name": 7}', "name"), (b"{", ""), (b'{"name":"a"} x', "")],
    ids=["type", "cut", "trailing"],
)
async def test_malformed_json_is_refused_and_told_where(
    serve: Any, request_: bytes, where: str
) -> None:
    async with serve(MetadataService([])) as served:
        code, reason, message = await refusal(served, GET_SERVICE_DESC, request_)
    assert (code, reason) == (400, "CODEC")
    assert message.startswith("the request is no kratos.definition.GetServiceDescRequest in JSON")
    assert where in message


@by_first_byte
async def test_first_message_tells_the_format_of_all(serve: Any) -> None:
    async with serve(EchoService()) as served:
        code, reason, _ = await refusal(served, COLLECT, text("a").SerializeToString(), b'"b"')
        assert (code, reason) == (400, "CODEC")
        code, reason, _ = await refusal(served, COLLECT, b'"a"', text("b").SerializeToString())
        assert (code, reason) == (400, "CODEC")


async def test_json_can_be_switched_off(serve: Any) -> None:
    async with serve(MetadataService([]), json=False) as served:
        code, reason, message = await refusal(served, GET_SERVICE_DESC, b'{"name":"x"}')
    assert (code, reason) == (400, "CODEC")
    assert "JSON" not in message


async def test_empty_request_is_one_in_protobuf(serve: Any) -> None:
    async with serve(EchoService()) as served:
        assert await exchange(served, ECHO, b"") == [b""]


@by_first_byte
async def test_reply_that_json_cannot_express_is_a_failure_of_the_service(serve: Any) -> None:
    method = Method(
        operation="/test.Clock/Now",
        name="now",
        arity=Arity.SERVER_STREAM,
        request=Struct,
        reply=Timestamp,
    )

    class Clock(Service):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (method,)

        async def now(self, _request: Struct, /) -> AsyncIterator[Timestamp]:
            yield Timestamp(seconds=10**15)

    async with serve(Clock()) as served:
        code, _, message = await refusal(served, method, b"{}")
    assert (code, message) == (500, "unknown request error")


def unary(kind: type[Message]) -> Method[Any, Any]:
    return Method(operation="/test.Any/Do", name="do", arity=Arity.UNARY, request=kind, reply=kind)


@st.composite
def values(draw: st.DrawFn) -> struct_pb2.Value:
    made = struct_pb2.Value()
    kind = draw(st.sampled_from(["null", "number", "text", "truth", "list", "object"]))
    if kind == "null":
        made.null_value = struct_pb2.NULL_VALUE
    elif kind == "number":
        made.number_value = draw(st.floats(allow_nan=False, allow_infinity=False))
    elif kind == "text":
        made.string_value = draw(st.text())
    elif kind == "truth":
        made.bool_value = draw(st.booleans())
    elif kind == "list":
        made.list_value.SetInParent()
    else:
        made.struct_value.SetInParent()
    return made


integers = st.integers(0, 2**31 - 1)
messages: st.SearchStrategy[Message] = st.one_of(
    st.text().map(text),
    st.binary().map(lambda value: wrappers_pb2.BytesValue(value=value)),
    st.booleans().map(lambda value: wrappers_pb2.BoolValue(value=value)),
    st.floats().map(lambda value: wrappers_pb2.DoubleValue(value=value)),
    integers.map(lambda value: wrappers_pb2.Int32Value(value=-value)),
    integers.map(lambda value: wrappers_pb2.UInt64Value(value=value)),
    integers.map(lambda value: Timestamp(seconds=value)),
    integers.map(lambda value: Duration(seconds=-value)),
    st.text().map(lambda name: GetServiceDescRequest(name=name)),
    st.lists(values(), max_size=3).map(lambda each: struct_pb2.ListValue(values=each)),
    st.dictionaries(st.text(), values(), max_size=3).map(lambda each: Struct(fields=each)),
)


@given(message=messages)
def test_json_is_recognised(message: Message) -> None:
    codec = encoding.get("json")
    assert codec is not None
    assert codec.encode(message)[:1] in json_starts(unary(type(message)))


@given(message=st.one_of(messages, values()))
def test_protobuf_is_never_taken_for_json(message: Message) -> None:
    assert message.SerializeToString()[:1] not in json_starts(unary(type(message)))


@pytest.mark.parametrize("field", ["group", "extension"])
def test_message_that_may_begin_as_json_does_is_never_taken_for_it(field: str) -> None:
    file = FileDescriptorProto(name="odd.proto", package="test")
    odd = file.message_type.add(name="Odd")
    if field == "group":
        odd.nested_type.add(name="Part")
        odd.field.add(
            name="part",
            number=15,
            type=FieldDescriptorProto.TYPE_GROUP,
            type_name=".test.Odd.Part",
            label=FieldDescriptorProto.LABEL_OPTIONAL,
        )
    else:
        odd.extension_range.add(start=10, end=20)
    pool = DescriptorPool()
    pool.Add(file)
    kind = GetMessageClass(pool.FindMessageTypeByName("test.Odd"))
    assert json_starts(unary(kind)) == frozenset()


def test_text_is_recognised_for_the_types_that_are_texts() -> None:
    assert json_starts(unary(StringValue)) == {b'"'}
    assert json_starts(unary(GetServiceDescRequest)) == {b"{"}
