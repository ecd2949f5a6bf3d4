"""TLS, with certificates that are renewed, on servers of their own."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from kratos.errors import RegistryUnavailable
from kratos.registry import RegistrationState, ServiceInstance, from_url, get_service
from kratos.testing.proxy import FaultProxy
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.tls import ClientTls
from kratos_zookeeper import ZooKeeperRegistry, ZooKeeperSource
from kratos_zookeeper.clients import Words, make_clients

pytestmark = [pytest.mark.service("zookeeper"), pytest.mark.slow]

Make = Callable[..., ZooKeeperRegistry]


class Files:
    """PEM files of a server and of a client that trust one authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        server = self.authority.issue_cert("127.0.0.1", "localhost")
        key = load_pem_private_key(server.private_key_pem.bytes(), None)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.server = folder / "server.pem"
        self.server.write_bytes(pem + server.cert_chain_pems[0].bytes())
        self.client, self.client_key = folder / "client.pem", folder / "client-key.pem"
        self.issue(self.authority)

    def issue(self, authority: trustme.CA) -> None:
        """Put a certificate of the client in its place."""
        issued = authority.issue_cert("app")
        issued.private_key_pem.write_to_path(self.client_key)
        issued.cert_chain_pems[0].write_to_path(self.client)

    @property
    def tls(self) -> ClientTls:
        return ClientTls(ca=self.ca, certificate=self.client, key=self.client_key)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(
    files: Files, server_class: Any, free_port: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The port where a ZooKeeper asks for certificates."""
    port = free_port()
    stores = {
        f"ssl_{store}_{name}": value
        for store, file in (("keyStore", files.server), ("trustStore", files.ca))
        for name, value in (("location", file), ("type", "PEM"))
    }
    server = server_class(
        tmp_path_factory.mktemp("secure"),
        secureClientPort=port,
        secureClientPortAddress="127.0.0.1",
        serverCnxnFactory="org.apache.zookeeper.server.NettyServerCnxnFactory",
        **stores,
    )
    server.start()
    yield port
    server.kill()


@pytest.fixture
async def line(secure: int) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", secure) as made:
        yield made


@pytest.fixture
async def make(secure: int, files: Files) -> AsyncIterator[Make]:
    files.issue(files.authority)
    made: list[ZooKeeperRegistry] = []

    def open_(port: int = secure, **options: Any) -> ZooKeeperRegistry:
        given: dict[str, Any] = {"tls": files.tls, "session_timeout": 2.0} | options
        made.append(ZooKeeperRegistry([f"127.0.0.1:{port}"], **given))
        return made[-1]

    yield open_
    for registry in made:
        await registry.aclose()


class TestRegistry(RegistryContract):
    patience = 60.0  # seconds, on a busy machine

    @pytest.fixture
    async def backend(self, line: FaultProxy, make: Make) -> AsyncIterator[Backend]:
        yield Backend(registry=make(line.port), peer=make(), make=make, faults=line)
        line.restore()


async def test_url_opens_a_server_with_certificates(
    secure: int, files: Files, make: Make, unique: str
) -> None:
    one = ServiceInstance(id="1", name=unique)
    await make().register(one)
    where = f"zookeepers://127.0.0.1:{secure}"
    keys = f"ca={files.ca}&certificate={files.client}&key={files.client_key}"
    registry = from_url(f"{where}?{keys}")
    source = ZooKeeperSource.from_url(f"{where}/microservices/{unique}/1?{keys}")

    assert await get_service(registry, unique) == (one,)
    watcher = await source.watch()
    assert [entry.value for entry in (await watcher.read()).value] == [one.to_json()]

    await watcher.aclose()
    await registry.aclose()


async def test_renewed_certificate_is_for_the_next_connection(
    line: FaultProxy, files: Files, make: Make, unique: str
) -> None:
    one = ServiceInstance(id="1", name=unique)
    registry = make(line.port, timeout=1.0, session_timeout=10.0)
    tools = TestRegistry()
    async with tools.keeping(registry, one) as kept:
        await kept.until(RegistrationState.HELD)

        files.issue(trustme.CA())  # which the server does not trust
        line.reset()
        await kept.until_failure()
        files.issue(files.authority)

        await kept.until(RegistrationState.HELD)


def test_second_answer_in_a_record_is_not_forgotten(files: Files) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.server)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        make = make_clients(
            [f"127.0.0.1:{port}"], session_timeout=2.0, auth=None, tls=files.tls, words=Words()
        )
        handler = make().handler

        def answer() -> None:
            plain, _ = listening.accept()
            with server.wrap_socket(plain, server_side=True) as one:
                one.sendall(b"12")
                one.recv(1)

        serving = threading.Thread(target=answer)
        serving.start()
        with handler.create_connection(address=("127.0.0.1", port), hostname="127.0.0.1") as one:
            assert one.recv(1) == b"1"
            assert handler.select([one], [], [], 5.0)[0] == [one]
            assert one.recv(1) == b"2"
            assert handler.select([one], [], [], 0.0)[0] == []
        serving.join()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("plain", "no answer within"),
        ("no certificate", "no answer within .*(certificate|reset|closed|EOF|dropped)"),
        ("other roots", "CERTIFICATE_VERIFY_FAILED"),
        ("other name", "(CERTIFICATE_VERIFY_FAILED|mismatch)"),
    ],
)
async def test_server_with_tls_does_not_answer_others(
    files: Files, make: Make, how: str, message: str
) -> None:
    tls = {
        "plain": None,
        "no certificate": ClientTls(ca=files.ca),
        "other roots": ClientTls(ca=trustme.CA().cert_pem.bytes()),
        "other name": replace(files.tls, server_name="elsewhere"),
    }[how]

    registry = make(tls=tls, timeout=1.0)
    told = ""
    async with asyncio.timeout(15):
        while not re.search(message, told):  # a busy machine may not shake hands in one attempt
            with pytest.raises(RegistryUnavailable) as refusal:
                await get_service(registry, "orders")
            told = str(refusal.value)
