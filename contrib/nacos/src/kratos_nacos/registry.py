"""A registry on Nacos, which services of Go Kratos share (Go: ``contrib/registry/nacos``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, RegistrationLost
from kratos.limit import shielded
from kratos.options import require_number
from kratos.registry import Registration, Registry, ServiceInstance, Skips
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_nacos.client import NacosClient, client_of
from kratos_nacos.layout import Entry, Reading, entries_of, instances_of, newest, services_of
from kratos_nacos.link import Link
from kratos_nacos.services import ServicesWatcher, entries_in, query
from kratos_nacos.wire import Body, NacosUnavailable, child

__all__ = ["NacosRegistry"]

_GROUP: Final = "DEFAULT_GROUP"
_CLUSTER: Final = "DEFAULT"
_KIND: Final = "grpc"
_WEIGHT: Final = 100.0
_SCHEMES: Final = ("grpc", "grpcs", "http", "https")
_TTL: Final = 20.0  # seconds of silence after which Nacos asks whether anybody is still there
_CLEANUP: Final = 1.0


class NacosRegistry:
    """Registrar and discovery over Nacos, in the layout of Go Kratos.

    Args:
        client: Whom it asks; it stays the caller's.
        group: Of all services.
        cluster: Where instances are registered, and the only one they are looked for in.
        weight: Of instances whose metadata has no ``weight``.
        default_kind: Scheme of what others registered without one.
        schemes: Of the endpoints that are looked for.
        clock: Time of publications.

    Raises:
        ConfigError: An option is empty or out of range.
    """

    def __init__(
        self,
        client: NacosClient,
        *,
        group: str = _GROUP,
        cluster: str = _CLUSTER,
        weight: float = _WEIGHT,
        default_kind: str = _KIND,
        schemes: Sequence[str] = _SCHEMES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        require_number("weight", weight, above=0)
        for option, value in (
            ("group", group),
            ("cluster", cluster),
            ("default_kind", default_kind),
        ):
            if not value or "@@" in value:
                raise ConfigError(f"{option}={value!r} must be a name, without '@@'")
        if isinstance(schemes, str) or not schemes:
            raise ConfigError(f"schemes={schemes!r} must be a list, such as {list(_SCHEMES)}")
        self._client = client
        self._group = group
        self._cluster = cluster
        self._weight = float(weight)
        self._kind = default_kind
        self._schemes = tuple(schemes)
        self._clock = clock
        self._skips = Skips()
        self._since = 0
        self._seats: dict[tuple[str, str], _Seat] = {}
        self._owned = False
        self._closed = False

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the registry of a URL: ``nacos://user:password@host:port/namespace?group=shop``.

        Further options are ``cluster``, ``weight``, ``default_kind``, ``scheme``, which may be
        repeated, ``timeout``, ``grpc_offset``, and with the scheme ``nacoss``, which is TLS, the
        PEM files ``ca``, ``certificate`` and ``key``.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        client = client_of(url, options)
        group = options.text("group", default=_GROUP)
        cluster = options.text("cluster", default=_CLUSTER)
        weight = options.integer("weight", default=round(_WEIGHT))
        kind = options.text("default_kind", default=_KIND)
        schemes = options.texts("scheme", default=_SCHEMES)
        options.finish()
        registry = cls(
            client,
            group=group,
            cluster=cluster,
            weight=weight,
            default_kind=kind,
            schemes=schemes,
        )
        registry._owned = True
        return registry

    def __str__(self) -> str:
        return f"{self._client} {self._group}"

    @property
    def skipped(self) -> int:
        """How many different entries could not be read so far."""
        return self._skips.count

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Publish the instance, over a connection of its own; one of the same id is replaced.

        What this registry published before is changed in place. What another process did goes
        when that hears of it; until then the later publication counts, for services in Python.

        Raises:
            NacosUnavailable: Nacos did not answer, or refused, or the registry is closed.
        """
        instance.check()
        # No two publications have the same number, even if the clock stands still.
        self._since = max(self._since + 1, round(self._clock.wall() * 1e6))
        since = self._since
        entries = entries_of(instance, cluster=self._cluster, weight=self._weight, since=since)
        key = (instance.name, instance.id)
        while not self._closed:
            seat = self._seats.setdefault(key, _Seat(self._client, self._group))
            async with seat.lock:
                if self._seats.get(key) is not seat:
                    continue  # it was withdrawn meanwhile
                seat.since = max(seat.since, since)
                await seat.publish(entries)
                publication = _Publication(seat, instance, self._forget)
                seat.holder = publication
                return publication
        raise NacosUnavailable(self._why_closed())

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Return a watcher of a service; nothing is asked before its first read.

        The name of Go, which ends in the scheme, finds the endpoints of that scheme; without it
        all are found, together again as one instance.
        """

        def skip(service: str, error: ValueError) -> None:
            self._skips.skip(f"{self} {service}", error, version=str(error))

        how = Reading(cluster=self._cluster, kind=self._kind, weight=self._weight, skip=skip)
        services = services_of(name, self._schemes)
        return ServicesWatcher(
            self._client,
            services,
            group=self._group,
            decode=lambda listed: instances_of(name, listed, how),
        )

    async def aclose(self) -> None:
        """Close the connections of instances, and a client that ``from_url`` made; idempotent.

        A registration that is under way fails; this waits for its end.
        """
        self._closed = True
        why = self._why_closed()
        await asyncio.gather(*(seat.end(why) for seat in self._seats.values()))
        if self._owned:
            await self._client.aclose()
        await asyncio.gather(*(seat.settle() for seat in self._seats.values()))
        self._seats.clear()

    def _why_closed(self) -> str:
        return f"{self}: the registry is closed"

    def _forget(self, instance: ServiceInstance) -> None:
        self._seats.pop((instance.name, instance.id), None)


class _Seat:
    """The place of one id: its connection, and what is published over it."""

    def __init__(self, client: NacosClient, group: str) -> None:
        self.client = client
        self.group = group
        self.lock = asyncio.Lock()
        self.link: Link | None = None
        self.holder: _Publication | None = None
        self.published: dict[str, Sequence[Entry]] = {}
        self.since = 0  # the number of what may be there: its holder's, or of a change given up
        self.over = ""  # why nothing is published there any more

    async def publish(self, entries: Mapping[str, Sequence[Entry]]) -> None:
        """Put entries in place of what was there."""
        self._check_open()
        fresh = self.link is None or self.link.over
        if fresh:
            await self.leave()
            self.link = await self.client.connect("naming")
        link = self.link
        assert link is not None
        try:
            self._check_open()
            for service, listed in entries.items():
                self.published[service] = listed
                await self._put(link, service, listed)
            for service in self.published.keys() - entries.keys():
                await self._remove(link, service)
            self._check_open()
        except BaseException:
            if fresh:
                await self._part()
            raise

    async def empty(self) -> None:
        """Take everything back; what cannot be goes with the connection."""
        link = self.link
        try:
            if link is not None and not link.over:
                for service in list(self.published):
                    await self._remove(link, service)
        finally:
            await self._part()

    async def end(self, why: str) -> None:
        """Leave for good; who is publishing there hears why."""
        self.over = why
        await self.leave()

    async def settle(self) -> None:
        """Return when nobody is publishing there any more, nor taking back, and nothing is left."""
        async with self.lock:
            await self.leave()

    async def leave(self) -> None:
        """Close the connection, with all that was published over it."""
        link, self.link = self.link, None
        self.published.clear()
        if link is not None:
            await link.aclose()

    def _check_open(self) -> None:
        if self.over:
            raise NacosUnavailable(self.over)

    async def _part(self) -> None:
        """Leave, even if the caller is cancelled. A connection that takes longer ends by itself."""
        with suppress(TimeoutError):
            await shielded(self.leave(), clock=SYSTEM_CLOCK, timeout=_CLEANUP)

    async def _put(self, link: Link, service: str, entries: Sequence[Entry]) -> None:
        # A connection has one entry per service, or one batch of them.
        if len(entries) == 1:
            body: Body = {"type": "registerInstance", "instance": entries[0]}
            await link.ask("InstanceRequest", {**self._of(service), **body})
        else:
            body = {"type": "batchRegisterInstance", "instances": entries}
            await link.ask("BatchInstanceRequest", {**self._of(service), **body})

    async def _remove(self, link: Link, service: str) -> None:
        # The end of the registry, which does not wait for its turn, may have emptied the list.
        if listed := self.published.get(service):
            body = {"type": "deregisterInstance", "instance": listed[0]}
            await link.ask("InstanceRequest", {**self._of(service), **body})
            self.published.pop(service, None)

    def _of(self, service: str) -> dict[str, object]:
        namespace = self.client.naming_namespace
        return {"namespace": namespace, "serviceName": service, "groupName": self.group}


class _Publication:
    def __init__(
        self,
        seat: _Seat,
        instance: ServiceInstance,
        forget: Callable[[ServiceInstance], None],
    ) -> None:
        self._seat = seat
        self._instance = instance
        self._forget = forget

    @property
    def ttl(self) -> float | None:
        return _TTL

    async def renew(self) -> None:
        # The connection has a heartbeat. This finds out whether somebody else has the id.
        seat = self._seat
        if seat.holder is not self:
            raise self._gone("there is a later registration")
        link = seat.link
        if link is None or link.over:
            raise self._gone("it was closed" if link is None else link.why)
        for service in list(seat.published):
            told = await query(seat.client, link, service, group=seat.group)
            entries = entries_in(child(told, "serviceInfo"))
            if newest(self._instance.id, entries) > seat.since:
                await self.withdraw()
                raise self._gone("another process has registered the same id")

    async def lost(self) -> None:
        if self._seat.link is not None:
            await self._seat.link.end()

    async def withdraw(self) -> None:
        async with self._seat.lock:
            if self._seat.holder is not self:
                return
            self._seat.holder = None
            self._forget(self._instance)
            await self._seat.empty()

    def _gone(self, why: str) -> RegistrationLost:
        return RegistrationLost(f"{self._instance} on {self._seat.client}: {why}")


if TYPE_CHECKING:
    _registry: type[Registry] = NacosRegistry
