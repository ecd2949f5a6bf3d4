"""Tokens, TLS and Unix sockets, on agents of their own, and what is no agent at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trustme

from kratos.config.config import read
from kratos.registry import ServiceInstance, from_url, get_service
from kratos.tls import ClientTls
from kratos.url import parse_url
from kratos_consul import ConsulClient, ConsulRegistry, ConsulSource, ConsulUnavailable

pytestmark = [pytest.mark.service("consul"), pytest.mark.slow]

ONE = ServiceInstance(id="1", name="orders")
ROOT = "8a5f1f0e-0000-4000-8000-000000000001"
APP = "8a5f1f0e-0000-4000-8000-000000000002"
READER = "8a5f1f0e-0000-4000-8000-000000000003"
NOBODY = "8a5f1f0e-0000-4000-8000-000000000004"
UNKNOWN = "8a5f1f0e-0000-4000-8000-00000000000f"
POLICIES = {
    APP: 'service "orders" { policy = "write" } node_prefix "" { policy = "read" } '
    'key_prefix "config/orders" { policy = "read" }',
    READER: 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
    NOBODY: 'key "nothing" { policy = "read" }',
}

Connect = Callable[..., ConsulClient]


@pytest.fixture
def guarded(server_class: Any, tmp_path: Path) -> Iterator[Any]:
    """An agent at which nobody may do anything, but for those with a token."""
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": ROOT}}
    server = server_class(tmp_path / "guarded", token=ROOT, acl=acl)
    server.start()
    for number, (token, rules) in enumerate(POLICIES.items()):
        name = f"policy-{number}"
        server.api("PUT", "/acl/policy", {"Name": name, "Rules": rules})
        server.api("PUT", "/acl/token", {"SecretID": token, "Policies": [{"Name": name}]})
    server.api("PUT", "/kv/config/orders/app.json", b"{}")
    yield server
    server.kill()


async def test_right_token_registers_and_is_seen(guarded: Any, connected: Connect) -> None:
    registry = ConsulRegistry(connected(guarded.address, token=APP))
    watcher = await registry.watch("orders")
    state = await watcher.read()

    registration = await registry.register(ONE)
    await registration.renew()

    seen = await watcher.changed(state.token)
    while seen is None or not seen.value:
        seen = await watcher.changed(state.token)
    assert list(seen.value) == [ONE]
    await watcher.aclose()
    reader = ConsulRegistry(connected(guarded.address, token=READER))
    assert list(await get_service(reader, "orders")) == [ONE]
    await registration.withdraw()
    assert list(await get_service(registry, "orders")) == []


async def test_token_of_python_consul_is_sent(guarded: Any) -> None:
    consul: Any = import_module("consul")
    registry = ConsulRegistry(consul.Consul(port=guarded.port, token=APP))

    registration = await registry.register(ONE)

    assert list(await get_service(registry, "orders")) == [ONE]
    await registration.withdraw()
    await registry.aclose()


async def test_token_of_a_url_is_sent_and_not_shown(guarded: Any) -> None:
    registry = from_url(f"consul://{guarded.address}?token={APP}")
    registration = await registry.register(ONE)

    assert list(await get_service(registry, "orders")) == [ONE]
    assert APP not in f"{registry} {registry!r}"
    await registration.withdraw()
    await registry.aclose()


async def test_token_that_changes_is_read_again(
    guarded: Any, connected: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(UNKNOWN)
    registry = ConsulRegistry(connected(guarded.address, token_file=file))
    with pytest.raises(ConsulUnavailable, match="ACL not found"):
        await registry.register(ONE)

    file.write_text(f"{APP}\n")

    registration = await registry.register(ONE)
    await registration.withdraw()
    file.unlink()
    with pytest.raises(ConsulUnavailable, match=r"is not asked .*/token' cannot be read"):
        await get_service(registry, "orders")
    file.write_text(APP)
    other = from_url(f"consul://{guarded.address}?token_file={file}")
    assert list(await get_service(other, "orders")) == []
    await other.aclose()


async def test_unknown_token_is_told_without_showing_it(guarded: Any, connected: Connect) -> None:
    registry = ConsulRegistry(connected(guarded.address, token=UNKNOWN))

    with pytest.raises(ConsulUnavailable, match=r"403 .*ACL not found: give a token") as told:
        await registry.register(ONE)
    with pytest.raises(ConsulUnavailable, match="ACL not found: give a token"):
        await get_service(registry, "orders")

    assert UNKNOWN not in str(told.value)


async def test_missing_token_is_asked_for(guarded: Any, connected: Connect) -> None:
    registry = ConsulRegistry(connected(guarded.address))

    with pytest.raises(ConsulUnavailable, match=r"403 to PUT .* without a token: .*give a token"):
        await registry.register(ONE)


async def test_missing_permission_is_told(guarded: Any, connected: Connect) -> None:
    registry = ConsulRegistry(connected(guarded.address, token=READER))

    with pytest.raises(ConsulUnavailable, match=r"answered 403 .*'?service:write"):
        await registry.register(ONE)


async def test_token_that_may_not_read_is_no_empty_list(guarded: Any, connected: Connect) -> None:
    registration = await ConsulRegistry(connected(guarded.address, token=APP)).register(ONE)
    registry = ConsulRegistry(connected(guarded.address, token=NOBODY))

    with pytest.raises(ConsulUnavailable, match="the token is shown nothing: give it a policy"):
        await get_service(registry, "orders")
    await registration.withdraw()


async def test_configuration_needs_a_token_too(guarded: Any, connected: Connect) -> None:
    entries = await read(ConsulSource(connected(guarded.address, token=APP), "config/orders"))

    assert [entry.key for entry in entries] == ["app.json"]
    for token, message in ((NOBODY, "is shown nothing"), (UNKNOWN, "ACL not found")):
        source = ConsulSource(connected(guarded.address, token=token), "config/orders")
        with pytest.raises(ConsulUnavailable, match=message):
            await read(source)


async def test_emptiness_that_may_be_a_missing_token_is_told_once(
    guarded: Any, connected: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    client = connected(guarded.address)

    for _ in range(2):  # Consul itself does not tell, so this is no error
        assert list(await get_service(ConsulRegistry(client), "orders")) == []
        assert list(await read(ConsulSource(client, "config/orders"))) == []

    assert caplog.text.count("if there should be something, give a token") == 2


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(server_class: Any, tmp_path: Path, ca: trustme.CA) -> Iterator[Any]:
    """An agent that speaks TLS, and wants certificates of its clients."""
    files = {"ca_file": tmp_path / "ca.pem", "cert_file": tmp_path / "cert.pem"}
    files["key_file"] = tmp_path / "key.pem"
    certificate = ca.issue_cert("localhost", "127.0.0.1", "server.dc1.consul")
    ca.cert_pem.write_to_path(files["ca_file"])
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(files["cert_file"], append=True)
    certificate.private_key_pem.write_to_path(files["key_file"])
    defaults = {name: str(path) for name, path in files.items()}
    server = server_class(
        tmp_path / "secure", tls={"defaults": defaults, "https": {"verify_incoming": True}}
    )
    server.secure()
    server.start()
    yield server
    server.kill()


def client_files(ca: trustme.CA, folder: Path, trusted: trustme.CA) -> ClientTls:
    """Write the files of a client, with a certificate of one CA, that trusts another."""
    folder.mkdir(exist_ok=True)
    certificate = ca.issue_cert("client.example")
    trusted.cert_pem.write_to_path(folder / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    return ClientTls(
        ca=str(folder / "ca.pem"),
        certificate=str(folder / "cert.pem"),
        key=str(folder / "key.pem"),
    )


async def test_agent_is_reached_by_tls_with_a_certificate(
    secure: Any, ca: trustme.CA, connected: Connect, tmp_path: Path
) -> None:
    tls = client_files(ca, tmp_path / "client", ca)
    registry = ConsulRegistry(connected(secure.secure_address, tls=tls))

    registration = await registry.register(ONE)

    assert list(await get_service(registry, "orders")) == [ONE]
    await registration.withdraw()
    files = "&".join(f"{name}={getattr(tls, name)}" for name in ("ca", "certificate", "key"))
    other = from_url(f"consuls://{secure.secure_address}?{files}")
    assert list(await get_service(other, "orders")) == []
    await other.aclose()


async def test_stranger_is_not_trusted_and_files_that_change_are_read_again(
    secure: Any, ca: trustme.CA, connected: Connect, tmp_path: Path
) -> None:
    tls = client_files(ca, tmp_path / "client", trustme.CA())
    registry = ConsulRegistry(connected(secure.secure_address, tls=tls))
    with pytest.raises(ConsulUnavailable, match=r"does not answer .*CERTIFICATE_VERIFY_FAILED"):
        await registry.register(ONE)

    client_files(ca, tmp_path / "client", ca)

    registration = await registry.register(ONE)
    await registration.withdraw()


async def test_client_without_a_certificate_is_refused(
    secure: Any, ca: trustme.CA, connected: Connect, tmp_path: Path
) -> None:
    ca.cert_pem.write_to_path(tmp_path / "only.pem")
    tls = ClientTls(ca=str(tmp_path / "only.pem"))
    registry = ConsulRegistry(connected(secure.secure_address, tls=tls))

    with pytest.raises(ConsulUnavailable, match=r"does not answer .*(?i:certificate)"):
        await registry.register(ONE)


async def test_plain_text_to_a_port_of_tls_is_told(secure: Any, connected: Connect) -> None:
    registry = ConsulRegistry(connected(secure.secure_address))

    with pytest.raises(ConsulUnavailable, match=r"400 .*HTTP request to an HTTPS server"):
        await registry.register(ONE)


async def test_tls_to_a_port_of_plain_text_is_told(
    own_server: Any, ca: trustme.CA, connected: Connect, tmp_path: Path
) -> None:
    tls = client_files(ca, tmp_path / "client", ca)
    registry = ConsulRegistry(connected(own_server.address, tls=tls))

    with pytest.raises(ConsulUnavailable, match=r"does not answer .*WRONG_VERSION_NUMBER"):
        await registry.register(ONE)


async def test_agent_is_reached_by_its_unix_socket(
    server_class: Any, connected: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "consul.sock"
    server = server_class(tmp_path / "local")
    server.listen(f"unix://{path}")
    server.start()
    try:
        registry = ConsulRegistry(connected(f"unix:{path}"))
        registration = await registry.register(ONE)
        assert list(await get_service(registry, "orders")) == [ONE]
        await registration.withdraw()
    finally:
        server.kill()


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(text: bytes) -> AsyncGenerator[str]:
    """Answer every request with the same bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope", "is it an agent"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "is it an agent"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "is it an agent"),
        (b"HTTP/1.1 200 OK\r\nx-consul-index: 7\r\ncontent-length: 6\r\n\r\n<html>", "is no JSON"),
        (b"HTTP/1.1 200 OK\r\nx-consul-index: 7\r\ncontent-length: 2\r\n\r\n{}", "is no list"),
        (b"HTTP/1.1 200 OK\r\nx-consul-index: 7\r\ncontent-length: 4\r\n\r\n[7]\n", None),
        (
            b"HTTP/1.1 200 OK\r\nx-consul-index: %s\r\ncontent-length: 2\r\n\r\n[]" % (b"9" * 5000),
            "no x-consul-index",
        ),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 9\r\n\r\nNo leader", "500 to GET .*: No leader"),
        (b"HTTP/1.1 429 Oh\r\ncontent-length: 3\r\n\r\nOh!", "http_max_conns_per_client"),
        (b"-ERR unknown command 'GET'\r\n", "does not answer .*malformed"),
    ],
)
async def test_what_is_no_agent_or_not_well_is_told(
    answer: bytes, message: str | None, connected: Connect
) -> None:
    async with serving(answer) as address:
        registry = ConsulRegistry(connected(address))
        if message is None:
            assert list(await get_service(registry, "orders")) == []
            assert registry.skipped == 1
            return
        with pytest.raises(ConsulUnavailable, match=message):
            await get_service(registry, "orders")


async def test_agent_that_is_away_is_named(connected: Connect, tmp_path: Path) -> None:
    async with serving(b"") as address:
        pass
    registry = ConsulRegistry(connected(address))

    with pytest.raises(ConsulUnavailable, match=rf"{address} does not answer .*call failed"):
        await registry.register(ONE)
    with pytest.raises(ConsulUnavailable, match=r"does not answer .*GET /v1/kv/config"):
        await read(ConsulSource.from_url(parse_url(f"consul://{address}/config")))
