"""TLS between our own ends, and with files that change."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme

from kratos.errors import ConfigError, Error
from kratos.selector import Node
from kratos.testing.echo import ALL, CHAT, ECHO, EchoService, text
from kratos.tls import CertificatePair, PeerCertificate
from kratos.transport import Call, ChainCaller, Handler, Method, server_call
from kratos_grpc import ClientTls, GrpcConnector, GrpcServer, ServerTls
from kratos_grpc.credentials import channel_credentials, server_credentials


def chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(each.bytes() for each in certificate.cert_chain_pems)


def key(certificate: trustme.LeafCert) -> bytes:
    return certificate.private_key_pem.bytes()


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def roots(ca: trustme.CA) -> bytes:
    return ca.cert_pem.bytes()


@pytest.fixture
def server_tls(ca: trustme.CA) -> ServerTls:
    certificate = ca.issue_cert("127.0.0.1")
    return ServerTls(certificate=chain(certificate), key=key(certificate))


async def echo(caller: ChainCaller) -> str:
    return (await caller.unary(ECHO, text("ok"))).value


async def test_secure_node_is_reached_with_tls(
    serve: Any, server_tls: ServerTls, roots: bytes
) -> None:
    connector = GrpcConnector(tls=ClientTls(ca=roots))
    async with serve(EchoService(), tls=server_tls, connector=connector, secure=True) as served:
        assert await echo(served.caller) == "ok"


async def test_unknown_root_is_not_trusted(serve: Any, server_tls: ServerTls) -> None:
    async with serve(EchoService(), tls=server_tls, secure=True) as served:
        with pytest.raises(Error) as failure:
            await echo(served.caller)
    assert failure.value.code == 503


async def test_plain_text_is_no_way_into_a_secure_server(serve: Any, server_tls: ServerTls) -> None:
    async with serve(EchoService(), tls=server_tls) as served:
        with pytest.raises(Error) as failure:
            await echo(served.caller)
    assert failure.value.code == 503


async def test_certificate_has_to_hold_the_name_that_is_asked_for(
    serve: Any, server_tls: ServerTls, roots: bytes
) -> None:
    connector = GrpcConnector(tls=ClientTls(ca=roots, server_name="greeter.example"))
    async with serve(EchoService(), tls=server_tls, connector=connector, secure=True) as served:
        with pytest.raises(Error) as failure:
            await echo(served.caller)
    assert failure.value.code == 503


async def test_certificate_of_a_service_is_checked_by_the_name_that_the_registry_tells(
    serve: Any, ca: trustme.CA, roots: bytes
) -> None:
    certificate = ca.issue_cert("greeter")
    tls = ServerTls(certificate=chain(certificate), key=key(certificate))
    async with serve(EchoService(), tls=tls) as served:
        node = Node(scheme="grpc", address=served.address, secure=True, name="greeter")
        connection = GrpcConnector(tls=ClientTls(ca=roots)).connect(node)
        assert await echo(ChainCaller(connection.invoke, transport="grpc")) == "ok"
        await connection.aclose()


async def test_client_without_certificate_is_kept_out_where_one_is_asked_for(
    serve: Any, ca: trustme.CA, server_tls: ServerTls, roots: bytes
) -> None:
    tls = ServerTls(certificate=server_tls.certificate, key=server_tls.key, client_ca=roots)
    own = ca.issue_cert("client")
    known = GrpcConnector(tls=ClientTls(ca=roots, certificate=chain(own), key=key(own)))
    stranger = GrpcConnector(tls=ClientTls(ca=roots))
    async with serve(EchoService(), tls=tls, connector=known, secure=True) as served:
        assert await echo(served.caller) == "ok"
        connection = stranger.connect(served.connection.node)
        with pytest.raises(Error) as failure:
            await echo(ChainCaller(connection.invoke, transport="grpc"))
        await connection.aclose()
    assert failure.value.code == 503


async def test_client_is_known_by_its_certificate(
    serve: Any, ca: trustme.CA, server_tls: ServerTls, roots: bytes
) -> None:
    seen: list[PeerCertificate | None] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        seen.append(call.certificate)
        return await next(call, request)

    tls = ServerTls(certificate=server_tls.certificate, key=server_tls.key, client_ca=roots)
    own = ca.issue_cert("orders.shop", "10.0.0.7", common_name="orders")
    connector = GrpcConnector(tls=ClientTls(ca=roots, certificate=chain(own), key=key(own)))
    async with serve(
        EchoService(), tls=tls, connector=connector, secure=True, middleware=[note]
    ) as served:
        await echo(served.caller)
    (peer,) = seen
    assert peer is not None
    assert (peer.common_name, peer.dns_names, peer.addresses) == (
        "orders",
        ("orders.shop",),
        ("10.0.0.7",),
    )
    assert peer.der == ssl.PEM_cert_to_DER_cert(own.cert_chain_pems[0].bytes().decode())


async def test_certificate_that_was_renewed_is_used_for_new_connections(
    serve: Any, tmp_path: Path
) -> None:
    old, new = trustme.CA(), trustme.CA()
    certificate_file, key_file = tmp_path / "tls.crt", tmp_path / "tls.key"

    def issue(ca: trustme.CA) -> None:
        certificate = ca.issue_cert("127.0.0.1")
        certificate_file.write_bytes(chain(certificate))
        key_file.write_bytes(key(certificate))

    async def trusted(served: Any, ca: trustme.CA) -> bool:
        connector = GrpcConnector(tls=ClientTls(ca=ca.cert_pem.bytes()))
        connection = connector.connect(served.connection.node)
        try:
            return await echo(ChainCaller(connection.invoke, transport="grpc")) == "ok"
        except Error:
            return False
        finally:
            await connection.aclose()

    issue(old)
    tls = ServerTls(certificate=certificate_file, key=key_file)
    async with serve(EchoService(), tls=tls, secure=True) as served:
        before = await trusted(served, old), await trusted(served, new)
        issue(new)
        after = await trusted(served, old), await trusted(served, new)
        key_file.write_bytes(key(old.issue_cert("127.0.0.1")))
        broken = await trusted(served, new)
        key_file.unlink()
        without = await trusted(served, new)
    assert (before, after) == ((True, False), (False, True))
    assert (broken, without) == (True, True)


async def test_certificate_file_that_is_missing_is_named(tmp_path: Path) -> None:
    server = GrpcServer(
        "127.0.0.1:0", tls=ServerTls(certificate=tmp_path / "no.crt", key=os.devnull)
    )
    with pytest.raises(ConfigError, match=r"no\.crt"):
        await server.start()
    await server.stop()


@pytest.mark.engine("kratos")
async def test_each_name_is_served_with_its_certificate(
    serve: Any, ca: trustme.CA, server_tls: ServerTls, roots: bytes
) -> None:
    other = ca.issue_cert("b.example")
    pair = CertificatePair(certificate=chain(other), key=key(other))
    tls = ServerTls(certificate=server_tls.certificate, key=server_tls.key, others=[pair])
    for name in ("b.example", None):
        connector = GrpcConnector(tls=ClientTls(ca=roots, server_name=name))
        async with serve(EchoService(), tls=tls, connector=connector, secure=True) as served:
            assert await echo(served.caller) == "ok"


@pytest.mark.engine("grpcio")
def test_core_of_grpc_refuses_several_certificates(server_tls: ServerTls) -> None:
    pair = CertificatePair(certificate=server_tls.certificate, key=server_tls.key)
    tls = ServerTls(certificate=server_tls.certificate, key=server_tls.key, others=[pair])
    with pytest.raises(ConfigError, match="others of tls, need engine='kratos'"):
        GrpcServer("127.0.0.1:0", tls=tls, engine="grpcio")
    with pytest.raises(ConfigError, match="grpcio serves one certificate"):
        server_credentials(tls)


async def test_key_of_another_certificate_is_no_address_in_use(ca: trustme.CA) -> None:
    one, other = ca.issue_cert("127.0.0.1"), ca.issue_cert("127.0.0.1")
    server = GrpcServer("127.0.0.1:0", tls=ServerTls(certificate=chain(one), key=key(other)))
    with pytest.raises(ConfigError, match="do not belong together"):
        await server.start()
    await server.stop()


@pytest.mark.parametrize("tls", [ClientTls(password="x"), ClientTls(verify=False)])
def test_what_grpc_cannot_do_is_refused(tls: ClientTls) -> None:
    with pytest.raises(ConfigError, match="gRPC"):
        channel_credentials(tls)


def test_tls_of_another_transport_is_refused() -> None:
    tls: Any = grpc.ssl_channel_credentials()
    with pytest.raises(ConfigError, match="ClientTls"):
        GrpcConnector(tls=tls)


YESTERDAY = datetime.now(UTC) - timedelta(days=1)
LONG_AGO = YESTERDAY - timedelta(days=30)


def expired(ca: trustme.CA, name: str) -> trustme.LeafCert:
    return ca.issue_cert(name, not_before=LONG_AGO, not_after=YESTERDAY)


async def test_server_does_not_start_with_a_certificate_that_has_expired(ca: trustme.CA) -> None:
    certificate = expired(ca, "127.0.0.1")
    tls = ServerTls(certificate=chain(certificate), key=key(certificate))
    server = GrpcServer("127.0.0.1:0", tls=tls)
    with pytest.raises(ConfigError, match="expired on"):
        await server.start()
    await server.stop()


def test_client_does_not_call_with_a_certificate_that_has_expired(
    ca: trustme.CA, roots: bytes
) -> None:
    own = expired(ca, "client")
    with pytest.raises(ConfigError, match="expired on"):
        channel_credentials(ClientTls(ca=roots, certificate=chain(own), key=key(own)))


async def test_server_whose_certificate_has_expired_is_not_trusted(
    ca: trustme.CA, roots: bytes
) -> None:
    certificate = expired(ca, "127.0.0.1")
    credentials = grpc.ssl_server_credentials([(key(certificate), chain(certificate))])
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    node = Node(scheme="grpc", address=f"127.0.0.1:{port}", secure=True)
    connection = GrpcConnector(tls=ClientTls(ca=roots)).connect(node)
    with pytest.raises(Error) as failure:
        await echo(ChainCaller(connection.invoke, transport="grpc"))
    await connection.aclose()
    await server.stop(None)
    assert failure.value.code == 503


@pytest.mark.parametrize("kind", ["of_another_root", "expired"])
async def test_client_whose_certificate_is_no_good_does_not_get_in(
    serve: Any, ca: trustme.CA, server_tls: ServerTls, roots: bytes, kind: str
) -> None:
    own = expired(ca, "client") if kind == "expired" else trustme.CA().issue_cert("client")
    tls = ServerTls(certificate=server_tls.certificate, key=server_tls.key, client_ca=roots)
    service = EchoService()
    async with serve(service, tls=tls) as served:
        credentials = grpc.ssl_channel_credentials(roots, key(own), chain(own))
        channel: Any = grpc.aio.secure_channel(served.address, credentials)
        async with channel:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await channel.unary_unary(ECHO.operation)(b"")
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert service.seen == []


@pytest.mark.parametrize("method", ALL, ids=lambda each: each.arity.value)
async def test_client_is_known_by_its_certificate_in_calls_of_every_arity(
    serve: Any,
    say: Any,
    ca: trustme.CA,
    server_tls: ServerTls,
    roots: bytes,
    method: Method[Any, Any],
) -> None:
    seen: list[PeerCertificate | None] = []

    class Noting(EchoService):
        async def _answer(self, request: Any) -> Any:
            call = server_call()
            assert call is not None
            seen.append(call.certificate)
            return request

    tls = ServerTls(certificate=server_tls.certificate, key=server_tls.key, client_ca=roots)
    own = ca.issue_cert("orders.shop")
    connector = GrpcConnector(tls=ClientTls(ca=roots, certificate=chain(own), key=key(own)))
    async with serve(Noting(), tls=tls, connector=connector, secure=True) as served:
        assert await say(served.caller, method, "ok") == ["ok"]
    assert [peer and peer.dns_names for peer in seen] == [("orders.shop",)]


async def test_calls_go_on_while_the_certificate_is_renewed(
    serve: Any, ca: trustme.CA, roots: bytes, tmp_path: Path
) -> None:
    certificate_file, key_file = tmp_path / "tls.crt", tmp_path / "tls.key"

    def issue() -> None:
        certificate = ca.issue_cert("127.0.0.1")
        certificate_file.write_bytes(chain(certificate))
        key_file.write_bytes(key(certificate))

    issue()
    tls = ServerTls(certificate=certificate_file, key=key_file)
    connector = GrpcConnector(tls=ClientTls(ca=roots))
    async with (
        serve(EchoService(), tls=tls, connector=connector, secure=True) as served,
        served.caller.bidi_stream(CHAT) as chat,
    ):
        for round_ in range(3):
            await chat.send(text(f"before {round_}"))
            assert (await chat.__anext__()).value == f"before {round_}"
            issue()
            newcomer = connector.connect(served.connection.node)
            assert await echo(ChainCaller(newcomer.invoke, transport="grpc")) == "ok"
            await newcomer.aclose()
            await chat.send(text(f"after {round_}"))
            assert (await chat.__anext__()).value == f"after {round_}"


async def test_roots_of_clients_that_were_renewed_decide_who_gets_in(
    serve: Any, ca: trustme.CA, server_tls: ServerTls, roots: bytes, tmp_path: Path
) -> None:
    other = trustme.CA()
    roots_file = tmp_path / "clients.crt"
    roots_file.write_bytes(roots)
    tls = ServerTls(certificate=server_tls.certificate, key=server_tls.key, client_ca=roots_file)

    async def gets_in(served: Any, issuer: trustme.CA) -> bool:
        own = issuer.issue_cert("client")
        connector = GrpcConnector(tls=ClientTls(ca=roots, certificate=chain(own), key=key(own)))
        connection = connector.connect(served.connection.node)
        try:
            return await echo(ChainCaller(connection.invoke, transport="grpc")) == "ok"
        except Error:
            return False
        finally:
            await connection.aclose()

    async with serve(EchoService(), tls=tls, secure=True) as served:
        before = await gets_in(served, ca), await gets_in(served, other)
        roots_file.write_bytes(other.cert_pem.bytes())
        after = await gets_in(served, ca), await gets_in(served, other)
        roots_file.write_text("no roots at all")
        broken = await gets_in(served, ca), await gets_in(served, other)
    assert (before, after, broken) == ((True, False), (False, True), (False, True))
