"""TLS, with certificates that are renewed, on servers of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from kratos.registry import ServiceInstance, from_url, get_service
from kratos.testing.proxy import FaultProxy
from kratos.tls import ClientTls
from kratos_etcd import EtcdClient, EtcdRegistry, EtcdUnavailable
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.rpc import RANGE

pytestmark = [pytest.mark.service("etcd"), pytest.mark.slow]

PATIENCE = 20.0  # seconds
ONE = ServiceInstance(id="1", name="orders")
TWO = replace(ONE, id="2")

Connect = Callable[..., EtcdClient]


async def ask(client: EtcdClient) -> pb.RangeResponse:
    return await client.ask(RANGE, pb.RangeRequest(key=b"/microservices"))


class Files:
    """PEM files of a server and of a client that trust one authority."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = folder / "ca.pem"
        self.renew_all()

    def renew_all(self) -> None:
        """Put another authority and its certificates in their place."""
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(self.ca)
        self.server, self.server_key = self._issue("server", "127.0.0.1")
        self.renew()

    def renew(self) -> None:
        """Put another certificate of the client in place of the one it has."""
        self.client, self.client_key = self._issue("client", "app")

    @property
    def tls(self) -> ClientTls:
        return ClientTls(ca=self.ca, certificate=self.client, key=self.client_key)

    def _issue(self, name: str, identity: str) -> tuple[Path, Path]:
        issued = self.authority.issue_cert(identity)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}-key.pem"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return certificate, key


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def secure(server_class: Any, files: Files, tmp_path: Path) -> Iterator[Any]:
    """An etcd that asks for certificates."""
    options = {
        "--cert-file": files.server,
        "--key-file": files.server_key,
        "--trusted-ca-file": files.ca,
    }
    words = [str(word) for option in options.items() for word in option]
    server = server_class(tmp_path, *words, "--client-cert-auth", scheme="https")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def line(secure: Any) -> AsyncIterator[FaultProxy]:
    """A line to the server, which counts connections."""
    async with FaultProxy("127.0.0.1", secure.port) as proxy:
        yield proxy


async def test_certificates_open_a_server(secure: Any, files: Files) -> None:
    registry = from_url(
        f"etcds://{secure.address}?ca={files.ca}&certificate={files.client}&key={files.client_key}"
    )
    registration = await registry.register(ONE)

    assert list(await get_service(registry, "orders")) == [ONE]
    await registration.withdraw()
    await registry.aclose()


async def test_renewed_certificate_is_for_new_calls_and_open_watches_stay(
    line: FaultProxy, files: Files, connected: Connect
) -> None:
    registry = EtcdRegistry(connected(line.address, tls=files.tls))
    watcher = await registry.watch("orders")
    state = await watcher.read()
    await registry.register(ONE)
    before = await watcher.changed(state.token)
    assert before is not None
    assert line.connections == 1

    files.renew()
    await registry.register(TWO)

    assert line.connections == 2
    seen = await watcher.changed(before.token)
    assert seen is not None
    assert list(seen.value) == [ONE, TWO]
    await watcher.aclose()
    await ask_until(lambda: line.connections == 1, registry)


async def test_another_authority_is_believed_when_its_files_are_there(
    secure: Any, files: Files, connected: Connect
) -> None:
    client = connected(secure.address, tls=files.tls)
    await ask(client)

    secure.stop()
    files.renew_all()
    secure.start()

    assert (await ask(client)).header.revision > 0


async def test_last_good_certificate_stays_while_files_are_no_good(
    secure: Any, files: Files, connected: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    client = connected(secure.address, tls=files.tls)
    await ask(client)

    files.client_key.write_text("half of a k")

    assert (await ask(client)).header.revision > 0
    assert "the last good certificate stays in use" in caplog.text


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("plain", "does not answer"),
        ("no certificate", "ask.* for another client's certificate: see certificate= and key="),
        ("certificate of others", "ask.* for another client's certificate"),
        ("other roots", "its certificate is of none of the authorities in ca="),
        ("other name", "its certificate is for another host"),
    ],
)
async def test_server_with_tls_does_not_answer_others(
    secure: Any, files: Files, connected: Connect, how: str, message: str
) -> None:
    other = trustme.CA()
    stranger = other.issue_cert("app")
    tls = {
        "plain": None,
        "no certificate": ClientTls(ca=files.ca),
        "certificate of others": ClientTls(
            ca=files.ca,
            certificate=stranger.cert_chain_pems[0].bytes(),
            key=stranger.private_key_pem.bytes(),
        ),
        "other roots": ClientTls(ca=other.cert_pem.bytes()),
        "other name": replace(files.tls, server_name="elsewhere"),
    }[how]

    with pytest.raises(EtcdUnavailable, match=message) as told:
        await ask(connected(secure.address, tls=tls))

    assert "does not answer" in str(told.value)


async def test_server_without_tls_is_told(address: str, files: Files, connected: Connect) -> None:
    with pytest.raises(EtcdUnavailable, match="it may not speak TLS"):
        await ask(connected(address, tls=ClientTls(ca=files.ca)))


async def ask_until(condition: Callable[[], bool], registry: EtcdRegistry) -> None:
    """Make calls until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await get_service(registry, "nobody")
