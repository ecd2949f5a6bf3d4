"""Certificates, of the gateway and of back ends, change while connections stand."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from kratos.testing import running
from kratos.tls import ClientTls, Rotation, ServerTls, client_context
from kratos.transport.http import Head, Reply
from kratos_gateway.assembly import application
from kratos_gateway.settings import Settings
from kratos_http import HttpServer
from kratos_http.testing import Http2Peer, SocketPeer, eventually
from kratos_http.testing import running as serving


class Named:
    """Answers with whom it takes the caller for."""

    max_body = 1000

    async def answer(self, head: Head, body: bytes, /) -> Reply:
        shown = head.certificate
        return Reply(200, (), b"anybody" if shown is None else shown.common_name.encode())


def pem(*parts: Any) -> bytes:
    return b"".join(part.bytes() for part in parts)


class Site:
    """A gateway in files: its certificate, roots of clients, and its configuration.

    Attributes:
        ca: Signs the certificates that are issued.
    """

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"
        self.roots = folder / "clients.pem"
        self.conf = folder / "config.yaml"
        self.port = 0

    def issue(self, ca: trustme.CA) -> None:
        """Have a new certificate, as who renews them writes it: one file after the other."""
        issued = ca.issue_cert("127.0.0.1")
        self.key.write_bytes(pem(issued.private_key_pem))
        self.certificate.write_bytes(pem(*issued.cert_chain_pems))

    def configure(self, target: str, *, tls: dict[str, str] | None = None) -> None:
        """Write a configuration, in one step as deployments do."""
        backend: dict[str, Any] = {"target": target}
        if tls is not None:
            backend |= {"tls": True, "tlsConfigName": "inner"}
        endpoint = {"path": "/*", "timeout": "10s", "backends": [backend]}
        text = {"endpoints": [endpoint], "tlsStore": {"inner": tls or {}}}
        beside = self.conf.with_suffix(".new")
        beside.write_text(json.dumps(text))
        beside.replace(self.conf)

    @asynccontextmanager
    async def served(self, *flags: str) -> AsyncGenerator[None]:
        """Serve it, as the command does."""
        given = [f"-conf={self.conf}", "-addr=127.0.0.1:0", *flags]
        settings = Settings.of(given, environ={"PROXY_DIAL_TIMEOUT": "5s"})
        async with running(application(settings, environ={})) as app:
            self.port = int(app.endpoints[0].rpartition(":")[2])
            yield

    @property
    def flags(self) -> tuple[str, str]:
        return (f"-tls.cert={self.certificate}", f"-tls.key={self.key}")

    async def connect(self, context: ssl.SSLContext | None) -> SocketPeer:
        return await SocketPeer.connect("127.0.0.1", self.port, tls=context)


def trusting(ca: trustme.CA, own: trustme.LeafCert | None = None) -> ssl.SSLContext:
    """Return the context of a client."""
    roots = ca.cert_pem.bytes()
    if own is None:
        return Rotation(ClientTls(ca=roots), client_context).value
    key, certificate = own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes()
    return Rotation(ClientTls(ca=roots, certificate=certificate, key=key), client_context).value


async def said(peer: SocketPeer) -> bytes:
    answer = await peer.request("GET", "/")
    return answer.body if answer.status == 200 else b"%d" % answer.status


async def asked(site: Site, context: ssl.SSLContext | None) -> bytes:
    """Ask over a new connection; a client of TLS 1.3 hears that it is refused when it reads."""
    try:
        peer = await site.connect(context)
    except ssl.SSLError:
        return b"refused"
    try:
        return await said(peer)
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return b"refused"
    finally:
        await peer.aclose()


async def until(site: Site, context: ssl.SSLContext | None, expected: bytes) -> None:
    async with asyncio.timeout(30):
        while await asked(site, context) != expected:  # noqa: ASYNC110 - files set no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncGenerator[Site]:
    """A gateway before one back end."""
    made = Site(tmp_path)
    node = HttpServer("127.0.0.1:0")
    node.handle("*", "/{path=**}", Named())
    async with serving(node):
        made.issue(made.ca)
        made.configure((await node.bind())[0].rpartition("/")[2])
        yield made


async def test_renewed_certificate_is_served_and_connections_that_stand_go_on(site: Site) -> None:
    renewed = trustme.CA()
    async with site.served(*site.flags):
        old = await site.connect(trusting(site.ca))
        assert await said(old) == b"anybody"
        site.issue(renewed)
        await until(site, trusting(renewed), b"anybody")
        assert await asked(site, trusting(site.ca)) == b"refused"
        assert await said(old) == b"anybody"
        await old.aclose()


async def test_certificate_that_is_no_good_leaves_the_old_one_and_is_told(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.served(*site.flags):
        site.key.write_bytes(pem(trustme.CA().issue_cert("127.0.0.1").private_key_pem))
        await eventually(lambda: "do not belong together" in caplog.text, within=30)
        assert "the last good certificate stays in use" in caplog.text
        assert await asked(site, trusting(site.ca)) == b"anybody"
        site.issue(renewed := trustme.CA())
        await until(site, trusting(renewed), b"anybody")


async def test_roots_of_clients_may_change(site: Site) -> None:
    before, after = trustme.CA(), trustme.CA()
    old, new = before.issue_cert("client"), after.issue_cert("client")
    site.roots.write_bytes(pem(before.cert_pem))
    async with site.served(*site.flags, f"-tls.client-ca={site.roots}"):
        assert await asked(site, trusting(site.ca)) == b"refused"
        assert await asked(site, trusting(site.ca, new)) == b"refused"
        standing = await site.connect(trusting(site.ca, old))
        assert await said(standing) == b"anybody"
        site.roots.write_bytes(pem(after.cert_pem))
        await until(site, trusting(site.ca, new), b"anybody")
        assert await asked(site, trusting(site.ca, old)) == b"refused"
        assert await said(standing) == b"anybody"
        await standing.aclose()


async def test_http2_is_chosen_by_alpn(site: Site) -> None:
    context = trusting(site.ca)
    context.set_alpn_protocols(["h2"])
    async with site.served(*site.flags):
        peer = await Http2Peer.connect("127.0.0.1", site.port, tls=context)
        assert (await peer.request("GET", "/")).body == b"anybody"
        await peer.aclose()


class Further(NamedTuple):
    """A further certificate of a gateway, in files."""

    certificate: Path
    key: Path

    def issue(self, ca: trustme.CA, name: str) -> None:
        issued = ca.issue_cert(name)
        self.key.write_bytes(pem(issued.private_key_pem))
        self.certificate.write_bytes(pem(*issued.cert_chain_pems))

    @property
    def flags(self) -> tuple[str, str]:
        return (f"-tls.cert={self.certificate}", f"-tls.key={self.key}")


@pytest.fixture
def further(site: Site, tmp_path: Path) -> Further:
    made = Further(tmp_path / "api.crt", tmp_path / "api.key")
    made.issue(site.ca, "api.example")
    return made


async def named(site: Site, context: ssl.SSLContext, name: str) -> bytes:
    """Ask with a name over HTTP/1.1; a certificate of another one is refused."""
    try:
        opened = await asyncio.open_connection(
            "127.0.0.1", site.port, ssl=context, server_hostname=name
        )
    except ssl.SSLError:
        return b"refused"
    peer = SocketPeer(*opened)
    try:
        return await said(peer)
    finally:
        await peer.aclose()


async def named_http2(site: Site, context: ssl.SSLContext, name: str) -> bytes:
    context.set_alpn_protocols(["h2"])
    _, peer = await asyncio.get_running_loop().create_connection(
        lambda: Http2Peer(None), "127.0.0.1", site.port, ssl=context, server_hostname=name
    )
    try:
        return (await peer.request("GET", "/")).body
    finally:
        await peer.aclose()


async def test_each_name_is_served_with_its_certificate(site: Site, further: Further) -> None:
    async with site.served(*site.flags, *further.flags):
        for name in ("127.0.0.1", "api.example"):
            assert await named(site, trusting(site.ca), name) == b"anybody"
            assert await named_http2(site, trusting(site.ca), name) == b"anybody"
        assert await named(site, trusting(site.ca), "other.example") == b"refused"


async def test_further_certificate_is_renewed_alone(site: Site, further: Further) -> None:
    renewed = trustme.CA()
    async with site.served(*site.flags, *further.flags):
        assert await named(site, trusting(site.ca), "api.example") == b"anybody"
        further.issue(renewed, "api.example")
        async with asyncio.timeout(30):
            trusted = trusting(renewed)
            while await named(site, trusted, "api.example") == b"refused":  # noqa: ASYNC110 - files set no event
                await asyncio.sleep(0.01)
        assert await named(site, trusting(site.ca), "api.example") == b"refused"
        assert await asked(site, trusting(site.ca)) == b"anybody"


class Inner:
    """A back end that asks for certificates, and whose own may be of another authority."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.mine = self.ca.issue_cert("gateway.internal", common_name="gateway")

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str]:
        issued = self.ca.issue_cert("127.0.0.1")
        tls = ServerTls(
            certificate=pem(*issued.cert_chain_pems),
            key=pem(issued.private_key_pem),
            client_ca=pem(self.ca.cert_pem),
        )
        server = HttpServer("127.0.0.1:0", tls=tls)
        server.handle("*", "/{path=**}", Named())
        async with serving(server):
            yield (await server.bind())[0].rpartition("/")[2]

    def store(self) -> dict[str, str]:
        return {
            "cacert": pem(self.ca.cert_pem).decode(),
            "cert": pem(self.mine.cert_chain_pems[0]).decode(),
            "key": pem(self.mine.private_key_pem).decode(),
        }


async def test_certificates_of_back_ends_change_with_the_configuration(site: Site) -> None:
    first, second = Inner(), Inner()
    async with first.serving() as before, second.serving() as after:
        site.configure(before, tls=first.store())
        async with site.served():
            peer = await site.connect(None)
            assert await said(peer) == b"gateway"
            site.configure(after, tls=first.store())
            await until(site, None, b"502")  # it is not trusted
            site.configure(after, tls=second.store())
            await until(site, None, b"gateway")
            assert await said(peer) == b"gateway"
            await peer.aclose()
