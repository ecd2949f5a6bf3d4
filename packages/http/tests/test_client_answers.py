"""Answers that are no plain reply: without a body, elsewhere, of a proxy."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trustme
from google.protobuf.empty_pb2 import Empty

from kratos.client import Client
from kratos.errors import Error
from kratos.selector import Node
from kratos.testing.echo import WATCH, text
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import HttpClient, HttpConnector, HttpServer, Request, text_reply
from kratos_http.testing import running

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Script], Awaitable[Node]]


class Pages:
    """Answers by path, and notes what was asked for on which connection."""

    def __init__(self, **pages: bytes) -> None:
        self.pages = {f"/{name}": page for name, page in pages.items()}
        self.asked: list[str] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = head.partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
            self.asked.append(head.partition(" HTTP/")[0])
            writer.write(self.pages[head.split(" ")[1].partition("?")[0]])


def page(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers))
    return f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


END = page("200 OK", body=b"end")


@pytest.mark.parametrize(
    "lines",
    ["Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n"],
)
async def test_answers_to_head_keep_the_connection(serve: Serve, lines: str) -> None:
    pages = Pages(x=f"HTTP/1.1 200 OK\r\nX-A: b\r\n{lines}\r\n".encode(), y=END)
    async with Client((await serve(pages)).address) as caller:
        client = HttpClient(caller)
        for _ in range(3):
            reply = await client.request("HEAD", "/x")
            assert (reply.status, reply.headers.get("x-a"), reply.body) == (200, "b", b"")
            assert (await client.request("GET", "/y")).body == b"end"
    assert pages.connections == 1


async def test_answer_of_any_status_is_a_reply_where_it_is_asked_for(serve: Serve) -> None:
    lost = page("404 Not Found", "X-Index: 7", body=b"unknown check")
    async with Client((await serve(Pages(x=lost))).address) as caller:
        client = HttpClient(caller)

        reply = await client.request("PUT", "/x", any_status=True)

        assert (reply.status, reply.text()) == (404, "unknown check")
        assert reply.headers.get("x-index") == "7"
        with pytest.raises(Error) as refused:
            await client.request("PUT", "/x")
        assert refused.value.code == 404


async def test_any_status_and_a_message_exclude_each_other(serve: Serve) -> None:
    async with Client((await serve(Pages())).address) as caller:
        untyped: Any = HttpClient(caller)
        with pytest.raises(TypeError, match="leave out= away"):
            await untyped.request("GET", "/x", any_status=True, out=Empty)


async def test_body_after_head_is_nobodys(serve: Serve) -> None:
    pages = Pages(x=page("200 OK", body=b"HTTP/1.1 200 OK\r\n\r\n"), y=END)
    async with Client((await serve(pages)).address) as caller:
        client = HttpClient(caller)
        for _ in range(3):
            assert (await client.request("HEAD", "/x")).body == b""
            assert (await client.request("GET", "/y")).body == b"end"
    assert pages.connections == 4


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content"])
async def test_empty_answers_are_replies(serve: Serve, status: str) -> None:
    async with Client((await serve(Pages(x=page(status)))).address) as caller:
        reply = await HttpClient(caller).request("DELETE", "/x")
    assert (reply.status, reply.body) == (int(status[:3]), b"")


async def test_not_modified_is_an_error_with_its_status(serve: Serve) -> None:
    unchanged = b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 10\r\n\r\n'
    pages = Pages(x=unchanged)
    async with Client((await serve(pages)).address) as caller:
        for _ in range(2):
            with pytest.raises(Error) as failure:
                await HttpClient(caller).request("GET", "/x")
            assert failure.value.code == 304
    assert pages.connections == 1


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/y", "/y"),
        ("y?a=b%20c#part", "/y?a=b%20c"),
        ("//{host}/y", "/y"),
        ("http://{host}/y", "/y"),
        ("http://{host}", None),
        ("../../y", "/y"),
    ],
)
async def test_redirect_within_the_node_is_followed_when_asked_for(
    serve: Serve, location: str, target: str | None
) -> None:
    pages = Pages(y=END)
    node = await serve(pages)
    pages.pages["/"] = END
    pages.pages["/x"] = page("302 Found", f"Location: {location.format(host=node.address)}")
    connector = HttpConnector(redirects=1)
    async with Client(node.address, transport=connector) as caller:
        assert (await HttpClient(caller).request("GET", "/x")).body == b"end"
    assert pages.asked == ["GET /x", f"GET {target or '/'}"]
    assert pages.connections == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://evil.example/y",
        "https://{host}/y",
        "//evil.example/y",
        "ftp://{host}/y",
        "/y z",
        "/\u00fc",
        "http://[",
        "",
    ],
)
async def test_redirect_elsewhere_is_an_error(serve: Serve, location: str) -> None:
    pages = Pages()
    node = await serve(pages)
    pages.pages["/x"] = page("302 Found", f"Location: {location.format(host=node.address)}")
    connector = HttpConnector(redirects=5)
    async with Client(node.address, transport=connector) as caller:
        with pytest.raises(Error) as failure:
            await HttpClient(caller).request("GET", "/x")
    assert failure.value.code == 302
    assert pages.asked == ["GET /x"]


async def test_redirects_come_to_an_end(serve: Serve) -> None:
    pages = Pages(x=page("301 Moved Permanently", "Location: /x"))
    connector = HttpConnector(redirects=3)
    async with Client((await serve(pages)).address, transport=connector) as caller:
        with pytest.raises(Error) as failure:
            await HttpClient(caller).request("GET", "/x")
    assert failure.value.code == 301
    assert len(pages.asked) == 4


async def test_what_changes_something_is_not_redirected(serve: Serve) -> None:
    pages = Pages(x=page("307 Temporary Redirect", "Location: /y"), y=END)
    connector = HttpConnector(redirects=3)
    async with Client((await serve(pages)).address, transport=connector) as caller:
        with pytest.raises(Error) as failure:
            await HttpClient(caller).request("POST", "/x", body=b"x")
    assert failure.value.code == 307


async def test_redirect_keeps_below_the_prefix(serve: Serve) -> None:
    pages = Pages()
    pages.pages = {
        "/api/x": page("302 Found", "Location: /api/y"),
        "/api/y": END,
        "/api/z": page("302 Found", "Location: /other"),
    }
    connector = HttpConnector(redirects=3, path_prefix="/api")
    async with Client((await serve(pages)).address, transport=connector) as caller:
        assert (await HttpClient(caller).request("GET", "/x")).body == b"end"
        with pytest.raises(Error):
            await HttpClient(caller).request("GET", "/z")
    assert pages.asked == ["GET /api/x", "GET /api/y", "GET /api/z"]


async def test_redirect_of_a_secure_node_is_followed() -> None:
    authority = trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(serving)  # pyright: ignore[reportUnknownMemberType]
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType]
    server = HttpServer("127.0.0.1:0", tls=serving)

    async def there(request: Request) -> Reply:
        del request
        return text_reply("there")

    async def here(request: Request) -> Reply:
        return Reply(302, ((b"location", f"https://{request.headers.get('host')}/y".encode()),))

    server.route("GET", "/y")(there)
    server.route("GET", "/x")(here)
    server.mount(Mount(services=[]))
    async with running(server):
        (url,) = await server.bind()
        connector = HttpConnector(redirects=1, tls=trusting)
        async with Client(url, transport=connector) as caller:
            assert (await HttpClient(caller).request("GET", "/x")).text() == "there"


FOREIGN = {
    "text": page("502 Bad Gateway", "Content-Type: text/plain", body=b"no healthy upstream"),
    "html": page("502 Bad Gateway", "Content-Type: text/html", body=b"<html>secret</html>"),
    "json": page("502 Bad Gateway", "Content-Type: application/json", body=b'{"detail":"x"}'),
    "list": page("502 Bad Gateway", "Content-Type: application/json", body=b"[1]"),
    "bytes": page("502 Bad Gateway", "Content-Type: application/proto", body=b"\xff\xff"),
    "empty": page("502 Bad Gateway"),
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_error_of_a_proxy_has_its_status_and_a_reason_that_says_so(
    serve: Serve, name: str
) -> None:
    async with Client((await serve(Pages(x=FOREIGN[name]))).address) as caller:
        with pytest.raises(Error, match="502") as failure:
            await HttpClient(caller).request("GET", "/x")
    error = failure.value
    assert (error.code, error.reason) == (502, "HTTP_502")
    assert "secret" not in error.message
    if name == "html":
        assert "secret" in str(error.__cause__)


async def test_error_of_ours_without_words_stays_as_it_is(serve: Serve) -> None:
    body = b'{"code":404,"reason":"","message":"","metadata":{}}'
    pages = Pages(x=page("404 Not Found", "Content-Type: application/json", body=body))
    async with Client((await serve(pages)).address) as caller:
        with pytest.raises(Error) as failure:
            await HttpClient(caller).request("GET", "/x")
    assert (failure.value.code, failure.value.reason, failure.value.message) == (404, "", "")


async def test_node_is_not_asked_again_where_something_may_have_begun(serve: Serve) -> None:
    """A kept connection answers half of an interim answer, and ends."""
    asked: list[Any] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(END)
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 102 Pro")

    async with Client((await serve(script)).address) as caller:
        client = HttpClient(caller)
        await client.request("GET", "/x")
        with pytest.raises(Error) as failure:
            await client.request("GET", "/x")
    assert failure.value.code == 503
    assert len(asked) == 2


async def test_method_marked_idempotent_is_sent_again_without_a_definition(serve: Serve) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\nx")
        writer.write(END)
        await reader.readuntil(b"\r\n\r\nx")  # and closes instead of answering

    async with Client((await serve(script)).address) as caller:
        client = HttpClient(caller)
        for _ in range(2):
            reply = await client.request("POST", "/x", body=b"x", idempotent=True)
            assert reply.body == b"end"
        with pytest.raises(Error):
            await client.request("POST", "/x", body=b"x")
    assert connections == 2


async def test_limit_of_heads_is_an_option(serve: Serve) -> None:
    pages = Pages(x=page("200 OK", f"X: {'y' * 2000}", body=b"end"))
    address = (await serve(pages)).address
    async with Client(address, transport=HttpConnector(max_head=1000)) as caller:
        with pytest.raises(Error, match="1000 bytes") as failure:
            await HttpClient(caller).request("GET", "/x")
    assert failure.value.reason == "REPLY_TOO_LARGE"
    async with Client(address, transport=HttpConnector(max_head=3000)) as caller:
        assert (await HttpClient(caller).request("GET", "/x")).body == b"end"


async def test_limit_of_heads_holds_for_events(serve: Serve) -> None:
    pages = Pages()
    events = page("200 OK", "Content-Type: text/event-stream", f"X: {'y' * 2000}", body=b"\n")
    pages.pages[WATCH.http[0].path] = events
    connector = HttpConnector(max_head=1000)
    async with Client((await serve(pages)).address, transport=connector) as caller:
        with pytest.raises(Error, match="1000 bytes") as failure:
            await caller.server_stream(WATCH, text("x")).__aenter__()
    assert failure.value.reason == "REPLY_TOO_LARGE"
