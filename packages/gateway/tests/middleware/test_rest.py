"""REST where back ends serve gRPC, by the HTTP rules of their definitions."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.api.http_pb2 import HttpRule  # type: ignore[import-untyped]
from google.api.httpbody_pb2 import DESCRIPTOR as HTTP_BODY  # type: ignore[import-untyped]
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import any_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from kratos.errors import ConfigError, Error
from kratos.offload import CURRENT, Offload
from kratos_gateway.api.gateway_pb2 import GRPC, HTTP, Endpoint
from kratos_gateway.api.rest_pb2 import Rest
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.middleware.frames import Frames, framed
from kratos_gateway.middleware.testing import Backend, Pieces, behind, request_to

_F = FieldDescriptorProto
RULE: Any = annotations_pb2.http

P = ParamSpec("P")
T = TypeVar("T")


def field(name: str, number: int, kind: Any, **more: Any) -> FieldDescriptorProto:
    return _F(name=name, number=number, type=kind, label=more.pop("label", 1), **more)


def method(
    name: str, rule: Any = None, *, reply: str = ".shop.Item", **streams: Any
) -> MethodDescriptorProto:
    made = MethodDescriptorProto(name=name, input_type=".shop.Item", output_type=reply, **streams)
    if rule is not None:
        made.options.Extensions[RULE].CopyFrom(rule)
    return made


def definitions(*methods: MethodDescriptorProto) -> FileDescriptorSet:
    item = DescriptorProto(name="Item")
    item.field.extend(
        [
            field("id", 1, _F.TYPE_INT64),
            field("name", 2, _F.TYPE_STRING),
            field("sizes", 3, _F.TYPE_INT32, label=_F.LABEL_REPEATED),
            field("part_of", 4, _F.TYPE_MESSAGE, type_name=".shop.Item"),
            field("file", 5, _F.TYPE_MESSAGE, type_name=".google.api.HttpBody"),
        ]
    )
    file = FileDescriptorProto(
        name="shop.proto",
        package="shop",
        syntax="proto3",
        dependency=["google/api/httpbody.proto"],
        message_type=[item],
        service=[ServiceDescriptorProto(name="Shop", method=methods)],
    )
    files = FileDescriptorSet()
    for descriptor in (any_pb2.DESCRIPTOR, HTTP_BODY):
        descriptor.CopyToProto(files.file.add())
    files.file.append(file)
    return files


GET = HttpRule(get="/items/{id}", additional_bindings=[HttpRule(get="/by/{part_of.name=**}")])
METHODS = (
    method("Get", GET),
    method("Put", HttpRule(put="/items/{id}", body="*")),
    method("Patch", HttpRule(patch="/items/{id}", body="part_of", response_body="sizes")),
    method("Find", HttpRule(post="/items:find", body="sizes")),
    method("Watch", HttpRule(get="/watch"), server_streaming=True),
    method("Load", HttpRule(post="/load", body="file", response_body="file")),
    method("Raw", HttpRule(get="/raw"), reply=".google.api.HttpBody"),
    method("Lock", HttpRule(custom={"kind": "LOCK", "path": "/lock"})),
    method("Upload", HttpRule(post="/upload", body="*"), client_streaming=True),
    method("Inner"),
)
FILES = definitions(*METHODS)
SHOP = Endpoint(path="/*", protocol=GRPC)


def pool() -> DescriptorPool:
    made = DescriptorPool()
    for file in FILES.file:
        made.AddSerializedFile(file.SerializeToString())
    return made


Item: Any = GetMessageClass(pool().FindMessageTypeByName("shop.Item"))


def served(backend: Backend, **options: Any) -> Handler:
    told = Rest(descriptors=FILES.SerializeToString(), **options)
    return behind(backend, "rest", told, endpoint=SHOP)


def answering(*messages: Any, trailers: Any = ((b"grpc-status", b"0"),)) -> Backend:
    pieces = [framed(message.SerializeToString()) for message in messages]
    told = [(b"content-type", b"application/grpc"), (b"x-a", b"1")]
    return Backend(Answer(200, told, Pieces(*pieces, trailers=trailers)))


async def call(
    backend: Backend, verb: str, target: str, body: Any = b"", headers: Any = (), **options: Any
) -> tuple[int, Any]:
    data = body if isinstance(body, bytes | Pieces) else json.dumps(body).encode()
    request = request_to(target, method=verb, body=data, headers=headers)
    answer = await served(backend, **options)(request)
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body) if answer.body else None


def asked(backend: Backend) -> tuple[str, Any]:
    body = backend.last.body
    assert isinstance(body, bytes)
    assert body == framed(body[5:])
    return backend.last.path, Item.FromString(body[5:])


@pytest.mark.parametrize(
    ("verb", "target", "body", "operation", "message"),
    [
        (
            "GET",
            "/items/7?name=a%20b&sizes=1&sizes=2",
            b"",
            "Get",
            Item(id=7, name="a b", sizes=[1, 2]),
        ),
        ("GET", "/by/a/b%2Fc?id=3", b"", "Get", Item(id=3, part_of=Item(name="a/b%2Fc"))),
        ("PUT", "/items/7?name=no", {"id": 8, "name": "a"}, "Put", Item(id=7, name="a")),
        ("PUT", "/items/7", Pieces(b'{"name":', b'"a"}'), "Put", Item(id=7, name="a")),
        (
            "PATCH",
            "/items/7?name=a",
            {"name": "b"},
            "Patch",
            Item(id=7, name="a", part_of=Item(name="b")),
        ),
        ("POST", "/items:find", [1, 2], "Find", Item(sizes=[1, 2])),
        ("LOCK", "/lock?id=1", b"", "Lock", Item(id=1)),
    ],
)
async def test_request_becomes_the_message_that_its_rule_describes(
    verb: str, target: str, body: Any, operation: str, message: Any
) -> None:
    backend = answering(Item())
    status, _ = await call(backend, verb, target, body)
    assert status == 200
    assert asked(backend) == (f"/shop.Shop/{operation}", message)
    assert (backend.last.method, backend.last.query) == ("POST", "")


async def test_call_has_the_headers_of_grpc_and_others_of_the_request() -> None:
    backend = answering(Item())
    sent = [("Accept", "*/*"), ("Accept-Encoding", "gzip"), ("X-Md-Global-A", "1")]
    await call(backend, "PUT", "/items/1", {}, [("Content-Type", "application/json"), *sent])
    assert backend.last.headers == [
        (b"x-md-global-a", b"1"),
        (b"content-type", b"application/grpc+proto"),
        (b"te", b"trailers"),
    ]


async def test_answer_is_json_as_kratos_writes_it_with_the_headers_of_the_call() -> None:
    backend = answering(Item(id=7, sizes=[1]), trailers=((b"grpc-status", b"0"), (b"x-b", b"2")))
    answer = await served(backend)(request_to("/items/7"))
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {
        "id": "7",
        "name": "",
        "sizes": [1],
        "partOf": None,
        "file": None,
    }
    assert answer.headers == [
        (b"content-type", b"application/json"),
        (b"x-a", b"1"),
        (b"x-b", b"2"),
    ]


async def test_json_may_leave_out_what_is_not_set_and_use_the_names_of_the_definition() -> None:
    item = Item(part_of=Item(name="a"))
    told = await call(answering(item), "GET", "/items/1", omit_unset=True, proto_names=True)
    assert told == (200, {"part_of": {"name": "a"}})


async def test_one_field_may_be_the_answer() -> None:
    assert await call(answering(Item(sizes=[3])), "PATCH", "/items/1", {}) == (200, [3])


async def test_bodies_as_they_are_pass_both_ways() -> None:
    backend = Backend(
        Answer(
            200,
            [],
            Pieces(
                framed(HttpBody(content_type="image/png", data=b"\x89").SerializeToString()),
                trailers=[(b"grpc-status", b"0")],
            ),
        )
    )
    answer = await served(backend)(request_to("/raw"))
    assert (answer.header(b"content-type"), answer.body) == (b"image/png", b"\x89")
    backend = answering(Item(file={"content_type": "text/plain", "data": b"out"}))
    request = request_to("/load", method="POST", body=b"in", headers=[("Content-Type", "text/csv")])
    answer = await served(backend)(request)
    assert (answer.header(b"content-type"), answer.body) == (b"text/plain", b"out")
    file = asked(backend)[1].file
    assert (file.content_type, file.data) == ("text/csv", b"in")


async def test_error_is_that_of_kratos_with_the_status_that_stands_for_it() -> None:
    info = ErrorInfo(reason="NO_ITEM", metadata={"id": "7"})
    status = Status(code=5, message="no ä")
    status.details.add().Pack(info)
    details = base64.b64encode(status.SerializeToString()).rstrip(b"=")
    trailers = (
        (b"grpc-status", b"5"),
        (b"grpc-message", b"no %C3%A4"),
        (b"grpc-status-details-bin", details),
    )
    told = {"code": 404, "reason": "NO_ITEM", "message": "no ä", "metadata": {"id": "7"}}
    assert await call(answering(trailers=trailers), "GET", "/items/7") == (404, told)
    alone = Backend(Answer(200, [(b"content-type", b"application/grpc"), *trailers]))
    assert await call(alone, "GET", "/items/7") == (404, told)
    assert await call(alone, "GET", "/watch") == (404, told)


@pytest.mark.parametrize(
    ("verb", "target", "body", "status", "reason"),
    [
        ("GET", "/nowhere", b"", 404, "NOT_FOUND"),
        ("DELETE", "/items/7", b"", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/items/x", b"", 400, "CODEC"),
        ("GET", "/items/7?sizes=x", b"", 400, "CODEC"),
        ("PUT", "/items/7", b"{", 400, "CODEC"),
        ("POST", "/items:find", b'[1], "id": 5', 400, "CODEC"),
        ("POST", "/shop.Shop/Inner", b"{}", 404, "NOT_FOUND"),
    ],
)
async def test_request_that_no_rule_fits_never_reaches_the_back_end(
    verb: str, target: str, body: bytes, status: int, reason: str
) -> None:
    backend = answering(Item())
    found, told = await call(backend, verb, target, body)
    assert (found, told["reason"]) == (status, reason)
    assert not backend.requests


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer(503, [], b"<html>"), 503),
        (Answer(200, [], b"<html>"), 502),
        (Answer(200, [], b"\1\0\0\0\0"), 502),
        (Answer(200, [], framed(b"x" * 200)), 502),
        (Answer(200, [], framed(b"")[:4]), 502),
        (Answer(200, [], framed(b"\xff"), trailers=[(b"grpc-status", b"0")]), 502),
        (Answer(200, [], b"", trailers=[(b"grpc-status", b"0")]), 502),
        (Answer(200, [], framed(b"") * 2, trailers=[(b"grpc-status", b"0")]), 502),
        (Answer(200, [(b"grpc-status", b"0")], b""), 500),
        (Answer(200, [], framed(b"")), 500),
    ],
)
async def test_answer_that_cannot_be_read_is_an_error_of_the_gateway(
    answer: Answer, status: int
) -> None:
    found, told = await call(Backend(answer), "GET", "/items/1", max_bytes=100)
    assert (found, told["code"]) == (status, status)
    assert told["message"]


@pytest.mark.parametrize(
    ("code", "told", "expected"),
    [(2, "418", 418), (8, "429", 429), (5, "418", 404), (5, "x", 404), (2, "200", 500)],
)
async def test_error_has_its_very_code_unless_that_contradicts_the_status(
    code: int, told: str, expected: int
) -> None:
    status = Status(code=code)
    exact = ErrorInfo(reason="HTTP_STATUS", domain="kratos", metadata={"code": told})
    for info in (ErrorInfo(reason="TEAPOT"), exact):
        status.details.add().Pack(info)
    details = base64.b64encode(status.SerializeToString())
    trailers = ((b"grpc-status", b"%d" % code), (b"grpc-status-details-bin", details))
    found, error = await call(answering(trailers=trailers), "GET", "/items/7")
    assert (found, error["code"], error["reason"]) == (expected, expected, "TEAPOT")


async def test_too_large_a_request_is_refused() -> None:
    with pytest.raises(Error, match="more than 10 bytes"):
        await call(answering(), "PUT", "/items/1", b'{"name":"long"}', max_bytes=10)


async def streamed(backend: Backend, accept: str = "", **options: Any) -> tuple[bytes, list[bytes]]:
    request = request_to("/watch", headers=[("Accept", accept)] if accept else [])
    answer = await served(backend, omit_unset=True, **options)(request)
    assert not isinstance(answer.body, bytes)
    pieces: list[bytes] = []
    while piece := await answer.body.read():
        pieces.append(piece)
    assert answer.body.trailers == ()
    assert answer.header(b"vary") == b"Accept"
    return answer.header(b"content-type"), pieces


async def test_stream_is_lines_of_json_as_they_come() -> None:
    backend = answering(Item(id=1), Item(name="a\nb"))
    assert await streamed(backend) == (
        b"application/x-ndjson",
        [b'{"id":"1"}\n', b'{"name":"a\\nb"}\n'],
    )


async def test_stream_that_came_as_a_whole_is_lines_too() -> None:
    body = framed(Item(id=1).SerializeToString()) + framed(Item(id=2).SerializeToString())
    backend = Backend(Answer(200, [], body, [(b"grpc-status", b"14")]))
    _, pieces = await streamed(backend)
    assert pieces[:2] == [b'{"id":"1"}\n', b'{"id":"2"}\n']
    assert pieces[2].startswith(b'{"error":{"code":503')


async def test_stream_that_failed_before_its_first_message_has_the_status_of_its_error() -> None:
    backend = Backend(Answer(200, [], b"", [(b"grpc-status", b"5")]))
    assert (await call(backend, "GET", "/watch"))[0] == 404


class Collecting:
    """A back end that reads the messages of a request, and answers the last one."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def __call__(self, request: Any, /) -> Answer:
        frames = Frames(request.body, 1000)
        while (data := await frames.next()) is not None:
            self.messages.append(Item.FromString(data))
        last = framed(self.messages[-1].SerializeToString())
        return Answer(200, [], last, [(b"grpc-status", b"0")])


async def test_stream_of_requests_is_lines_of_json() -> None:
    backend = Collecting()
    handler = behind(backend, "rest", Rest(descriptors=FILES.SerializeToString()), endpoint=SHOP)
    lines = Pieces(b'{"id":1}\n\n{"id"', b':2}\n{"name":"c"}')
    answer = await handler(request_to("/upload", method="POST", body=lines))
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)["name"]) == (200, "c")
    assert backend.messages == [Item(id=1), Item(id=2), Item(name="c")]


async def test_line_that_is_no_message_is_the_error_of_the_client() -> None:
    handler = behind(
        Collecting(), "rest", Rest(descriptors=FILES.SerializeToString()), endpoint=SHOP
    )
    answer = await handler(request_to("/upload", method="POST", body=Pieces(b'{"id":1}\n{\n')))
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)["reason"]) == (400, "CODEC")


async def test_stream_is_events_to_who_accepts_them() -> None:
    kind, pieces = await streamed(answering(Item(id=1)), "text/event-stream")
    assert (kind, pieces) == (b"text/event-stream", [b'data: {"id":"1"}\n\n'])


@pytest.mark.parametrize(
    ("accept", "begins"), [("", b'{"error":{"code":503,'), ("text/event-stream", b"event: error\n")]
)
async def test_stream_that_fails_says_so_at_its_end(accept: str, begins: bytes) -> None:
    backend = answering(Item(id=1), trailers=[(b"grpc-status", b"14"), (b"grpc-message", b"away")])
    _, pieces = await streamed(backend, accept)
    assert len(pieces) == 2
    assert pieces[1].startswith(begins)
    assert b"away" in pieces[1]


async def test_stream_of_what_is_no_message_ends_with_an_error() -> None:
    body = Pieces(framed(b"")[:5] + b"\7")
    _, pieces = await streamed(Backend(Answer(200, [], body)))
    assert pieces[0] == b"{}\n"
    assert b'"code":502' in pieces[1]
    assert body.closed


async def test_stream_that_is_left_is_cut_off() -> None:
    backend = answering(Item(id=1), Item(id=2))
    answer = await served(backend)(request_to("/watch"))
    assert not isinstance(answer.body, bytes)
    await answer.body.read()
    answer.body.close()
    assert await answer.body.read() == b""


async def test_calls_of_grpc_and_other_endpoints_pass_as_they_are() -> None:
    backend = Backend(Answer(200))
    grpc = request_to("/shop.Shop/Inner", headers=[("content-type", "application/grpc")])
    await served(backend)(grpc)
    told = Rest(descriptors=FILES.SerializeToString())
    plain = request_to("/items/1")
    await behind(backend, "rest", told, endpoint=Endpoint(protocol=HTTP))(plain)
    assert backend.requests == [grpc, plain]


async def test_definitions_may_be_a_file_and_services_chosen(tmp_path: Path) -> None:
    path = tmp_path / "shop.binpb"
    path.write_bytes(FILES.SerializeToString())
    backend = answering(Item())
    told = Rest(descriptor_set=str(path), services=["shop.Shop"])
    handler = behind(backend, "rest", told, endpoint=SHOP)
    assert (await handler(request_to("/items/1"))).status == 200


def without_imports() -> bytes:
    return FileDescriptorSet(file=[FILES.file[-1]]).SerializeToString()


def ruled(rule: Any) -> bytes:
    return definitions(method("A", rule)).SerializeToString()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Rest(), "there are no definitions: give descriptorSet"),
        (Rest(reflection={"interval": {"nanos": 1}}), "interval must be at least 1 s"),
        (Rest(descriptor_set="/nowhere"), "cannot be read"),
        (Rest(descriptors=b"\xff"), "--include_imports"),
        (Rest(descriptors=without_imports()), "--include_imports"),
        (
            Rest(descriptors=FILES.SerializeToString(), services=["shop.Ship"]),
            "no service shop.Ship",
        ),
        (Rest(descriptors=ruled(None)), "no method of these services"),
        (Rest(descriptors=ruled(HttpRule(get="items"))), "/shop.Shop/A"),
        (Rest(descriptors=ruled(HttpRule(get="/{no}"))), "no"),
        (Rest(descriptors=ruled(HttpRule(post="/a", body="no"))), "body: shop.Item has no 'no'"),
        (Rest(descriptors=ruled(HttpRule(get="/a", response_body="no"))), "response_body: "),
    ],
)
def test_definitions_that_cannot_be_used_are_refused(options: Rest, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "rest", options)


async def test_request_without_an_answer_is_an_error_of_kratos_too() -> None:
    request = request_to("/items/1")
    with pytest.raises(TimeoutError):
        await served(Backend(TimeoutError()))(request)
    assert request.options.on_error is not None
    answer = request.options.on_error(504, "too late")
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)["message"]) == (504, "too late")


class Counting(Offload):
    """Threads that know how often they were asked."""

    asked = 0

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.asked += 1
        return await super().run(function, *args, **kwargs)


@pytest.mark.parametrize(("sent", "answered", "times"), [(1, 1, 0), (9000, 1, 1), (1, 9000, 1)])
async def test_what_takes_long_is_read_and_written_beside_other_requests(
    sent: int, answered: int, times: int
) -> None:
    backend = answering(Item(name="x" * 10 * answered))
    async with Counting() as threads:
        before = CURRENT.set(threads)
        status, _ = await call(backend, "PUT", "/items/7", {"name": "x" * 10 * sent})
        CURRENT.reset(before)
    assert status == 200
    assert threads.asked == times
