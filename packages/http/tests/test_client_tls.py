"""Clients and TLS: whom they trust, what they ask for, how they show who they are."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trustme

from kratos.client import Client
from kratos.errors import ConfigError, Error
from kratos.registry import ServiceInstance
from kratos.registry.memory import MemoryRegistry
from kratos.selector import Node
from kratos.testing.echo import CHAT, ECHO, WATCH, EchoService, text
from kratos.transport import Mount
from kratos_http import ClientTls, HttpClient, HttpConnector, HttpServer
from kratos_http.testing import running


class Authority:
    """An authority of our own, in files."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca))
        self._folder = folder

    def server(self, *names: str, mutual: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate = self.authority.issue_cert(*names)
        certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def client(self) -> tuple[Path, Path]:
        issued = self.authority.issue_cert("somebody")
        certificate, key = self._folder / "me.pem", self._folder / "me.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return certificate, key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncGenerator[str]:
    server = HttpServer("127.0.0.1:0", tls=context)
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        (url,) = await server.bind()
        yield url


async def test_server_of_the_named_authority_is_trusted(authority: Authority) -> None:
    async with (
        serving(authority.server("127.0.0.1")) as url,
        Client(url, tls=ClientTls(ca=authority.ca)) as caller,
    ):
        assert (await caller.unary(ECHO, text("ok"))).value == "ok"


async def test_closed_client_waits_for_no_farewell_of_its_server(authority: Authority) -> None:
    context = authority.server("127.0.0.1")
    context.num_tickets = 0

    def serve() -> bytes:
        """Take a connection, and say nothing after the handshake."""
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True) as secured:
            secured.settimeout(10.0)
            with socket.socket(fileno=secured.detach()) as plain:
                plain.settimeout(10.0)
                return plain.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        heard = asyncio.ensure_future(asyncio.to_thread(serve))
        connector = HttpConnector(tls=ClientTls(ca=authority.ca))
        connection = connector.connect(Node(scheme="http", address=address, secure=True))
        await connection.warm()

        await connection.aclose()

        assert await heard == b""


@pytest.mark.parametrize("names", [("127.0.0.1",), ("other.internal",)])
async def test_server_is_verified_without_a_word(
    authority: Authority, names: tuple[str, ...]
) -> None:
    tls = ClientTls() if names == ("127.0.0.1",) else ClientTls(ca=authority.ca)
    async with (
        serving(authority.server(*names)) as url,
        Client(url, tls=tls, fail_fast=True) as caller,
    ):
        with pytest.raises(Error, match="certificate") as failure:
            await caller.unary(ECHO, text("ok"))
    assert failure.value.code == 503


async def test_server_without_tls_is_told_from_one_that_is_away() -> None:
    server = HttpServer("127.0.0.1:0")
    async with running(server):
        (url,) = await server.bind()
        async with Client(url.replace("http://", "https://")) as caller:
            with pytest.raises(Error, match="it does not speak TLS there") as refused:
                await caller.unary(ECHO, text("no"))
    assert refused.value.code == 503


async def test_nodes_of_a_registry_are_verified_by_a_name(authority: Authority) -> None:
    registry = MemoryRegistry()
    async with serving(authority.server("echo.internal")) as url:
        instance = ServiceInstance(id="1", name="echo", version="", endpoints=(url,))
        await registry.register(instance)
        tls = ClientTls(ca=authority.ca, server_name="echo.internal")
        async with Client("discovery:///echo", discovery=registry, tls=tls) as caller:
            assert (await caller.unary(ECHO, text("ok"))).value == "ok"


async def test_client_shows_its_certificate(authority: Authority) -> None:
    certificate, key = authority.client()
    async with serving(authority.server("127.0.0.1", mutual=True)) as url:
        tls = ClientTls(ca=authority.ca, certificate=certificate, key=key)
        async with Client(url, tls=tls) as caller:
            assert (await caller.unary(ECHO, text("ok"))).value == "ok"
        async with Client(url, tls=ClientTls(ca=authority.ca), timeout=5.0) as caller:
            with pytest.raises(Error) as failure:
                await caller.unary(ECHO, text("ok"))
        assert failure.value.code == 503


async def test_unverified_server_is_spoken_to_with_a_warning(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "kratos.tls"):
        tls = ClientTls(verify=False)
        async with serving(authority.server("other")) as url, Client(url, tls=tls) as caller:
            assert (await caller.unary(ECHO, text("ok"))).value == "ok"
    assert "not verified" in caplog.text


async def test_streams_are_spoken_over_tls(authority: Authority) -> None:
    async with (
        serving(authority.server("127.0.0.1")) as url,
        Client(url, tls=ClientTls(ca=authority.ca)) as caller,
    ):
        async with caller.server_stream(WATCH, text("one two")) as replies:
            assert [reply.value async for reply in replies] == ["one", "two"]
        async with caller.bidi_stream(CHAT) as chat:
            for word in ("a", "b" * 200_000):
                await chat.send(text(word))
                assert (await anext(chat)).value == word
            await chat.end()
            assert [reply async for reply in chat] == []


def test_files_that_hold_something_else_are_named(authority: Authority, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    certificate, key = authority.client()
    with pytest.raises(ConfigError, match=r"nonsense\.pem"):
        HttpConnector(tls=ClientTls(ca=nonsense))
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        HttpConnector(tls=ClientTls(ca=tmp_path / "absent.pem"))
    with pytest.raises(ConfigError, match=r"nonsense\.pem"):
        HttpConnector(tls=ClientTls(certificate=certificate, key=nonsense))
    with pytest.raises(ConfigError, match="certificate="):
        HttpConnector(tls=ClientTls(key=key))


async def test_renewed_roots_are_trusted_by_new_connections(authority: Authority) -> None:
    context = authority.server("127.0.0.1")
    good = authority.ca.read_bytes()
    trustme.CA().cert_pem.write_to_path(str(authority.ca))
    tls = ClientTls(ca=authority.ca)
    async with serving(context) as url, Client(url, tls=tls, fail_fast=True) as caller:
        with pytest.raises(Error):
            await caller.unary(ECHO, text("ok"))
        authority.ca.write_bytes(good)
        assert (await caller.unary(ECHO, text("ok"))).value == "ok"


class Deaf(asyncio.Protocol):
    """A server that answers once, and then hears nothing any more, the end of TLS included."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        self.transport.pause_reading()

    @property
    def state(self) -> int:
        """The state of TCP, as Linux numbers it."""
        assert self.transport is not None
        socket_: socket.socket = self.transport.get_extra_info("socket")
        return socket_.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the state of a connection")
async def test_end_of_a_client_does_not_wait_for_the_servers_end_of_tls(
    authority: Authority,
) -> None:
    deaf, close_wait = Deaf(), 8
    server = await asyncio.get_running_loop().create_server(
        lambda: deaf, "127.0.0.1", 0, ssl=authority.server("127.0.0.1")
    )
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with Client(url, tls=ClientTls(ca=authority.ca)) as caller:
            assert (await HttpClient(caller).request("GET", "/")).text() == "ok"
        async with asyncio.timeout(5):
            while deaf.state != close_wait:  # noqa: ASYNC110  nobody tells of it
                await asyncio.sleep(0.01)
    finally:
        server.close()
        if deaf.transport is not None:
            deaf.transport.abort()
