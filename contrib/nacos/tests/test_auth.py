"""Users and TLS, on servers of their own."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from kratos.config.config import read
from kratos.errors import ConfigError
from kratos.registry import ServiceInstance, from_url, get_service
from kratos.tls import ClientTls
from kratos_nacos import NacosClient, NacosRegistry, NacosSource, NacosUnavailable
from kratos_nacos.wire import DENIED

pytestmark = [pytest.mark.service("nacos"), pytest.mark.slow]

ONE = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))

Connect = Callable[..., NacosClient]


def post(address: str, path: str, **fields: str) -> Any:
    with urlopen(f"http://{address}/nacos/v1/auth/{path}", urlencode(fields).encode()) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def guarded(server_class: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Nacos whose users are nacos, who may everything, and app, who may nothing."""
    plugin = "nacos.core.auth.plugin.nacos.token"
    server = server_class(
        tmp_path_factory.mktemp("guarded"),
        "-Dnacos.core.auth.enabled=true",
        "-Dnacos.core.auth.system.type=nacos",
        f"-D{plugin}.secret.key={base64.b64encode(b'x' * 40).decode()}",
        "-Dnacos.core.auth.server.identity.key=kratos",
        "-Dnacos.core.auth.server.identity.value=test",
        "-Dnacos.core.auth.caching.enabled=false",
    )
    server.start()
    admin = post(server.address, "login", username="nacos", password="nacos")
    post(
        server.address,
        f"users?accessToken={admin['accessToken']}",
        username="app",
        password="hunter2",
    )
    yield server
    server.stop()


async def test_user_registers_and_is_seen(guarded: Any, connected: Connect) -> None:
    registry = NacosRegistry(connected(guarded.address, username="nacos", password="nacos"))
    watcher = await registry.watch(ONE.name)
    state = await watcher.read()

    registration = await registry.register(ONE)
    await registration.renew()

    seen = await watcher.changed(state.token)
    assert seen is not None
    assert list(seen.value) == [ONE]
    await watcher.aclose()
    await registration.withdraw()


async def test_user_in_a_url_reads_configuration(guarded: Any) -> None:
    registry = from_url(f"nacos://nacos:nacos@{guarded.address}")

    assert list(await get_service(registry, "nobody")) == []
    await registry.aclose()


@pytest.mark.parametrize(("user", "password"), [("nacos", "hunter3"), ("nobody", "hunter3")])
async def test_wrong_password_is_told_without_showing_it(
    guarded: Any, connected: Connect, user: str, password: str
) -> None:
    client = connected(guarded.address, username=user, password=password)

    with pytest.raises(NacosUnavailable, match=f"refuses user '{user}': wrong name") as told:
        await NacosRegistry(client).register(ONE)

    assert told.value.code == DENIED
    assert "hunter" not in str(told.value)


async def test_missing_user_is_asked_for(guarded: Any, connected: Connect) -> None:
    client = connected(guarded.address)

    with pytest.raises(NacosUnavailable, match="asks for a user: give username and password"):
        await NacosRegistry(client).register(ONE)
    with pytest.raises(NacosUnavailable, match="asks for a user: give username and password"):
        await read(NacosSource(client, "app.yaml"))


async def test_missing_permission_is_told(guarded: Any, connected: Connect) -> None:
    client = connected(guarded.address, username="app", password="hunter2")
    registry = NacosRegistry(client)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "InstanceRequest": lambda: registry.register(ONE),
        "ServiceQueryRequest": lambda: get_service(registry, ONE.name),
        "ConfigQueryRequest": lambda: read(NacosSource(client, "app.yaml")),
    }
    for kind, call in calls.items():
        with pytest.raises(NacosUnavailable, match=f"does not permit {kind} for user 'app'"):
            await call()


async def test_token_that_is_not_taken_any_more_is_replaced(
    guarded: Any, connected: Connect
) -> None:
    client = connected(guarded.address, username="nacos", password="nacos")
    tokens = client.tokens
    assert tokens is not None
    await tokens.get()
    tokens.token = "of another key"

    assert list(await get_service(NacosRegistry(client), "nobody")) == []


async def test_user_is_let_in_where_there_are_none(address: str, connected: Connect) -> None:
    client = connected(address, username="anybody", password="hunter2")

    assert list(await get_service(NacosRegistry(client), "nobody")) == []


class Files:
    """PEM files of a server and its client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        authority = trustme.CA()
        made = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(self.ca)
        key = load_pem_private_key(made.private_key_pem.bytes(), None)
        self.key.write_bytes(  # as Netty reads it
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        for blob in made.cert_chain_pems:
            blob.write_to_path(self.certificate, append=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(
    server_class: Any, tmp_path_factory: pytest.TempPathFactory, files: Files
) -> Iterator[Any]:
    """A Nacos that speaks nothing but TLS over gRPC."""
    rpc = "nacos.remote.server.rpc.tls"
    server = server_class(
        tmp_path_factory.mktemp("secure"),
        f"-D{rpc}.enableTls=true",
        f"-D{rpc}.compatibility=false",
        f"-D{rpc}.certChainFile=file:{files.certificate}",
        f"-D{rpc}.certPrivateKey=file:{files.key}",
    )
    server.start()
    yield server
    server.stop()


async def test_all_goes_over_tls(secure: Any, files: Files) -> None:
    registry = from_url(f"nacoss://{secure.address}?ca={files.ca}")
    registration = await registry.register(ONE)

    assert list(await get_service(registry, ONE.name)) == [ONE]
    await registration.withdraw()
    await registry.aclose()


@pytest.mark.parametrize("how", ["plain", "other roots"])
async def test_server_with_tls_does_not_answer_others(
    secure: Any, connected: Connect, how: str
) -> None:
    tls = None if how == "plain" else ClientTls(ca=trustme.CA().cert_pem.bytes())

    with pytest.raises(NacosUnavailable, match="does not answer"):
        await connected(secure.address, tls=tls).connect("naming")


async def test_new_connection_takes_the_files_that_there_are_by_then(
    secure: Any, files: Files, connected: Connect, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca)
    client = connected(secure.address, tls=ClientTls(ca=ca))
    with pytest.raises(NacosUnavailable, match="does not answer"):
        await client.connect("naming")

    ca.write_bytes(files.ca.read_bytes())

    assert not (await client.connect("naming")).over


async def test_key_that_grpc_cannot_read_is_refused(files: Files) -> None:
    with pytest.raises(ConfigError, match="reads no encrypted keys"):
        NacosClient(["h"], tls=ClientTls(ca=files.ca, verify=False))
