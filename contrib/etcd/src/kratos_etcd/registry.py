"""A registry on etcd, which services of Go Kratos share (Go: ``contrib/registry/etcd``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING, Final, Self

import grpc

from kratos.clock import SYSTEM_CLOCK
from kratos.errors import ConfigError, RegistrationLost
from kratos.limit import shielded
from kratos.registry import Registration, Registry, ServiceInstance, Skips
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.borrowed import Etcd3Client, adopted
from kratos_etcd.client import EtcdClient, client_of
from kratos_etcd.keys import KeysWatcher
from kratos_etcd.layout import NAMESPACE, end_of_prefix, instance_key, service_prefix
from kratos_etcd.rpc import GRANT, KEEP_ALIVE, PUT, RANGE, REVOKE, EtcdUnavailable

__all__ = ["EtcdRegistry"]

_TTL: Final = 15.0
_LONGEST_TTL: Final = 9_000_000_000  # seconds; etcd takes no more
_CLEANUP: Final = 1.0  # seconds; without it the lease runs out by itself


class EtcdRegistry:
    """Registrar and discovery over etcd, in the layout of Go Kratos.

    Args:
        client: Whom it asks; it stays the caller's. A client of the distribution etcd3 will do.
        namespace: What all keys begin with, as it is: nothing is added but a slash behind it.
        ttl: Seconds that a publication outlives its last renewal, in whole ones, rounded up. A
            server may make it longer.

    Raises:
        ConfigError: ``ttl`` is none, or ``client`` is no client of etcd.
    """

    def __init__(
        self,
        client: EtcdClient | Etcd3Client,
        *,
        namespace: str = NAMESPACE,
        ttl: float = _TTL,
    ) -> None:
        if not 0 < ttl <= _LONGEST_TTL:
            raise ConfigError(f"ttl={ttl!r} must be more than 0 and at most {_LONGEST_TTL} seconds")
        self._client = adopted(client)
        self._namespace = namespace
        self._ttl = ceil(ttl)
        self._skips = Skips()
        self._owned = self._client is not client

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the registry of a URL: ``etcd://host:port,host:port/microservices?ttl=15s``.

        The path is the namespace; further options are ``timeout``, and with the scheme ``etcds``,
        which is TLS, the PEM files ``ca``, ``certificate`` and ``key``.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        client = client_of(url, options)
        ttl = options.duration("ttl", default=_TTL)
        options.finish()
        registry = cls(client, namespace=url.path.rstrip("/") or NAMESPACE, ttl=ttl)
        registry._owned = True
        return registry

    def __str__(self) -> str:
        return f"{self._client}{self._namespace}"

    @property
    def skipped(self) -> int:
        """How many different entries could not be decoded so far."""
        return self._skips.count

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Put the instance, under a lease of its own; one of the same id is replaced in place."""
        instance.check()
        grant = await self._client.ask(GRANT, pb.LeaseGrantRequest(ttl=self._ttl))
        if grant.error:
            raise EtcdUnavailable(f"{self} grants no lease of {self._ttl} s: {grant.error}")
        key = instance_key(self._namespace, instance)
        request = pb.PutRequest(key=key, value=instance.to_json(), lease=grant.id)
        publication = _Publication(self._client, key, grant)
        try:
            publication.revision = (await self._client.ask(PUT, request)).header.revision
        except asyncio.CancelledError:
            with suppress(EtcdUnavailable, TimeoutError):
                await shielded(publication.withdraw(), clock=SYSTEM_CLOCK, timeout=_CLEANUP)
            raise
        return publication

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Return a watcher of a service; nothing is asked before its first read."""

        def decode(entry: pb.KeyValue) -> ServiceInstance | None:
            try:
                instance = ServiceInstance.from_json(entry.value)
            except ValueError as error:
                place = entry.key.decode("utf-8", "replace")
                self._skips.skip(f"{self._client} {place}", error, version=entry.mod_revision)
                return None
            return instance if instance.name == name else None

        prefix = service_prefix(self._namespace, name)
        return KeysWatcher(self._client, prefix, end=end_of_prefix(prefix), decode=decode)

    async def aclose(self) -> None:
        """Close what the registry has made, as by ``from_url``; idempotent."""
        if self._owned:
            await self._client.aclose()


class _Publication:
    def __init__(self, client: EtcdClient, key: bytes, grant: pb.LeaseGrantResponse) -> None:
        self._client = client
        self._key = key
        self._lease = grant.id
        self._ttl = float(grant.ttl)
        self.revision = 0  # at which it surely stood

    @property
    def ttl(self) -> float | None:
        return self._ttl

    async def renew(self) -> None:
        kept = await self._client.ask(KEEP_ALIVE, pb.LeaseKeepAliveRequest(id=self._lease))
        if kept.ttl <= 0:
            raise self._gone("its lease is gone")
        # Of keys alone etcd tells no leases since 3.7.
        found = await self._client.ask(RANGE, pb.RangeRequest(key=self._key))
        if [entry.lease for entry in found.kvs] != [self._lease]:
            raise self._gone("it was deleted, or belongs to a later registration")
        self.revision = found.header.revision

    async def lost(self) -> None:
        watch = await self._client.watch(self._key, since=self.revision)
        try:
            while response := await watch.next():
                for event in response.events:
                    if event.type == pb.Event.DELETE or event.kv.lease != self._lease:
                        return
        finally:
            watch.close()
        raise EtcdUnavailable(f"{self._client} has forgotten what happened: look for yourself")

    async def withdraw(self) -> None:
        # With the lease go its keys, and a key that was taken over is none of them.
        try:
            await self._client.ask(REVOKE, pb.LeaseRevokeRequest(id=self._lease))
        except EtcdUnavailable as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise

    def _gone(self, why: str) -> RegistrationLost:
        return RegistrationLost(f"{self._key.decode()} on {self._client}: {why}")


if TYPE_CHECKING:
    _registry: type[Registry] = EtcdRegistry
