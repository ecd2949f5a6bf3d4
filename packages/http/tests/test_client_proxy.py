"""Clients and proxies: which one is asked, how, and what it is told."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trustme

from kratos.client import Client
from kratos.errors import ConfigError, Error
from kratos.limit import cancel_and_wait
from kratos.testing.echo import CHAT, ECHO, WATCH, EchoService, text
from kratos.transport import Mount
from kratos_http import HttpConnector, HttpServer, Proxies, Proxy
from kratos_http.testing import running

SECRET = "p@ss:word"
USER_INFO = "me:p%40ss%3Aword"
BASIC = b"Basic " + base64.b64encode(f"me:{SECRET}".encode())


class FakeProxy:
    """Passes requests and tunnels on, and notes their heads."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.heads: list[bytes] = []
        self.answer = answer
        self.port = 0
        self.host = "127.0.0.1"
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def run(self, tls: ssl.SSLContext | None = None) -> AsyncGenerator[FakeProxy]:
        server = await asyncio.start_server(self._serve, self.host, 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await cancel_and_wait(*self._serving)

    def url(self, user_info: str = "") -> str:
        return f"http://{user_info}{'@' if user_info else ''}{self.host}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._pass_on(reader, writer)
        finally:
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        verb, target, _ = head.split(b" ", 2)
        if verb == b"CONNECT":
            writer.write(self.answer)
            host, first = target.decode(), b""
            if b" 200 " not in self.answer:
                await reader.read()
                return
        else:
            host, _, path = target.decode().removeprefix("http://").partition("/")
            first = head.replace(target, f"/{path}".encode(), 1)
        name, _, port = host.rpartition(":")
        onward = await asyncio.open_connection(name, int(port))
        onward[1].write(first)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, onward[1]))
                tasks.create_task(_copy(onward[0], writer))
        finally:
            onward[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[FakeProxy]:
    async with FakeProxy().run() as fake:
        yield fake


@asynccontextmanager
async def echoing(tls: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    server = HttpServer("127.0.0.1:0", tls=tls)
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        (url,) = await server.bind()
        yield url


def tls_pair() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return contexts of a server and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate = authority.issue_cert("127.0.0.1")
    certificate.configure_cert(server)  # pyright: ignore[reportUnknownMemberType]
    client = ssl.create_default_context()
    authority.configure_trust(client)  # pyright: ignore[reportUnknownMemberType]
    return server, client


async def test_plain_requests_are_sent_to_the_proxy(proxy: FakeProxy) -> None:
    connector = HttpConnector(proxy=proxy.url(USER_INFO))
    async with echoing() as url, Client(url, transport=connector) as caller:
        for _ in range(2):
            assert (await caller.unary(ECHO, text("ok"))).value == "ok"
        assert len(proxy.heads) == 1  # its connections are kept
        assert proxy.heads[0].startswith(b"POST %b/kratos.testing/echo HTTP/1.1\r\n" % url.encode())
        assert b"\r\nproxy-authorization: %b\r\n" % BASIC in proxy.heads[0]


async def test_secure_nodes_are_reached_through_the_proxy(proxy: FakeProxy) -> None:
    serving, trusting = tls_pair()
    connector = HttpConnector(proxy=proxy.url(USER_INFO), tls=trusting)
    async with echoing(serving) as url, Client(url, transport=connector) as caller:
        assert (await caller.unary(ECHO, text("ok"))).value == "ok"
        assert (await caller.unary(ECHO, text("x" * 300_000))).value == "x" * 300_000
        async with caller.server_stream(WATCH, text("one two")) as replies:
            assert [reply.value async for reply in replies] == ["one", "two"]
        async with caller.bidi_stream(CHAT) as chat:
            await chat.send(text("a"))
            assert (await anext(chat)).value == "a"
    address = url.partition("://")[2].encode()
    assert {head.split(b"\r\n")[0] for head in proxy.heads} == {b"CONNECT %b HTTP/1.1" % address}
    assert all(b"proxy-authorization: %b\r\n" % BASIC in head for head in proxy.heads)


async def test_node_is_verified_behind_the_proxy(proxy: FakeProxy) -> None:
    serving, _ = tls_pair()
    connector = HttpConnector(proxy=proxy.url())
    async with echoing(serving) as url, Client(url, transport=connector, fail_fast=True) as caller:
        with pytest.raises(Error, match="certificate"):
            await caller.unary(ECHO, text("ok"))


async def test_plain_sockets_go_through_and_events_to_the_proxy(proxy: FakeProxy) -> None:
    connector = HttpConnector(proxy=proxy.url(USER_INFO))
    async with echoing() as url, Client(url, transport=connector) as caller:
        async with caller.bidi_stream(CHAT) as chat:
            await chat.send(text("a"))
            assert (await anext(chat)).value == "a"
        async with caller.server_stream(WATCH, text("one two")) as replies:
            assert [reply.value async for reply in replies] == ["one", "two"]
    verbs = [head.split(b" ", 1)[0] for head in proxy.heads]
    assert sorted(verbs) == [b"CONNECT", b"POST"]


async def test_proxy_may_be_secure_itself() -> None:
    of_proxy, of_server = tls_pair(), tls_pair()
    async with FakeProxy().run(of_proxy[0]) as proxy, echoing(of_server[0]) as url:
        proxies = Proxies(https=f"https://127.0.0.1:{proxy.port}", tls=of_proxy[1])
        connector = HttpConnector(proxy=proxies, tls=of_server[1])
        async with Client(url, transport=connector) as caller:
            assert (await caller.unary(ECHO, text("ok"))).value == "ok"


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "answers 407 Proxy"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\nno", "answers 502"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", "before it was asked"),
        (b"SSH-2.0-nothing\r\n\r\n", "does not speak"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "more than"),
    ],
)
async def test_proxy_that_does_not_lead_there_is_named(
    answer: bytes, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, trusting = tls_pair()
    with caplog.at_level(logging.DEBUG):
        async with FakeProxy(answer).run() as proxy:
            connector = HttpConnector(proxy=proxy.url(USER_INFO), tls=trusting)
            async with Client("https://127.0.0.1:1", transport=connector, fail_fast=True) as caller:
                with pytest.raises(Error, match=word) as failure:
                    await caller.unary(ECHO, text("ok"))
    assert failure.value.code == 503
    assert SECRET not in f"{failure.value!r}{caplog.text}"
    assert USER_INFO not in f"{failure.value!r}{caplog.text}"


async def test_interim_answers_of_the_proxy_are_skipped() -> None:
    serving, trusting = tls_pair()
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    async with FakeProxy(answer).run() as proxy, echoing(serving) as url:
        connector = HttpConnector(proxy=proxy.url(), tls=trusting)
        async with Client(url, transport=connector) as caller:
            assert (await caller.unary(ECHO, text("ok"))).value == "ok"


async def test_silent_proxy_is_given_up() -> None:
    _, trusting = tls_pair()
    async with FakeProxy(b"").run() as proxy:
        connector = HttpConnector(proxy=proxy.url(), tls=trusting, connect_timeout=0.05)
        async with Client("https://127.0.0.1:1", transport=connector, fail_fast=True) as caller:
            with pytest.raises(Error, match=r"within 0\.05 s"):
                await caller.unary(ECHO, text("ok"))


async def test_environment_is_looked_at_when_asked(
    proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url())
    monkeypatch.setenv("no_proxy", "")
    async with echoing() as url, Client(url) as caller:
        await caller.unary(ECHO, text("ok"))
    assert proxy.heads == []
    proxies = Proxies.from_environment()
    assert proxies.find("10.0.0.1:80", secure=False) is not None
    assert proxies.find("10.0.0.1:80", secure=True) is None


@pytest.mark.parametrize(
    ("no_proxy", "address", "direct"),
    [
        ("", "a.example:80", False),
        ("*", "a.example:80", True),
        ("example", "a.example:80", True),
        ("a.example, b.example", "A.EXAMPLE:80", True),
        ("ple", "a.example:80", False),
        (".example", "a.example:80", True),
        (".example", "example:80", False),
        ("a.example:81", "a.example:80", False),
        ("a.example:80", "a.example:80", True),
        ("10.0.0.0/8", "10.1.2.3:80", True),
        ("10.0.0.0/8", "11.1.2.3:80", False),
        ("10.1.2.3", "10.1.2.3:80", True),
        ("10.1.2.3:81", "10.1.2.3:80", False),
        ("fd00::/8", "[fd00::1]:80", True),
        ("[fd00::1]:80", "[fd00::1]:80", True),
        ("[fd00::1]:81", "[fd00::1]:80", False),
        ("fd00::1", "[fd00::1]:80", True),
        ("", "localhost:80", True),
        ("", "127.8.9.1:80", True),
        ("", "[::1]:80", True),
        ("", "unix:/tmp/a", True),
    ],
)
def test_no_proxy_says_who_is_asked_directly(no_proxy: str, address: str, direct: bool) -> None:
    environ = {"HTTP_PROXY": "proxy:3128", "no_proxy": no_proxy}
    found = Proxies.from_environment(environ).find(address, secure=False)
    assert (found is None) == direct
    assert direct or str(found) == "http://proxy:3128"


def test_header_of_a_gateway_is_no_proxy() -> None:
    environ = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "evil:1", "HTTPS_PROXY": "good:1"}
    proxies = Proxies.from_environment(environ)
    assert proxies.find("h:80", secure=False) is None
    assert str(proxies.find("h:443", secure=True)) == "http://good:1"


@pytest.mark.parametrize(
    "text",
    [
        "socks5://h:1",
        "http://",
        "http://h:1/path",
        "http://h:1,i:2",
        f"http://{USER_INFO}@h:port",
        "http://a%0d%0ab:c@h:1",
        "http://a%3Ab:c@h:1",
    ],
)
def test_what_is_no_proxy_is_refused_without_its_secrets(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        HttpConnector(proxy=text)
    assert "p@ss" not in str(refusal.value)
    assert "p%40ss" not in str(refusal.value)


def test_secrets_of_a_proxy_are_not_shown() -> None:
    proxy = Proxy.parse(f"https://{USER_INFO}@proxy.internal")
    assert (proxy.address, proxy.secure, proxy.authorization) == ("proxy.internal:443", True, BASIC)
    assert repr(proxy) == "Proxy('https://proxy.internal:443')"
