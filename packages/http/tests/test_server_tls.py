"""TLS of the server: certificates that change, clients that have one, handshakes that never end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import trustme

from kratos.errors import ConfigError
from kratos.testing.echo import EchoService
from kratos.tls import ClientTls, PeerCertificate, Rotation, ServerTls, client_context
from kratos.transport import Call, Handler, Mount
from kratos.transport.http import Endpoint, Head, Reply
from kratos_http import HttpServer, Limits, Request, text_reply
from kratos_http._accepting import Acceptor
from kratos_http.engine import Engine
from kratos_http.testing import Http2Peer, SocketPeer, eventually, running

ECHO = "/kratos.testing/echo"


class Authority:
    """A root, and a certificate of a server in files."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"
        self.issue(self.ca)

    def issue(self, ca: trustme.CA) -> None:
        issued = ca.issue_cert("127.0.0.1")
        self.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())

    def tls(self, *, mutual: bool = False) -> ServerTls:
        roots = self.ca.cert_pem.bytes() if mutual else None
        return ServerTls(certificate=self.certificate, key=self.key, client_ca=roots)

    def client(self, own: trustme.LeafCert | None = None) -> ssl.SSLContext:
        if own is None:
            tls = ClientTls(ca=self.ca.cert_pem.bytes())
        else:
            tls = ClientTls(
                ca=self.ca.cert_pem.bytes(),
                certificate=own.cert_chain_pems[0].bytes(),
                key=own.private_key_pem.bytes(),
            )
        return Rotation(tls, client_context).value


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_of(tls: Any, **options: Any) -> HttpServer:
    server = HttpServer("127.0.0.1:0", tls=tls, **options)

    @server.route("GET", "/")
    async def hello(request: Request) -> Reply:  # pyright: ignore[reportUnusedFunction]
        peer = request.call.certificate
        return text_reply(peer.common_name if peer is not None else "anybody")

    server.mount(Mount(services=[EchoService()]))
    return server


async def port_of(server: HttpServer) -> int:
    (url,) = await server.bind()
    assert url.startswith("https://")
    return int(url.rpartition(":")[2])


async def connect(server: HttpServer, context: ssl.SSLContext) -> SocketPeer:
    return await SocketPeer.connect("127.0.0.1", await port_of(server), tls=context)


async def asked(server: HttpServer, context: ssl.SSLContext) -> bytes:
    """Return an answer; a client of TLS 1.3 hears that it is refused when it reads first."""
    peer = await connect(server, context)
    try:
        return (await peer.request("GET", "/")).body
    finally:
        await peer.aclose()


async def is_trusted(server: HttpServer, context: ssl.SSLContext) -> bool:
    try:
        peer = await connect(server, context)
    except ssl.SSLError:
        return False
    await peer.aclose()
    return True


async def test_renewed_certificate_is_served_and_old_connections_stay(authority: Authority) -> None:
    renewed = trustme.CA()
    trusting = ssl.create_default_context(cadata=renewed.cert_pem.bytes().decode())
    async with running(server_of(authority.tls())) as server:
        old = await connect(server, authority.client())
        assert (await old.request("GET", "/")).body == b"anybody"
        authority.issue(renewed)
        async with asyncio.timeout(10):
            while not await is_trusted(server, trusting):  # noqa: ASYNC110  files set no event
                await asyncio.sleep(0)
        assert not await is_trusted(server, authority.client())
        assert (await old.request("GET", "/")).body == b"anybody"
        await old.aclose()


async def test_broken_pair_leaves_the_old_one_in_use_and_is_told(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(server_of(authority.tls())) as server:
        stranger = trustme.CA().issue_cert("127.0.0.1")
        authority.key.write_bytes(stranger.private_key_pem.bytes())
        await eventually(lambda: "do not belong together" in caplog.text)
        assert await is_trusted(server, authority.client())


async def test_pair_that_is_broken_from_the_start_is_refused(authority: Authority) -> None:
    authority.key.unlink()
    server = server_of(authority.tls())
    with pytest.raises(ConfigError, match=r"tls\.key cannot be read"):
        await server.bind()
    await server.stop()


async def test_anything_else_is_no_tls() -> None:
    with pytest.raises(ConfigError, match="ServerTls"):
        HttpServer(tls=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("versions", "offered", "agreed"),
    [
        (("2", "1.1"), ["http/1.1", "h2"], "h2"),
        (("2", "1.1"), ["http/1.1"], "http/1.1"),
        (("2", "1.1"), [], None),
        (("1.1", "2"), ["h2", "http/1.1"], "http/1.1"),
        (("1.1",), ["h2", "http/1.1"], "http/1.1"),
        (("2",), ["http/1.1", "h2"], "h2"),
    ],
)
async def test_protocol_is_agreed_upon(
    authority: Authority, versions: tuple[str, ...], offered: list[str], agreed: str | None
) -> None:
    context = authority.client()
    if offered:
        context.set_alpn_protocols(offered)
    async with running(server_of(authority.tls(), versions=versions)) as server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", await port_of(server), ssl=context, server_hostname="127.0.0.1"
        )
        secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
        assert secured.selected_alpn_protocol() == agreed
        if agreed == "h2":
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            assert (await reader.readexactly(4))[3] == 4  # the type of SETTINGS
        else:
            writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()


async def test_peer_that_is_refused_for_want_of_a_certificate_is_logged(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="kratos.http")
    async with running(server_of(authority.tls(mutual=True))) as server:
        with pytest.raises((OSError, EOFError)):
            await asked(server, authority.client())
        await eventually(lambda: "TLS with" in caplog.text)
    lines = [record.getMessage() for record in caplog.records if "TLS with" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith("TLS with 127.0.0.1:")
    assert "peer did not return a certificate" in lines[0].lower().replace("_", " ")


async def test_requests_over_http2_know_that_they_are_secure(authority: Authority) -> None:
    context = authority.client()
    context.set_alpn_protocols(["h2"])
    own: Any = authority.ca.issue_cert("orders.shop", common_name="orders")
    own.configure_cert(context)
    async with running(server_of(authority.tls(mutual=True))) as server:
        peer = await Http2Peer.connect("127.0.0.1", await port_of(server), tls=context)
        answers = await asyncio.gather(*(peer.request("GET", "/") for _ in range(20)))
        assert {answer.body for answer in answers} == {b"orders"}
        await peer.aclose()


class TestClientsWithCertificates:
    async def test_handlers_and_middleware_know_the_client(self, authority: Authority) -> None:
        own = authority.ca.issue_cert("orders.shop", common_name="orders")
        seen: list[PeerCertificate | None] = []

        async def note(call: Call, request: Any, next: Handler, /) -> Any:
            seen.append(call.certificate)
            return await next(call, request)

        async with running(server_of(authority.tls(mutual=True), middleware=[note])) as server:
            peer = await connect(server, authority.client(own))
            assert (await peer.request("GET", "/")).body == b"orders"
            headers = [("Content-Type", "application/json")]
            echoed = await peer.request("POST", ECHO, headers=headers, body=b'"ok"')
            assert echoed.status == 200
            await peer.aclose()
        assert [found and found.dns_names for found in seen] == [("orders.shop",)] * 2

    async def test_client_without_one_is_kept_out(self, authority: Authority) -> None:
        async with running(server_of(authority.tls(mutual=True))) as server:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asked(server, authority.client())

    async def test_client_of_another_root_is_kept_out(self, authority: Authority) -> None:
        own = trustme.CA().issue_cert("orders.shop")
        async with running(server_of(authority.tls(mutual=True))) as server:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asked(server, authority.client(own))


class TestHandshakes:
    async def test_peer_that_never_shakes_hands_is_given_up(self, authority: Authority) -> None:
        limits = Limits(handshake_timeout=0.05)
        async with running(server_of(authority.tls(), limits=limits)) as server:
            peer = await SocketPeer.connect("127.0.0.1", await port_of(server))
            await peer.send(b"\x16\x03\x01")
            with pytest.raises((ConnectionError, EOFError)):
                await peer.exactly(1)
            await peer.aclose()

    async def test_plain_text_ends_the_connection(self, authority: Authority) -> None:
        async with running(server_of(authority.tls())) as server:
            peer = await SocketPeer.connect("127.0.0.1", await port_of(server))
            with pytest.raises(ConnectionError):
                await peer.request("GET", "/")
            await peer.aclose()

    async def test_handshake_does_not_hold_the_stop_up(self, authority: Authority) -> None:
        async with running(server_of(authority.tls())) as server:
            peer = await SocketPeer.connect("127.0.0.1", await port_of(server))
            await peer.send(b"\x16\x03\x01")
            other = await connect(server, authority.client())  # so the first one was accepted
            await other.aclose()
            async with asyncio.timeout(5):
                await server.stop()
            await peer.aclose()

    async def test_file_of_one_that_ends_with_the_server_is_nobody_elses_meanwhile(
        self, authority: Authority
    ) -> None:
        class Unasked:
            def route(self, _head: Head, /) -> Endpoint:
                raise AssertionError("nothing is asked here")

        class Closing(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                acceptor.close()  # in the turn in which the handshake has ended

            def connection_lost(self, exc: Exception | None) -> None:
                lost.set()

        class Ending(Engine):
            def protocol(self) -> asyncio.Protocol:
                return Closing()

        def shake_hands() -> ssl.SSLSocket:
            plain = socket.create_connection(sock.getsockname())
            return authority.client().wrap_socket(plain, server_hostname="127.0.0.1")

        lost = asyncio.Event()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(authority.certificate, authority.key)
        sock = socket.create_server(("127.0.0.1", 0))
        acceptor = Acceptor(sock, Ending(Unasked()), tls=lambda: context)
        acceptor.start()
        loop = asyncio.get_running_loop()
        with await asyncio.to_thread(shake_hands):  # and say nothing any more, not even farewell
            await acceptor.wait_closed()
            with ExitStack() as stack:
                for each in chain.from_iterable(socket.socketpair() for _ in range(8)):
                    stack.enter_context(each)
                    loop.add_reader(each, int)
                    loop.remove_reader(each)
        async with asyncio.timeout(5):
            await lost.wait()
