"""Decoders of a server's own, filters of groups, and middleware by selector, on both engines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import pytest
from google.protobuf.message import Message
from google.protobuf.source_context_pb2 import SourceContext
from google.protobuf.struct_pb2 import Struct
from google.protobuf.type_pb2 import Field, Type
from google.protobuf.wrappers_pb2 import StringValue

from kratos.encoding import CodecError
from kratos.errors import ConfigError, Error, StartupError
from kratos.testing.echo import EchoService
from kratos.transport import Arity, Call, Handler, HttpRule, Method, Mount, Service
from kratos.transport.http import Endpoint, Head, HttpApplication, Reply
from kratos_http import (
    Compression,
    Decoders,
    HttpServer,
    Request,
    StreamReply,
    decode_body,
    decode_query,
    decode_variables,
    json_reply,
    text_reply,
)
from kratos_http.testing import HANDSHAKE, OpenPeer, SocketPeer, frame, next_frame, running

JSON = [("Content-Type", "application/json")]


def unary(name: str, kind: Any, rule: HttpRule) -> Method[Any, Any]:
    return Method(
        operation=f"/test.Types/{name}",
        name=name.lower(),
        arity=Arity.UNARY,
        request=kind,
        reply=kind,
        http=(rule,),
    )


class Types(Service):
    """Answers with the request."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (
        unary("Put", Type, HttpRule(verb="PUT", path="/types/{name}", body="*")),
        unary("Part", Type, HttpRule(verb="POST", path="/parts", body="source_context")),
        unary("List", Type, HttpRule(verb="POST", path="/lists", body="oneofs")),
        unary("Get", Field, HttpRule(verb="GET", path="/fields/{name}")),
    )

    async def put(self, request: Any, /) -> Any:
        return request

    part = list = get = put


def serving(*services: Service, **options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", **options)
    server.mount(Mount(services=services or [Types()]))
    return server


def reversed_body(head: Head, body: bytes, message: Message, field: str, /) -> None:
    decode_body(head, body[::-1], message, field)


def shouted_query(head: Head, message: Message, /) -> None:
    head.query = head.query.lower()
    decode_query(head, message)


def prefixed(values: Mapping[str, str], message: Message, /) -> None:
    decode_variables({name: f"x-{value}" for name, value in values.items()}, message)


OWN = Decoders(body=reversed_body, query=shouted_query, variables=prefixed)


@pytest.mark.parametrize("decoders", [OWN, {"/test.Types/": OWN}, {"*": OWN}])
async def test_bodies_queries_and_variables_are_read_by_own_decoders(
    open_peer: OpenPeer, decoders: Any
) -> None:
    async with open_peer(serving(decoders=decoders)) as peer:
        put = await peer.request(
            "PUT", "/types/a?edition=no", headers=JSON, body=b'{"edition":"e"}'[::-1]
        )
        body = b'{"fileName":"f"}'[::-1]
        part = await peer.request("POST", "/parts?NAME=A", headers=JSON, body=body)
        oneofs = await peer.request("POST", "/lists", headers=JSON, body=b'["o"]'[::-1])
        got = await peer.request("GET", "/fields/a?NUMBER=7")
    assert (put.json()["name"], put.json()["edition"]) == ("x-a", "e")
    assert (part.json()["name"], part.json()["sourceContext"]) == ("a", {"fileName": "f"})
    assert oneofs.json()["oneofs"] == ["o"]
    assert (got.json()["name"], got.json()["number"]) == ("x-a", 7)


async def test_operation_has_decoders_of_its_own(open_peer: OpenPeer) -> None:
    decoders = {"/test.Types/Put": Decoders(variables=prefixed)}
    async with open_peer(serving(decoders=decoders)) as peer:
        put = await peer.request("PUT", "/types/a", headers=JSON, body=b'{"edition":"e"}')
        got = await peer.request("GET", "/fields/a")
    assert (put.json()["name"], put.json()["edition"]) == ("x-a", "e")
    assert got.json()["name"] == "a"


def test_decoders_for_nothing_are_refused() -> None:
    with pytest.raises(StartupError, match=r"decoders names '/test.Types/Nope', which is not"):
        serving(decoders={"/test.Types/Nope": OWN})


@pytest.mark.parametrize(
    ("failure", "status", "reason"),
    [
        (Error(422, "WORDS", "no"), 422, "WORDS"),
        (CodecError("no", "name"), 400, "CODEC"),
        (KeyError("secret"), 500, "UNKNOWN"),
    ],
)
async def test_decoder_that_refuses_or_fails_is_answered(
    open_peer: OpenPeer, failure: Exception, status: int, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise failure

    for decoders in (Decoders(body=fail), Decoders(variables=fail), Decoders(query=fail)):
        async with open_peer(serving(decoders=decoders)) as peer:
            path = "/types/a" if decoders.query is None else "/parts?a=b"
            verb = "PUT" if decoders.query is None else "POST"
            answer = await peer.request(verb, path, headers=JSON, body=b"{}")
        assert (answer.status, answer.json()["reason"]) == (status, reason)
        assert b"secret" not in answer.body


async def test_messages_of_a_websocket_are_read_by_own_decoders() -> None:
    async with running(serving(EchoService(), decoders=Decoders(body=reversed_body))) as server:
        (url,) = await server.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        headers = [*HANDSHAKE, *JSON]
        assert (await peer.request("GET", "/kratos.testing/chat", headers=headers)).status == 101
        await peer.send(frame(1, b'"ab"'))
        assert await next_frame(peer) == (1, b'"ba"')
        await peer.aclose()


def binding(**options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0")
    group = server.group("/group", **options)

    for streamed in (False, True):

        @group.route("POST", f"/{streamed}/{{name}}", streamed=streamed)
        async def handler(request: Request) -> Reply:
            body = await request.bind(Type)
            query = request.bind_query(Field)
            params = request.bind_params(Field)
            return json_reply([body.edition, query.number, params.name])

    server.mount(Mount(services=()))
    return server


@pytest.mark.parametrize("streamed", [False, True])
async def test_plain_handler_binds_body_query_and_variables(
    open_peer: OpenPeer, streamed: bool
) -> None:
    target = f"/group/{streamed}/a?NUMBER=7&number=8"
    async with open_peer(binding()) as peer:
        usual = await peer.request("POST", target, headers=JSON, body=b'{"edition":"e"}')
        form = [("Content-Type", "application/x-www-form-urlencoded")]
        formed = await peer.request("POST", target, headers=form, body=b"edition=e")
        empty = await peer.request("POST", f"/group/{streamed}/a")
    assert usual.json() == formed.json() == ["e", 8, "a"]
    assert empty.json() == ["", 0, "a"]
    async with open_peer(binding(decoders=OWN)) as peer:
        target = f"/group/{streamed}/a?NUMBER=7"
        own = await peer.request("POST", target, headers=JSON, body=b'{"edition":"e"}'[::-1])
    assert own.json() == ["e", 7, "x-a"]


@pytest.mark.parametrize(
    ("target", "headers", "body"),
    [
        ("/group/False/a", JSON, b"{"),
        ("/group/False/a", [("Content-Type", "text/plain")], b"x"),
        ("/group/False/a?number=x", JSON, b"{}"),
    ],
)
async def test_what_a_plain_handler_cannot_bind_is_400(
    open_peer: OpenPeer, target: str, headers: Any, body: bytes
) -> None:
    async with open_peer(binding()) as peer:
        answer = await peer.request("POST", target, headers=headers, body=body)
    assert (answer.status, answer.json()["reason"]) == (400, "CODEC")


def test_body_of_raw_bytes_is_kept_as_it_is() -> None:
    from importlib import import_module

    raw: Any = import_module("google.api.httpbody_pb2").HttpBody()
    head = Head("POST", b"/", b"", [(b"content-type", b"image/png")])
    decode_body(head, b"\x89PNG", raw)
    assert (raw.content_type, raw.data) == ("image/png", b"\x89PNG")


FORM: bytes = (
    b'--xx\r\nContent-Disposition: form-data; name="%b"\r\n\r\na\r\n--xx--\r\n'  # one text
)


@pytest.mark.parametrize(
    ("field", "name", "wanted"),
    [
        ("", b"name", Type(name="a")),
        ("source_context", b"fileName", Type(source_context=SourceContext(file_name="a"))),
        ("source_context", b"other", Type(source_context=SourceContext())),
    ],
)
def test_form_with_parts_is_read_as_servers_do(field: str, name: bytes, wanted: Type) -> None:
    message = Type()
    head = Head("POST", b"/", b"", [(b"content-type", b"multipart/form-data; boundary=xx")])
    decode_body(head, FORM % name, message, field)
    assert message == wanted


def test_form_cannot_be_a_list() -> None:
    head = Head("POST", b"/", b"", [(b"content-type", b"multipart/form-data; boundary=xx")])
    with pytest.raises(Error, match="unregister Content-Type"):
        decode_body(head, FORM % b"name", Type(), "fields")


def test_empty_body_leaves_a_message_alone() -> None:
    message = StringValue(value="a")
    decode_body(Head("POST", b"/", b"", []), b"", message)
    assert message.value == "a"


# Filters of groups


def tagging(name: str) -> Any:
    """A filter that writes its name into the query, so that handlers see the order."""

    def wrap(application: HttpApplication) -> HttpApplication:
        class Wrapped:
            def route(self, head: Head, /) -> Endpoint:
                head.headers.append((b"x-filter", name.encode()))
                return application.route(head)

        return Wrapped()

    return wrap


async def test_filters_of_groups_are_within_those_of_the_server(open_peer: OpenPeer) -> None:
    server = HttpServer("127.0.0.1:0", filters=[tagging("server")])

    async def shows(request: Request) -> Reply:
        return json_reply([request.params, request.headers.values("x-filter")])

    outer = server.group("/outer", filters=[tagging("a"), tagging("b")])
    inner = outer.group("/inner", filters=[tagging("c")])
    server.group().add("GET", "/bare", shows)
    outer.add("GET", "/fixed", shows)
    inner.add("GET", "/{id}", shows)
    server.mount(Mount(services=[EchoService()]))
    async with open_peer(server) as peer:
        assert (await peer.request("GET", "/bare")).json() == [{}, ["server"]]
        assert (await peer.request("GET", "/outer/fixed")).json() == [{}, ["server", "a", "b"]]
        within = await peer.request("GET", "/outer/inner/7")
        assert within.json() == [{"id": "7"}, ["server", "a", "b", "c"]]


async def test_group_compresses_its_answers_alone(open_peer: OpenPeer) -> None:
    server = HttpServer("127.0.0.1:0")

    async def long(_request: Request) -> Reply:
        return text_reply("x" * 5000)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 5000

    async def stream(_request: Request) -> StreamReply:
        return StreamReply(pieces=pieces(), headers=[(b"content-type", b"text/plain")])

    server.group("/small", filters=[Compression()]).add("GET", "/long", long)
    server.group("/small", filters=[Compression()]).add("GET", "/stream", stream, streamed=True)
    server.group().add("GET", "/long", long)
    server.mount(Mount(services=()))
    headers = [("Accept-Encoding", "gzip")]
    async with open_peer(server) as peer:
        for path, coding in (("/small/long", "gzip"), ("/small/stream", "gzip"), ("/long", "")):
            answer = await peer.request("GET", path, headers=headers)
            assert answer.header("content-encoding") == coding


# Middleware by selector


async def test_middleware_is_around_what_its_selector_selects(open_peer: OpenPeer) -> None:
    def named(name: str) -> Any:
        async def middleware(call: Call, request: Any, next: Handler) -> Any:
            call.reply_headers.add("x-by", name)
            return await next(call, request)

        return middleware

    server = HttpServer("127.0.0.1:0", middleware=[named("server")])
    server.use("*", [named("rest")])
    server.use("/test.Types/*", [named("types"), named("more")])
    server.use("/test.Types/Get", [named("get")])
    server.use("/plain/*", [named("plain")])

    @server.route("GET", "/plain/{id}", middleware=[named("route")])
    async def handler(_request: Request) -> Reply:
        return json_reply(None)

    server.mount(Mount(services=[Types(), EchoService()]))
    async with open_peer(server) as peer:
        for verb, target, names in (
            ("GET", "/fields/a", ["server", "get"]),
            ("POST", "/parts", ["server", "types", "more"]),
            ("POST", "/kratos.testing/echo", ["server", "rest"]),
            ("GET", "/plain/7", ["server", "plain", "route"]),
        ):
            body = b'"a"' if target.endswith("echo") else b""
            answer = await peer.request(verb, target, headers=JSON, body=body)
            assert answer.values("x-by") == names
    with pytest.raises(ConfigError, match="before the application starts"):
        server.use("*", [])


async def test_struct_is_bound_from_json(open_peer: OpenPeer) -> None:
    server = HttpServer("127.0.0.1:0")

    @server.route("POST", "/")
    async def handler(request: Request) -> Struct:
        return await request.bind(Struct)

    server.mount(Mount(services=()))
    async with open_peer(server) as peer:
        answer = await peer.request("POST", "/", headers=JSON, body=b'{"a":[1]}')
    assert json.loads(answer.body) == {"a": [1]}
