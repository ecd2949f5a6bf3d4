"""Several certificates on one port, over both versions of HTTP, renewed one by one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from kratos.tls import CertificatePair, ClientTls, Rotation, ServerTls, client_context
from kratos.transport import Mount
from kratos.transport.http import Reply
from kratos_http import HttpServer, Request, text_reply
from kratos_http.testing import Http2Peer, SocketPeer, eventually, running

NAMES = ["main.example", "second.example", "a.wild.example"]


class Files(NamedTuple):
    """Where a certificate and its key are."""

    certificate: Path
    key: Path

    def write(self, issued: trustme.LeafCert) -> None:
        self.key.write_bytes(issued.private_key_pem.bytes())
        self.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))

    @property
    def pair(self) -> CertificatePair:
        return CertificatePair(certificate=self.certificate, key=self.key)


class Site:
    """A root, and three certificates of a server in files."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.main = self._files(folder, "main", "main.example")
        self.second = self._files(folder, "second", "second.example")
        self.third = self._files(folder, "third", "*.wild.example")

    def _files(self, folder: Path, file: str, name: str) -> Files:
        made = Files(folder / f"{file}.crt", folder / f"{file}.key")
        made.write(self.ca.issue_cert(name))
        return made

    def server(self, *, mutual: bool = False) -> HttpServer:
        tls = ServerTls(
            certificate=self.main.certificate,
            key=self.main.key,
            client_ca=self.ca.cert_pem.bytes() if mutual else None,
            others=[self.second.pair, self.third.pair],
        )
        server = HttpServer("127.0.0.1:0", tls=tls)

        @server.route("GET", "/")
        async def hello(request: Request) -> Reply:  # pyright: ignore[reportUnusedFunction]
            peer = request.call.certificate
            return text_reply(peer.common_name if peer is not None else "anybody")

        server.mount(Mount())
        return server

    def client(
        self, *, ca: trustme.CA | None = None, own: trustme.LeafCert | None = None
    ) -> ssl.SSLContext:
        """Return the context of a client, which wants the name that it asks for."""
        roots = (ca or self.ca).cert_pem.bytes()
        tls = ClientTls(ca=roots)
        if own is not None:
            certificate = own.cert_chain_pems[0].bytes()
            tls = ClientTls(ca=roots, certificate=certificate, key=own.private_key_pem.bytes())
        return Rotation(tls, client_context).value


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def port_of(server: HttpServer) -> int:
    return int((await server.bind())[0].rpartition(":")[2])


async def ask_http1(server: HttpServer, context: ssl.SSLContext, name: str) -> bytes:
    port = await port_of(server)
    opened = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    peer = SocketPeer(*opened)
    try:
        return (await peer.request("GET", "/")).body
    finally:
        await peer.aclose()


async def ask_http2(server: HttpServer, context: ssl.SSLContext, name: str) -> bytes:
    context.set_alpn_protocols(["h2"])
    _, peer = await asyncio.get_running_loop().create_connection(
        lambda: Http2Peer(None),
        "127.0.0.1",
        await port_of(server),
        ssl=context,
        server_hostname=name,
    )
    try:
        return (await peer.request("GET", "/")).body
    finally:
        await peer.aclose()


Ask = Callable[[HttpServer, ssl.SSLContext, str], Awaitable[bytes]]


@pytest.fixture(params=[ask_http1, ask_http2], ids=["1.1", "2"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Return what asks over one version of HTTP."""
    found: Ask = request.param
    return found


async def is_trusted(server: HttpServer, context: ssl.SSLContext, name: str) -> bool:
    try:
        await ask_http1(server, context, name)
    except ssl.SSLError:
        return False
    return True


async def test_each_name_is_served_with_its_certificate(site: Site, ask: Ask) -> None:
    async with running(site.server()) as server:
        for name in (*NAMES, "SECOND.example"):
            assert await ask(server, site.client(), name) == b"anybody"


async def test_other_names_get_the_first_certificate(site: Site) -> None:
    async with running(site.server()) as server:
        for name in ("unknown.example", "127.0.0.1"):
            with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
                await ask_http1(server, site.client(), name)


async def test_client_is_known_under_each_name(site: Site, ask: Ask) -> None:
    own = site.ca.issue_cert("orders.shop", common_name="orders")
    async with running(site.server(mutual=True)) as server:
        for name in NAMES:
            assert await ask(server, site.client(own=own), name) == b"orders"


async def test_client_without_a_certificate_is_kept_out_under_each_name(site: Site) -> None:
    async with running(site.server(mutual=True)) as server:
        for name in NAMES:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await ask_http1(server, site.client(), name)


async def test_second_certificate_is_renewed_alone(site: Site) -> None:
    renewed = trustme.CA()
    async with running(site.server()) as server:
        assert await is_trusted(server, site.client(), "second.example")
        site.second.write(renewed.issue_cert("second.example"))
        async with asyncio.timeout(10):
            trusting = site.client(ca=renewed)
            while not await is_trusted(server, trusting, "second.example"):  # noqa: ASYNC110  files set no event
                await asyncio.sleep(0)
        assert not await is_trusted(server, site.client(), "second.example")
        assert await is_trusted(server, site.client(), "main.example")
        assert await is_trusted(server, site.client(), "a.wild.example")


async def test_broken_second_certificate_leaves_all_in_use_and_is_told_with_its_file(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(site.server()) as server:
        stranger = site.ca.issue_cert("second.example")
        site.second.key.write_bytes(stranger.private_key_pem.bytes())
        await eventually(lambda: "do not belong together" in caplog.text)
        assert f"the certificate {site.second.certificate} and its key" in caplog.text
        for name in NAMES:
            assert await is_trusted(server, site.client(), name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_name_that_is_no_text_ends_its_own_connection_alone(site: Site) -> None:
    async with running(site.server()) as server:
        peer = await SocketPeer.connect("127.0.0.1", await port_of(server))
        await peer.send(hello(b"\xff\xfe\xc3.example"))
        await peer.rest()  # to its end
        await peer.aclose()
        for name in NAMES:
            assert await is_trusted(server, site.client(), name)


def hello(name: bytes) -> bytes:
    """Return what a client of TLS sends first, with a name that ``ssl`` would not send."""
    stand_in = "x" * len(name)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLWantReadError):
        client.wrap_bio(back, there, server_hostname=stand_in).do_handshake()
    return there.read().replace(stand_in.encode(), name)
