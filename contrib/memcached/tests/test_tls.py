"""The store on a real memcached that speaks TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from aegis import Backoff
from kratos.errors import StoreUnavailable
from kratos.store import Entry, Store, from_url, get_many, set_many
from kratos.testing.store_contract import StoreBackend, StoreContract
from kratos.tls import ClientTls, Rotation, client_context
from kratos_memcached import MemcachedStore

pytestmark = pytest.mark.service("memcached")

Serve = Callable[..., Any]


class Certificates:
    """An authority, and the files of a server and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.renew()

    def renew(self) -> None:
        """Make all files anew, by another authority."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        for name, host in (("server", "127.0.0.1"), ("client", "app")):
            made = authority.issue_cert(host)
            made.private_key_pem.write_to_path(self.folder / f"{name}-key.pem")
            chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
            (self.folder / f"{name}.pem").write_bytes(chain)

    def options(self) -> tuple[str, ...]:
        """Return those of a server that asks clients for certificates."""
        files = {"ssl_chain_cert": "server", "ssl_key": "server-key", "ssl_ca_cert": "ca"}
        named = ",".join(f"{name}={self.folder / file}.pem" for name, file in files.items())
        return "-Z", "-o", f"{named},ssl_verify_mode=2"

    def query(self, *names: str) -> str:
        files = {"ca": "ca.pem", "certificate": "client.pem", "key": "client-key.pem"}
        return "&".join(f"{name}={self.folder / files[name]}" for name in names or files)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    (tmp_path / "tls").mkdir()
    return Certificates(tmp_path / "tls")


@pytest.fixture
def server(serve: Serve, certificates: Certificates) -> Any:
    return serve(*certificates.options())


class TestOverTls(StoreContract):
    @pytest.fixture
    async def backend(self, server: Any, certificates: Certificates) -> AsyncIterator[StoreBackend]:
        def make() -> Store:
            return from_url(f"memcacheds://{server.address}?{certificates.query()}&timeout=10s")

        store = make()
        yield StoreBackend(store=store, make=make)
        await store.aclose()


async def test_large_values_and_many_keys_come_back(
    server: Any, certificates: Certificates
) -> None:
    store = from_url(f"memcacheds://{server.address}?{certificates.query()}&timeout=10s")
    values = {f"key-{number}": b"%d" % number * 1000 for number in range(500)}
    values["large"] = bytes(range(256)) * 4000
    await set_many(store, {key: Entry(value, 60) for key, value in values.items()})
    assert await get_many(store, list(values)) == values
    await store.aclose()


@pytest.mark.parametrize(
    ("scheme", "given", "told"),
    [
        # It may close the connection before what it says has been read.
        ("memcacheds", ("ca",), "(it wants a certificate: name one by|the connection was lost)"),
        ("memcacheds", ("certificate", "key"), "its certificate is not trusted: check ca="),
        ("memcached", None, "the connection was lost"),
    ],
)
async def test_client_that_is_not_let_in_is_told_why(
    server: Any,
    certificates: Certificates,
    scheme: str,
    given: tuple[str, ...] | None,
    told: str,
) -> None:
    query = "" if given is None else certificates.query(*given)
    store = from_url(f"{scheme}://{server.address}?{query}&timeout=5s")
    with pytest.raises(StoreUnavailable, match=f"memcached {server.address} fails: {told}"):
        await store.get("key")
    await store.aclose()


async def test_tls_where_there_is_none_is_told(serve: Serve, certificates: Certificates) -> None:
    store = from_url(f"memcacheds://{serve().address}?{certificates.query()}&timeout=5s")
    with pytest.raises(StoreUnavailable, match="it does not speak TLS there: write memcached://"):
        await store.get("key")
    await store.aclose()


async def test_new_connections_take_up_files_that_have_changed(
    server: Any, certificates: Certificates
) -> None:
    folder = certificates.folder
    tls = ClientTls(
        ca=folder / "ca.pem", certificate=folder / "client.pem", key=folder / "client-key.pem"
    )
    store = MemcachedStore(
        server.address,
        timeout=10,
        backoff=Backoff(base=0.02, cap=0.1),
        tls=Rotation(tls, client_context).refresh,
    )
    await store.set("key", b"old", ttl=60)
    server.kill()
    certificates.renew()  # what was read before is worth nothing now
    server.start()
    await store.set("key", b"new", ttl=60)
    assert await store.get("key") == b"new"
    await store.aclose()
