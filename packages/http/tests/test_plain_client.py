"""Calls without a definition: verbs and paths through the client's chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.wrappers_pb2 import BoolValue, StringValue

from kratos.client import Client
from kratos.errors import ConfigError, Error
from kratos.registry import ServiceInstance
from kratos.registry.memory import MemoryRegistry
from kratos.testing.echo import EchoService, text
from kratos.transport import Call, CallOptions, Handler, Header, Mount
from kratos.transport.http import Reply
from kratos_http import (
    ClientReply,
    ClientRequest,
    HttpClient,
    HttpServer,
    Request,
    StreamReply,
    json_reply,
)
from kratos_http.testing import running

VALUE = Struct(fields={"value": Value(string_value="y")})


class Seen:
    """A middleware that notes what it is shown."""

    def __init__(self) -> None:
        self.operations: list[str] = []
        self.requests: list[Any] = []

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        self.operations.append(call.method.operation)
        self.requests.append(request)
        return await next(call, request)


async def mirror(request: Request) -> Reply:
    return json_reply(
        {
            "verb": request.method,
            "id": request.params.get("id", ""),
            "query": {name: request.query.all(name) for name in request.query},
            "type": request.headers.get("content-type"),
            "accept": request.headers.get("accept"),
            "tag": request.headers.get("x-tag"),
            "body": await request.text(),
        }
    )


async def echo(request: Request) -> Message:
    return text((await request.json())["value"])


async def parts(request: Request) -> StreamReply:
    """Send pieces of a kind, and break off where the query says so."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number
        if request.query.get("break", ""):
            raise Error(500, "BROKEN")

    kind = request.query.get("type", "").encode()
    return StreamReply(pieces=pieces(), headers=[(b"content-type", kind)] if kind else ())


async def broken(request: Request) -> Reply:
    del request
    raise Error(409, "TAKEN", "somebody has it", {"who": "me"})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = HttpServer("127.0.0.1:0", timeout=30.0)  # a busy machine may stand still for a second
    for verb in ("GET", "POST", "DELETE"):
        server.route(verb, "/things/{id}")(mirror)
    server.route("POST", "/echo")(echo)
    server.route("GET", "/broken")(broken)
    server.route("GET", "/parts", streamed=True)(parts)
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        (bound,) = await server.bind()
        yield bound


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
async def client(url: str, seen: Seen) -> AsyncIterator[HttpClient]:
    async with Client(url, middleware=[seen]) as caller:
        yield HttpClient(caller)


async def test_path_is_asked_for_as_it_is(client: HttpClient) -> None:
    reply = await client.request("GET", "/things/a%20b?x=1&x=2")
    assert isinstance(reply, ClientReply)
    assert (reply.status, reply.content_type) == (200, "application/json")
    told = reply.json()
    assert (told["verb"], told["id"], told["query"]) == ("GET", "a b", {"x": ["1", "2"]})
    assert (told["type"], told["body"], told["accept"]) == ("", "", "*/*")


async def test_variables_and_query_are_escaped(client: HttpClient) -> None:
    reply = await client.request(
        "DELETE", "/things/{id}", params={"id": "a/b c"}, query={"q": "ü&", "r": ["1", "2"]}
    )
    told = reply.json()
    assert (told["verb"], told["id"]) == ("DELETE", "a/b c")
    assert told["query"] == {"q": ["ü&"], "r": ["1", "2"]}


async def test_bytes_go_as_they_are(client: HttpClient) -> None:
    reply = await client.request("POST", "/things/1", body=b"a,b", content_type="text/csv")
    assert (reply.json()["type"], reply.json()["body"]) == ("text/csv", "a,b")
    reply = await client.request("POST", "/things/1", body=b"x")
    assert reply.json()["type"] == "application/octet-stream"


async def test_reply_is_text_too(client: HttpClient) -> None:
    assert '"verb":"GET"' in (await client.request("GET", "/things/1")).text()


async def test_message_goes_and_message_comes(client: HttpClient) -> None:
    body: Any = text("x")
    data = b'{"value": "y"}'
    for given in (data, VALUE):
        message = await client.request("POST", "/echo", body=given, out=StringValue)
        assert message == text("y")
    reply = await client.request("POST", "/things/1", body=body)
    assert reply.json()["type"] == "application/protojson"
    assert reply.json()["body"] == '"x"'


async def test_error_of_the_service_is_raised(client: HttpClient) -> None:
    with pytest.raises(Error) as failure:
        await client.request("GET", "/broken")
    error = failure.value
    assert (error.code, error.reason, error.metadata) == (409, "TAKEN", {"who": "me"})


async def test_reply_that_is_no_such_message_is_an_error(client: HttpClient) -> None:
    with pytest.raises(Error, match="cannot be read") as failure:
        await client.request("POST", "/echo", body=VALUE, out=BoolValue)
    assert (failure.value.code, failure.value.reason) == (500, "CODEC")
    with pytest.raises(Error, match="JSON"):
        ClientReply(status=200, headers=Header(), body=b"<").json()


@pytest.mark.parametrize("kind", ["text/plain", "text/event-stream", "application/json"])
async def test_reply_is_read_in_pieces_whatever_its_kind(
    client: HttpClient, seen: Seen, kind: str
) -> None:
    async with client.download("GET", "/parts", query={"type": kind}) as pieces:
        assert pieces.headers.get("content-type") == kind
        assert b"".join([piece async for piece in pieces]) == b"0\n1\n2\n"
    assert seen.operations == ["/parts"]
    assert isinstance(seen.requests[0], ClientRequest)


async def test_reply_that_breaks_off_has_no_end(client: HttpClient) -> None:
    with pytest.raises(Error, match="before the answer was complete"):
        async with client.download("GET", "/parts", query={"break": "1"}) as pieces:
            [piece async for piece in pieces]


async def test_download_of_an_error_is_that_error(client: HttpClient) -> None:
    with pytest.raises(Error, match="somebody has it") as failure:
        async with client.download("GET", "/broken"):
            pass
    assert (failure.value.code, failure.value.reason) == (409, "TAKEN")


async def test_operation_may_be_asked_for_whole_and_in_pieces(client: HttpClient) -> None:
    for _ in range(2):
        assert (await client.request("GET", "/parts")).body == b"0\n1\n2\n"
        async with client.download("GET", "/parts") as pieces:
            assert b"".join([piece async for piece in pieces]) == b"0\n1\n2\n"


async def test_middleware_sees_path_and_request(client: HttpClient, seen: Seen) -> None:
    await client.request("GET", "/things/{id}", params={"id": "1"})
    await client.request("GET", "/things/1?q=2")
    await client.request("POST", "/echo", body=VALUE, operation="/Things/Echo")
    assert seen.operations == ["/things/{id}", "/things/1", "/Things/Echo"]
    first, _, last = seen.requests
    assert isinstance(first, ClientRequest)
    assert (first.target, first.message) == ("/things/1", None)
    assert last.message == VALUE


async def test_operations_have_a_bounded_number_of_names(client: HttpClient, seen: Seen) -> None:
    for number in range(1030):
        await client.request("GET", f"/things/{number}", options=CallOptions(timeout=15.0))
    assert len(set(seen.operations)) == 1024
    assert seen.operations[-1] == "/*"


async def test_options_are_those_of_any_call(client: HttpClient) -> None:
    options = CallOptions(headers={"accept": "text/csv", "x-tag": "t"}, timeout=5.0)
    told = (await client.request("GET", "/things/1", options=options)).json()
    assert (told["accept"], told["tag"]) == ("*/*", "t")


async def test_service_is_found_by_name(url: str) -> None:
    registry = MemoryRegistry()
    instance = ServiceInstance(id="1", name="things", version="", endpoints=(url,))
    await registry.register(instance)
    async with Client("discovery:///things", discovery=registry) as caller:
        assert (await HttpClient(caller).request("GET", "/things/1")).status == 200


@pytest.mark.parametrize(
    ("verb", "path", "params", "word"),
    [
        ("get", "/", None, "verb"),
        ("GET /x HTTP/1.1\r\nA: b\r\n", "/", None, "verb"),
        ("GET", "things", None, "slash"),
        ("GET", "/a b", None, "percent"),
        ("GET", "/a\r\nHost: x", None, "percent"),
        ("GET", "/a#b", None, "percent"),
        ("GET", "/%zz", None, "percent"),
        ("GET", "/{a}", {}, "value for a"),
        ("GET", "/{a}", {"a": "1", "b": "2"}, "no variable b"),
        ("GET", "/{a}", {"a": ".."}, "dot"),
    ],
)
async def test_what_cannot_be_sent_is_refused(
    client: HttpClient, verb: str, path: str, params: dict[str, str] | None, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        await client.request(verb, path, params=params)


async def test_body_that_is_neither_message_nor_bytes_is_refused(client: HttpClient) -> None:
    wrong: Any = {"a": 1}
    with pytest.raises(TypeError, match="not dict; for JSON, pass"):
        await client.request("POST", "/echo", body=wrong)


async def test_wrong_codec_is_refused(client: HttpClient, url: str) -> None:
    with pytest.raises(ConfigError, match="nothing"):
        HttpClient(Client(url), codec="nothing")
    with pytest.raises(Error, match="text/nothing"):
        await client.request("POST", "/echo", body=text("x"), content_type="text/nothing")


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
def test_body_of_a_reply_that_is_no_json_is_a_failure_of_the_server(body: bytes) -> None:
    with pytest.raises(Error, match="cannot be read as JSON") as failure:
        ClientReply(status=200, headers=Header(), body=body).json()
    assert (failure.value.code, failure.value.reason) == (500, "CODEC")
