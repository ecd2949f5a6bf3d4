"""Calls of Connect, byte by byte, as calls of gRPC."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import pytest
from google.protobuf import wrappers_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from kratos.errors import ConfigError
from kratos.offload import CURRENT, Offload
from kratos_gateway.api.connect_pb2 import Connect
from kratos_gateway.api.gateway_pb2 import GRPC, HTTP, Endpoint
from kratos_gateway.exchange import Answer, Body, Handler, Request
from kratos_gateway.middleware.frames import Frames, framed
from kratos_gateway.middleware.testing import Backend, Pieces, behind, request_to

SHOP = Endpoint(path="/*", protocol=GRPC)
FIND, PUT, WATCH = "/shop.Shop/Find", "/shop.Shop/Put", "/shop.Shop/Watch"
WELL = [(b"grpc-status", b"0")]
CALL = (b"content-type", b"application/grpc+proto")
GZIP = (b"grpc-encoding", b"gzip")


P = ParamSpec("P")
T = TypeVar("T")


def definitions() -> bytes:
    files = FileDescriptorSet()
    wrappers_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    file = files.file.add(name="shop.proto", package="shop", dependency=[files.file[0].name])
    service = file.service.add(name="Shop")
    text = ".google.protobuf.StringValue"
    for name in ("Find", "Put", "Watch"):
        method = service.method.add(name=name, input_type=text, output_type=text)
        method.server_streaming = name == "Watch"
        if name == "Find":
            method.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
    return files.SerializeToString()


def served(backend: Handler, *, defined: bool = True, **options: Any) -> Handler:
    data = definitions() if defined else b""
    told = Connect(descriptors=data, **options) if defined else Connect(**options)
    return behind(backend, "connect", told, endpoint=SHOP)


def message(value: str) -> bytes:
    return StringValue(value=value).SerializeToString()


def answering(
    *frames: bytes, status: bytes = b"0", headers: Any = (), trailers: Any = ()
) -> Backend:
    ends = [(b"grpc-status", status), *trailers]
    return Backend(Answer(200, [CALL, *headers], Pieces(*frames, trailers=ends)))


async def call(
    handler: Handler,
    path: str = PUT,
    body: bytes | Body = b"",
    kind: str = "application/proto",
    *headers: tuple[str, str],
    method: str = "POST",
) -> Answer:
    sent = [("Content-Type", kind), *headers] if kind else headers
    return await handler(request_to(path, method=method, body=body, headers=sent))


class Counting(Offload):
    """Threads that know how often they were asked."""

    asked = 0

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.asked += 1
        return await super().run(function, *args, **kwargs)


async def whole(answer: Answer) -> list[tuple[int, bytes]]:
    """Return the frames of an answer."""
    data = answer.body if isinstance(answer.body, bytes) else b""
    if not isinstance(answer.body, bytes):
        while piece := await answer.body.read():
            data += piece
    found: list[tuple[int, bytes]] = []
    while data:
        size = int.from_bytes(data[1:5], "big")
        found.append((data[0], data[5 : 5 + size]))
        data = data[5 + size :]
    return found


async def test_message_in_protobuf_passes_as_it_is_with_the_headers_of_both_protocols() -> None:
    backend = answering(framed(message("out")), headers=[(b"x-a", b"1")], trailers=[(b"x-b", b"2")])
    sent = [
        ("Connect-Protocol-Version", "1"),
        ("Connect-Timeout-Ms", "1500"),
        ("X-Told", "yes"),
        ("Grpc-Encoding", "no"),
    ]
    answer = await call(served(backend), PUT, message("in"), "application/proto", *sent)
    assert backend.last.path == PUT
    assert backend.last.body == framed(message("in"))
    assert backend.last.headers == [
        (b"x-told", b"yes"),
        CALL,
        (b"te", b"trailers"),
        (b"grpc-timeout", b"1500m"),
    ]
    assert (answer.status, answer.body) == (200, message("out"))
    assert answer.headers == [
        (b"content-type", b"application/proto"),
        (b"x-a", b"1"),
        (b"trailer-x-b", b"2"),
    ]


async def test_json_is_read_and_written_by_the_definitions() -> None:
    backend = answering(framed(message("ä")))
    answer = await call(served(backend), PUT, b'"in"', "application/json; charset=utf-8")
    assert backend.last.body == framed(message("in"))
    assert (answer.header(b"content-type"), answer.body) == (b"application/json", b'"\xc3\xa4"')


@pytest.mark.parametrize(
    ("sent", "coding", "answered", "times"),
    [
        (10, "identity", 10, 0),
        (100_000, "identity", 10, 1),
        (10, "identity", 100_000, 1),
        (10, "gzip", 10, 1),  # which may stand for very much
    ],
)
async def test_what_takes_long_is_read_and_written_beside_other_calls(
    sent: int, coding: str, answered: int, times: int
) -> None:
    handler = served(answering(framed(message("x" * answered))))
    body = json.dumps("x" * sent).encode()
    data = gzip.compress(body) if coding == "gzip" else body
    async with Counting() as threads:
        before = CURRENT.set(threads)
        answer = await call(handler, PUT, data, "application/json", ("Content-Encoding", coding))
        CURRENT.reset(before)
    assert answer.body == json.dumps("x" * answered).encode()
    assert threads.asked == times


async def test_json_passes_without_definitions_to_services_that_know_it() -> None:
    backend = answering(framed(b'"out"'))
    answer = await call(served(backend, defined=False), PUT, b'"in"', "application/json")
    assert backend.last.header(b"content-type") == b"application/grpc+json"
    assert backend.last.body == framed(b'"in"')
    assert answer.body == b'"out"'


async def test_compressed_messages_pass_as_they_are() -> None:
    data = gzip.compress(message("in"))
    backend = answering(framed(data, 1), headers=[GZIP])
    sent = [("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")]
    answer = await call(served(backend), PUT, data, "application/proto", *sent)
    assert backend.last.body == framed(data, 1)
    assert backend.last.headers[-2:] == [GZIP, (b"grpc-accept-encoding", b"gzip")]
    assert (answer.body, answer.header(b"content-encoding")) == (data, b"gzip")


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_json_is_read(coding: str, pack: Callable[[bytes], bytes]) -> None:
    backend = answering(framed(message("out")))
    sent = [("Content-Encoding", coding), ("Accept-Encoding", "gzip")]
    await call(served(backend), PUT, pack(b'"in"'), "application/json", *sent)
    assert backend.last.body == framed(message("in"))
    assert not backend.last.header(b"grpc-encoding")
    assert not backend.last.header(b"grpc-accept-encoding")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", [], 400, "invalid_argument"),
        (b'"' + b"x" * 200 + b'"', [], 429, "resource_exhausted"),
        (
            gzip.compress(b"x" * 200, mtime=0),
            [("Content-Encoding", "gzip")],
            429,
            "resource_exhausted",
        ),
        (b"no", [("Content-Encoding", "gzip")], 400, "invalid_argument"),
        (
            gzip.compress(b'""', mtime=0)[:-1],
            [("Content-Encoding", "gzip")],
            400,
            "invalid_argument",
        ),
        (b'""', [("Content-Encoding", "br")], 501, "unimplemented"),
        (b'""', [("Connect-Protocol-Version", "2")], 400, "invalid_argument"),
        (b'""', [("Connect-Timeout-Ms", "soon")], 400, "invalid_argument"),
    ],
)
async def test_request_that_is_wrong_never_reaches_the_back_end(
    body: bytes, headers: Any, status: int, code: str
) -> None:
    backend = answering()
    answer = await call(served(backend, max_bytes=100), PUT, body, "application/json", *headers)
    assert isinstance(answer.body, bytes)
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    assert not backend.requests


async def test_time_limit_of_many_digits_is_told_in_seconds() -> None:
    backend = answering(framed(b""))
    sent = ("Connect-Timeout-Ms", "9876543210")
    await call(served(backend), PUT, b"", "application/proto", sent)
    assert backend.last.header(b"grpc-timeout") == b"9876543S"


async def test_error_is_told_with_its_details_and_trailers() -> None:
    status = Status(code=10, message="later")
    status.details.add().Pack(ErrorInfo(reason="BUSY"))
    details = base64.b64encode(status.SerializeToString())
    trailers = [(b"grpc-message", b"later"), (b"grpc-status-details-bin", details), (b"x-b", b"2")]
    for backend in (
        answering(status=b"10", trailers=trailers),
        Backend(Answer(200, [CALL, (b"grpc-status", b"10"), *trailers])),
    ):
        answer = await call(served(backend))
        assert isinstance(answer.body, bytes)
        told = json.loads(answer.body)
        value = base64.b64encode(ErrorInfo(reason="BUSY").SerializeToString()).rstrip(b"=")
        assert answer.status == 409
        assert told == {
            "code": "aborted",
            "message": "later",
            "details": [{"type": "google.rpc.ErrorInfo", "value": value.decode()}],
        }
        assert answer.header(b"trailer-x-b") or answer.header(b"x-b")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(503, [], b"<html>"), "unavailable"),
        (Answer(404, [], b"<html>"), "unimplemented"),
        (Answer(200, [], b"<html>"), "unknown"),
        (Answer(200, [CALL], b"", WELL), "unimplemented"),
        (Answer(200, [CALL], framed(b"") * 2, WELL), "unimplemented"),
        (Answer(200, [CALL], framed(b"")[:3], WELL), "unavailable"),
        (Answer(200, [CALL], b"\7\0\0\0\0", WELL), "unavailable"),
        (Answer(200, [CALL], framed(b"\xff"), WELL), "unavailable"),
    ],
)
async def test_answer_that_is_none_is_an_error(answer: Answer, code: str) -> None:
    found = await call(served(Backend(answer)), PUT, b'""', "application/json")
    assert isinstance(found.body, bytes)
    assert json.loads(found.body)["code"] == code


async def test_method_without_side_effects_is_called_by_get() -> None:
    backend = answering(framed(message("out")))
    handler = served(backend)
    answer = await call(
        handler, f"{FIND}?connect=v1&encoding=json&message=%22in%22", method="GET", kind=""
    )
    assert (answer.status, answer.body) == (200, b'"out"')
    assert (backend.last.method, backend.last.query) == ("POST", "")
    assert backend.last.body == framed(message("in"))
    data = base64.urlsafe_b64encode(message("in")).rstrip(b"=").decode()
    query = f"encoding=proto&base64=1&message={data}"
    answer = await call(served(answering(framed(b"x"))), f"{FIND}?{query}", method="GET", kind="")
    assert (answer.status, answer.body) == (200, b"x")
    assert answer.header(b"vary") == b"Accept-Encoding"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{PUT}?encoding=json&message=%22%22", 405),
        (f"{WATCH}?encoding=json&message=%22%22", 405),
        (f"{FIND}?encoding=xml&message=%22%22", 415),
        (f"{FIND}?encoding=json&message=x&base64=1", 400),
        (f"{FIND}?encoding=json&message=%22%22&connect=v2", 400),
        ("/shop.Shop/Other?encoding=json&message=%22%22", 501),
    ],
)
async def test_other_calls_by_get_are_refused(target: str, status: int) -> None:
    backend = answering()
    assert (await call(served(backend), target, method="GET", kind="")).status == status
    assert not backend.requests


async def test_stream_passes_as_it_is_but_for_its_end() -> None:
    data = gzip.compress(b"a")
    backend = answering(
        framed(data, 1)[:4],
        framed(data, 1)[4:] + framed(b"b"),
        headers=[GZIP, (b"x-a", b"1")],
        trailers=[(b"x-b", b"2"), (b"x-b", b"3")],
    )
    sent = [("Connect-Content-Encoding", "gzip"), ("Connect-Accept-Encoding", "gzip")]
    body = Pieces(framed(data, 1))
    answer = await call(served(backend), WATCH, body, "application/connect+proto", *sent)
    assert backend.last.body is body
    assert backend.last.headers[-2:] == [GZIP, (b"grpc-accept-encoding", b"gzip")]
    assert answer.headers == [
        (b"content-type", b"application/connect+proto"),
        (b"x-a", b"1"),
        (b"connect-content-encoding", b"gzip"),
    ]
    assert await whole(answer) == [
        (1, data),
        (0, b"b"),
        (2, b'{"metadata":{"x-b":["2","3"]}}'),
    ]


class Collecting:
    """A back end that keeps the messages of a request, and answers them."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def __call__(self, request: Request, /) -> Answer:
        frames = Frames(request.body, 1000)
        while (data := await frames.next()) is not None:
            self.messages.append(data)
        return Answer(200, [CALL], b"".join(map(framed, self.messages)), WELL)


async def test_stream_of_json_is_read_and_written_by_the_definitions() -> None:
    backend = Collecting()
    body = Pieces(framed(b'"a"') + framed(gzip.compress(b'"b"'), 1))
    kind, coding = "application/connect+json", ("Connect-Content-Encoding", "gzip")
    answer = await call(served(backend), WATCH, body, kind, coding)
    assert backend.messages == [message("a"), message("b")]
    assert await whole(answer) == [(0, b'"a"'), (0, b'"b"'), (2, b"{}")]


@pytest.mark.parametrize(
    ("path", "kind", "body", "code"),
    [
        (WATCH, "json", framed(b"{"), "invalid_argument"),
        (WATCH, "json", framed(b"{}")[:3], "invalid_argument"),
        (WATCH, "json", b"\7\0\0\0\0", "invalid_argument"),
        (WATCH, "json", framed(b"x" * 200), "invalid_argument"),
        (PUT, "json", framed(b"{}"), "unimplemented"),
        ("/shop.Shop/Other", "json", framed(b"{}"), "unimplemented"),
    ],
)
async def test_stream_that_is_wrong_ends_with_an_error(
    path: str, kind: str, body: bytes, code: str
) -> None:
    handler = served(Collecting(), max_bytes=100)
    answer = await call(handler, path, Pieces(body), f"application/connect+{kind}")
    assert (answer.status, answer.header(b"content-type")) == (
        200,
        f"application/connect+{kind}".encode(),
    )
    ((flag, told),) = await whole(answer)
    assert (flag, json.loads(told)["error"]["code"]) == (2, code)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(200, [CALL, (b"grpc-status", b"5")]), "not_found"),
        (Answer(503, [], Pieces(b"<html>")), "unavailable"),
        (
            Answer(200, [CALL], Pieces(framed(b"a"), trailers=[(b"grpc-status", b"8")])),
            "resource_exhausted",
        ),
        (Answer(200, [CALL], Pieces(framed(b"a"), ConnectionError("gone"))), "unavailable"),
        (Answer(200, [CALL], Pieces(framed(b"a")[:3])), "unavailable"),
        (Answer(200, [CALL], Pieces(framed(b"a"))), "unknown"),
    ],
)
async def test_stream_that_fails_says_so_at_its_end(answer: Answer, code: str) -> None:
    found = await call(served(Backend(answer)), WATCH, b"", "application/connect+proto")
    flag, told = (await whole(found))[-1]
    assert (flag, json.loads(told)["error"]["code"]) == (2, code)


async def test_stream_that_is_left_is_cut_off() -> None:
    pieces = Pieces(framed(b"a"), framed(b"b"))
    answer = await call(
        served(Backend(Answer(200, [CALL], pieces))), WATCH, b"", "application/connect+proto"
    )
    assert not isinstance(answer.body, bytes)
    await answer.body.read()
    answer.body.close()
    assert pieces.closed
    assert await answer.body.read() == b""


@pytest.mark.parametrize(
    ("method", "target", "kind"),
    [
        ("POST", "/v1/items", "application/json"),
        ("POST", PUT, "application/grpc+proto"),
        ("POST", PUT, "text/plain"),
        ("PUT", PUT, "application/proto"),
        ("GET", FIND, ""),
        ("GET", "/v1/items?message=x", ""),
    ],
)
async def test_what_is_no_call_of_connect_passes_as_it_is(
    method: str, target: str, kind: str
) -> None:
    backend = Backend(Answer(204))
    assert (await call(served(backend), target, b"", kind, method=method)).status == 204
    assert backend.last.options.on_error is None


async def test_other_endpoints_are_left_alone() -> None:
    backend = Backend(Answer(204))
    handler = behind(backend, "connect", endpoint=Endpoint(protocol=HTTP))
    assert (await call(handler)).status == 204


@pytest.mark.parametrize(
    ("kind", "status", "flag"),
    [("application/proto", 504, None), ("application/connect+json", 200, 2)],
)
async def test_request_without_an_answer_is_an_error_of_connect_too(
    kind: str, status: int, flag: int | None
) -> None:
    request = request_to(WATCH if flag else PUT, method="POST", headers=[("Content-Type", kind)])
    with pytest.raises(TimeoutError):
        await served(Backend(TimeoutError()))(request)
    assert request.options.on_error is not None
    answer = request.options.on_error(504, "too late")
    assert isinstance(answer.body, bytes)
    told = json.loads(answer.body[5:])["error"] if flag else json.loads(answer.body)
    assert (answer.status, told["code"]) == (status, "deadline_exceeded")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Connect(descriptor_set="/nowhere"), "descriptorSet cannot be read"),
        (Connect(descriptors=b"\xff"), "--include_imports"),
        (Connect(descriptors=definitions(), services=["shop.Ship"]), "no service shop.Ship"),
        (Connect(services=["shop.Shop"]), "services: nothing reads it without definitions"),
    ],
)
def test_definitions_that_cannot_be_used_are_refused(options: Connect, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "connect", options)
