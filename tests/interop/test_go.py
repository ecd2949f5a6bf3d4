"""Go Kratos v3 and v2 and this implementation call each other: messages, errors, metadata."""

from __future__ import annotations

import asyncio
import email.policy
import hashlib
import json
from collections.abc import AsyncIterator
from email.parser import BytesParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.struct_pb2 import NULL_VALUE
from interop.v1.interop_kratos import (
    Interop,
    InteropClient,
    error_taken,
    is_nothing_there,
    is_taken,
)
from interop.v1.interop_pb2 import (
    COLOR_UNSPECIFIED,
    GREEN,
    RED,
    AllKinds,
    ChatRequest,
    FailRequest,
    FindRequest,
    Inner,
    MetaReply,
    MetaRequest,
    WatchRequest,
)

from kratos import App, Client, Error, server_call
from kratos.metadata import Metadata, client_context, server_metadata
from kratos.middleware import circuitbreaker, metadata, ratelimit, recovery
from kratos.testing.app import running
from kratos.testing.guard import Ledger
from kratos.transport import CallOptions, Incoming, Opening
from kratos.transport.http import Reply
from kratos_grpc import GrpcServer
from kratos_http import HttpConnector, HttpServer, Request
from kratos_http.testing import SocketPeer
from kratos_protojson import to_json

HttpBody: Any = import_module("google.api.httpbody_pb2").HttpBody  # ships without types

pytestmark = [pytest.mark.go, pytest.mark.slow]

CODES = [400, 401, 403, 404, 409, 412, 429, 499, 500, 501, 503, 504]
TRANSPORTS = ["http", "grpc"]
WAYS = [("http", "grpcio"), ("grpc", "grpcio"), ("grpc", "kratos")]  # and the engine of gRPC
STREAMS = [
    "watch",
    "watch_nothing",
    "watch_fails_late",
    "watch_fails_early",
    "collect",
    "collect_fails",
    "chat",
    "chat_fails",
]
BODIES = ["form", "xml", "upload", "multipart"]


class Service(Interop):
    async def echo(self, request: AllKinds, /) -> AllKinds:
        return request

    async def mirror(self, request: Inner, /) -> Inner:
        return request

    async def upload(self, request: Any, /) -> Any:
        return request

    async def find(self, request: FindRequest, /) -> FindRequest:
        return request

    async def fail(self, request: FailRequest, /) -> AllKinds:
        raise Error(request.code, request.reason, request.message, dict(request.metadata))

    async def meta(self, request: MetaRequest, /) -> MetaReply:
        found = server_metadata()
        assert found is not None
        call = server_call()
        assert call is not None
        call.reply_headers.set("x-reply", "from python")
        return MetaReply(metadata={key: ",".join(values) for key, values in found.items()})

    async def watch(self, request: WatchRequest, /) -> AsyncIterator[Inner]:
        call = server_call()
        assert call is not None
        call.reply_headers.set("x-reply", "from python")
        for page in range(1, request.count + 1):
            yield Inner(title=request.title + color(), pages=page)
        if request.code:
            raise failure(request.code)

    async def collect(self, requests: AsyncIterator[Inner], /) -> Inner:
        total = Inner(title=color())
        async for request in requests:
            if request.title == "fail":
                raise failure(409)
            total.title += request.title
            total.pages += request.pages
        return total

    async def chat(self, requests: AsyncIterator[ChatRequest], /) -> AsyncIterator[ChatRequest]:
        async for request in requests:
            if request.inner.title == "fail":
                raise failure(409)
            if request.inner.title == "meta":
                request.inner.title = color()
            yield request


def failure(code: int) -> Error:
    return Error(code, "A_REASON", "a message", {"key": "value"})


def color() -> str:
    found = server_metadata()
    return "" if found is None else found.get("x-md-global-color")


async def files(request: Request) -> Reply:
    """Tell what a form with a file holds."""
    kind = request.headers.get("content-type").encode()
    parser = BytesParser(policy=email.policy.HTTP)
    body = await request.body()
    form: Any = parser.parsebytes(b"content-type: %b\r\n\r\n%b" % (kind, body))
    title, cover = form.iter_parts()
    name, data = cover.get_filename(), cover.get_payload(decode=True)
    told = f"{title.get_payload(decode=True).decode()} {name} {len(data)}"
    return Reply(200, (), f"{told} {hashlib.sha256(data).hexdigest()}".encode())


@pytest_asyncio.fixture
async def python_server(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, str]]:
    """Addresses of a running service of ours by transport; may be told the engine of gRPC."""
    engine: Any = getattr(request, "param", "grpcio")
    http = HttpServer("127.0.0.1:0")
    http.route("POST", "/interop/files")(files)
    app = App(
        name="interop",
        services=[Service()],
        middleware=[recovery(), metadata()],
        servers=[http, GrpcServer("127.0.0.1:0", engine=engine)],
        signals=(),
    )
    async with running(app):
        yield {
            scheme: address
            for scheme, _, address in (url.partition("://") for url in app.info.endpoints)
        }


def sample() -> AllKinds:
    """Make a message with a telling value in every kind of field."""
    message = AllKinds(
        a_double=1.5e300,
        a_float=-0.25,
        an_int32=-(2**31),
        an_int64=2**63 - 1,
        a_uint32=2**32 - 1,
        a_uint64=2**64 - 1,
        a_sint32=-1,
        a_sint64=-(2**63),
        a_fixed32=32,
        a_fixed64=1 << 60,
        a_sfixed32=-32,
        a_sfixed64=-64,
        a_bool=True,
        a_string='Grüße, 世界 \u2028 "quoted"',
        some_bytes=bytes([0, 255, 254, 62, 63]),
        color=GREEN,
        inner=Inner(title="inner", pages=1 << 53),
        numbers=[0, -1, 2**63 - 1],
        words=["", "two"],
        inners=[Inner(title="a"), Inner()],
        texts={"k": "v", "": "empty", "dot.ted": "x"},
        by_number={-5: Inner(title="minus five")},
        chosen_inner=Inner(title="chosen"),
        maybe=0,
        colors=[RED, COLOR_UNSPECIFIED],
        color_by_name={"grass": GREEN},
    )
    message.at.FromJsonString("2024-02-29T23:59:59.123Z")
    message.lasting.FromJsonString("-90.5s")
    message.mask.paths.extend(["a_string", "inner.title"])
    message.tree.update({"text": "ü", "number": 1.5, "list": [True, None], "tree": {"a": "b"}})
    message.value.null_value = NULL_VALUE
    message.list.extend(["x"])
    message.any.Pack(Inner(title="packed", pages=7))
    message.wrapped_int64.SetInParent()
    message.wrapped_string.SetInParent()
    message.wrapped_bool.SetInParent()
    message.wrapped_bytes.value = b"\x01"
    message.wrapped_double.value = float("inf")
    return message


def question(*, plain: bool) -> FindRequest:
    """Make a request whose fields travel in a path and a query."""
    request = FindRequest(
        shelf="first" if plain else "first floor",
        book=Inner(title="War-and-Peace" if plain else "Krieg & Frieden?", pages=1225),
        limit=2**63 - 1,
        tags=["a b", "c&d"],
        labels={"lang": "de"},
        exact=True,
        color=RED,
    )
    request.within.FromSeconds(90)
    request.since.FromJsonString("2024-01-02T03:04:05Z")
    return request


async def checks_of(program: Path, transport: str, address: str) -> list[dict[str, Any]]:
    """Let a Go client call a service, and return what it says of each check."""
    process = await asyncio.create_subprocess_exec(
        program,
        "client",
        transport,
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return [json.loads(line) for line in out.splitlines()]


def unary(codes: list[int]) -> list[str]:
    return ["echo", "echo_empty", "find", *(f"fail_{code}" for code in codes), "meta"]


@pytest.mark.parametrize(("transport", "python_server"), WAYS, indirect=["python_server"])
async def test_go_client_is_served(
    transport: str, python_server: dict[str, str], go_program: Path
) -> None:
    checks = await checks_of(go_program, transport, python_server[transport])
    more = [*STREAMS, *BODIES] if transport == "http" else []
    assert [check["case"] for check in checks] == [*unary(CODES), *more]
    assert [check for check in checks if not check["ok"]] == []


@pytest.mark.parametrize(("transport", "python_server"), WAYS, indirect=["python_server"])
async def test_client_of_go_kratos_v2_is_served(
    transport: str, python_server: dict[str, str], go2_program: Path
) -> None:
    checks = await checks_of(go2_program, transport, python_server[transport])
    assert [check["case"] for check in checks] == unary(codes_of_v2(transport))
    assert [check for check in checks if not check["ok"]] == []


def codes_of_v2(transport: str) -> list[int]:
    """Return the codes that are in v2's tables, too: over gRPC 412 is not."""
    return [code for code in CODES if transport == "http" or code != 412]


@pytest.mark.parametrize(("transport", "engine"), WAYS)
@pytest.mark.parametrize("refused_by", ["limiter", "breaker"])
async def test_refusal_is_to_a_go_client_what_go_refuses_with(
    transport: str, engine: Any, refused_by: str, go_program: Path
) -> None:
    ledger = Ledger(retry_after=2.5 if refused_by == "limiter" else None)
    ledger.open = False
    refusing = ratelimit(ledger) if refused_by == "limiter" else circuitbreaker(lambda: ledger)
    app = App(
        name="interop",
        services=[Service()],
        middleware=[recovery(), refusing],
        servers=[
            HttpServer("127.0.0.1:0")
            if transport == "http"
            else GrpcServer("127.0.0.1:0", engine=engine)
        ],
        signals=(),
    )
    async with running(app):
        (url,) = app.info.endpoints
        process = await asyncio.create_subprocess_exec(
            go_program,
            "refused",
            transport,
            url.partition("://")[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    seen = json.loads(out)
    assert (seen["limiter"], seen["breaker"]) == (
        refused_by == "limiter",
        refused_by == "breaker",
    )
    assert (seen["metadata"] or {}) == ({"retry_after": "2.5"} if refused_by == "limiter" else {})


def connect(transport: str, addresses: dict[str, str]) -> Client:
    return Client(addresses[transport], transport=transport, middleware=[metadata()], timeout=10.0)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_all_kinds_of_fields_survive_a_go_service(
    transport: str, go_server: dict[str, str]
) -> None:
    async with connect(transport, go_server) as caller:
        client = InteropClient(caller)
        assert await client.echo(sample()) == sample()
        almost_empty = AllKinds()
        almost_empty.value.null_value = NULL_VALUE
        assert await client.echo(almost_empty) == almost_empty


@pytest.mark.parametrize("case", ["sample", "empty", "error"])
async def test_json_is_gos_with_its_members_in_gos_order(
    case: str, python_server: dict[str, str], go_server: dict[str, str]
) -> None:
    message = sample() if case == "sample" else AllKinds()
    # Go prints null for a Value that is not set, which is another value; ours leaves it out.
    message.value.null_value = NULL_VALUE
    bodies: list[Any] = []
    for addresses in (python_server, go_server):
        peer = await SocketPeer.connect(*address_of(addresses["http"]))
        kind = "application/protojson"
        headers = [("Accept", kind), ("Content-Type", kind)]
        if case == "error":
            target = "/interop/fail/409?reason=R&message=m&metadata[k]=v"
            answer = await peer.request("GET", target, headers=headers)
        else:
            body = to_json(message)
            answer = await peer.request("POST", "/interop/echo", headers=headers, body=body)
        assert answer.header("content-type") == kind
        bodies.append(json.loads(answer.body, object_pairs_hook=list))
        await peer.aclose()
    assert bodies[0] == bodies[1]


def address_of(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def to_v2(transport: str, addresses: dict[str, str]) -> Client:
    """Connect to a service of v2, which knows protobuf's JSON by the name of json alone."""
    kind = HttpConnector(codec="json") if transport == "http" else transport
    return Client(addresses[transport], transport=kind, middleware=[metadata()], timeout=10.0)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_service_of_go_kratos_v2_is_called(
    transport: str, go2_server: dict[str, str]
) -> None:
    ended: list[Any] = []
    async with to_v2(transport, go2_server) as caller:
        client = InteropClient(caller)
        assert await client.echo(sample()) == sample()
        assert await client.find(question(plain=False)) == question(plain=False)
        with client_context(Metadata({"x-md-global-color": ["red"], "x-md-local-size": ["xl"]})):
            reply = await client.meta(MetaRequest(), options=CallOptions(on_end=ended.append))
    assert reply.metadata["x-md-global-color"] == "red"
    assert reply.metadata["x-md-local-size"] == "xl"
    assert ended[0].reply_headers.get("x-reply") == "from go"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_errors_of_go_kratos_v2_arrive_whole(
    transport: str, go2_server: dict[str, str]
) -> None:
    got: list[tuple[int, str, str, dict[str, str]]] = []
    codes = codes_of_v2(transport)
    async with to_v2(transport, go2_server) as caller:
        for code in codes:
            request = FailRequest(
                code=code, reason="R", message="a message", metadata={"other": "ü"}
            )
            with pytest.raises(Error) as failure:
                await InteropClient(caller).fail(request)
            error = failure.value
            got.append((error.code, error.reason, error.message, dict(error.metadata)))
    assert got == [(code, "R", "a message", {"other": "ü"}) for code in codes]


def formable() -> AllKinds:
    """Make a message without what a form of Go Kratos cannot hold."""
    message = sample()
    for name in ("inners", "by_number", "tree", "value", "list", "any", "color_by_name"):
        message.ClearField(name)
    message.some_bytes = b"abc"  # it does not read all of what it writes
    message.words[:] = ["one", "two"]
    message.texts.clear()
    message.texts["k"] = "v"
    message.inner.title = "a & b = c"
    message.wrapped_string.value = "wrapped"
    return message


def speaking(codec: str, addresses: dict[str, str]) -> Client:
    return Client(addresses["http"], transport=HttpConnector(codec=codec), timeout=10.0)


async def test_form_and_xml_go_both_ways_with_a_go_service(go_server: dict[str, str]) -> None:
    async with speaking("x-www-form-urlencoded", go_server) as caller:
        assert await InteropClient(caller).echo(formable()) == formable()
    inner = Inner(title="a <b> & 'c' ü", pages=1 << 53)
    async with speaking("xml", go_server) as caller:
        assert await InteropClient(caller).mirror(inner) == inner


async def test_raw_body_goes_both_ways_with_a_go_service(go_server: dict[str, str]) -> None:
    picture = HttpBody(content_type="image/png", data=bytes(range(256)) * 4096)
    async with connect("http", go_server) as caller:
        assert await InteropClient(caller).upload(picture) == picture


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_path_and_query_are_bound_by_a_go_service(
    transport: str, go_server: dict[str, str]
) -> None:
    async with connect(transport, go_server) as caller:
        request = question(plain=False)
        assert await InteropClient(caller).find(request) == request


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_error_of_a_go_service_arrives_whole(
    transport: str, code: int, go_server: dict[str, str]
) -> None:
    request = FailRequest(
        code=code, reason="A_REASON", message="a message", metadata={"key": "value", "other": "ü"}
    )
    async with connect(transport, go_server) as caller:
        with pytest.raises(Error) as failure:
            await InteropClient(caller).fail(request)
    error = failure.value
    assert (error.code, error.reason, error.message) == (code, "A_REASON", "a message")
    assert error.metadata == {"key": "value", "other": "ü"}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_generated_predicates_know_the_errors_of_a_go_service(
    transport: str, go_server: dict[str, str]
) -> None:
    async with connect(transport, go_server) as caller:
        with pytest.raises(Error) as failure:
            await InteropClient(caller).fail(FailRequest(code=409, reason="TAKEN"))
    assert is_taken(failure.value)
    assert not is_nothing_there(failure.value)
    assert error_taken("").matches(failure.value)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_metadata_reaches_a_go_service_and_headers_come_back(
    transport: str, go_server: dict[str, str]
) -> None:
    ended: list[Any] = []
    async with connect(transport, go_server) as caller:
        with client_context(Metadata({"x-md-global-color": ["red"], "x-md-local-size": ["xl"]})):
            reply = await InteropClient(caller).meta(
                MetaRequest(), options=CallOptions(on_end=ended.append)
            )
    assert reply.metadata["x-md-global-color"] == "red"
    assert reply.metadata["x-md-local-size"] == "xl"
    assert ended[0].reply_headers.get("x-reply") == "from go"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_streamed_replies_of_a_go_service_arrive(
    transport: str, go_server: dict[str, str]
) -> None:
    request = WatchRequest(title="a b", count=3)
    async with connect(transport, go_server) as caller:
        async with InteropClient(caller).watch(request) as replies:
            got = [reply async for reply in replies]
        async with InteropClient(caller).watch(WatchRequest(title="x")) as replies:
            assert [reply async for reply in replies] == []
    assert got == [Inner(title="a b", pages=page) for page in (1, 2, 3)]


async def test_metadata_and_headers_travel_with_a_stream_of_a_go_service(
    go_server: dict[str, str],
) -> None:
    async with connect("http", go_server) as caller:
        with client_context(Metadata({"x-md-global-color": ["red"]})):
            opening = InteropClient(caller).watch(WatchRequest(title="x", count=1))
            async with opening as replies:
                assert [reply.title async for reply in replies] == ["xred"]
                assert replies.headers.get("x-reply") == "from go"
            total = await InteropClient(caller).collect([Inner(title="x")])
            async with InteropClient(caller).chat() as chat:
                await chat.send(ChatRequest(room="den", inner=Inner(title="meta")))
                assert (await chat.__anext__()).inner.title == "red"
    assert total.title == "redx"


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_error_of_a_streaming_go_service_arrives_whole(
    transport: str, count: int, go_server: dict[str, str]
) -> None:
    request = WatchRequest(title="x", count=count, code=409)
    got: list[Inner] = []
    async with connect(transport, go_server) as caller:
        with pytest.raises(Error) as failure:
            await take(InteropClient(caller).watch(request), got)
    error = failure.value
    assert len(got) == count
    assert (error.code, error.reason, error.message) == (409, "A_REASON", "a message")
    assert error.metadata == {"key": "value"}


async def take(opening: Opening[Incoming[Inner]], got: list[Inner]) -> None:
    async with opening as replies:
        async for reply in replies:
            got.append(reply)  # noqa: PERF401  those before the failure count


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_streamed_requests_reach_a_go_service(
    transport: str, go_server: dict[str, str]
) -> None:
    async with connect(transport, go_server) as caller:
        total = await InteropClient(caller).collect([Inner(title="a", pages=1), Inner(pages=2)])
        assert total == Inner(title="a", pages=3)
        with pytest.raises(Error) as failure:
            await InteropClient(caller).collect([Inner(title="fail")])
    assert (failure.value.code, failure.value.reason) == (409, "A_REASON")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_messages_go_both_ways_with_a_go_service(
    transport: str, go_server: dict[str, str]
) -> None:
    async with connect(transport, go_server) as caller:
        async with InteropClient(caller).chat() as chat:
            for page in (1, 2):
                request = ChatRequest(room="a den", inner=Inner(title="x", pages=page))
                request.tags.extend(["a b", "c"])
                await chat.send(request)
                assert await chat.__anext__() == request
            await chat.end()
            assert [reply async for reply in chat] == []
        async with InteropClient(caller).chat() as chat:
            await chat.send(ChatRequest(room="den", inner=Inner(title="fail")))
            with pytest.raises(Error) as failure:
                await chat.__anext__()
    error = failure.value
    assert (error.code, error.reason, error.message) == (409, "A_REASON", "a message")


@pytest.mark.parametrize("code", [405, 408, 418, 422])
async def test_exact_http_code_survives_grpc_between_services_of_ours(
    code: int, python_server: dict[str, str]
) -> None:
    async with connect("grpc", python_server) as caller:
        with pytest.raises(Error) as failure:
            await InteropClient(caller).fail(FailRequest(code=code, reason="R"))
    assert failure.value.code == code
