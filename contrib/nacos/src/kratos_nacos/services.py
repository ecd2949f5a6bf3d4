"""What Nacos lists of a service, kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar, cast

from kratos.watch import Versioned
from kratos_nacos.client import NacosClient
from kratos_nacos.link import Link
from kratos_nacos.wire import UNREACHABLE, Body, NacosUnavailable, child, grouped

__all__ = ["ServicesWatcher", "entries_in", "query"]

T = TypeVar("T")

_FAREWELL: Final = 1.0  # seconds to tell Nacos that nothing more is to be pushed
_END_OF_TIME: Final = 2**63  # milliseconds

_Listed = Mapping[str, Sequence[object]]


class ServicesWatcher(Generic[T]):
    """A ``kratos.watch.Watcher`` of what is listed under several names of services together.

    Nacos pushes the whole list of a service some half second after a change, and answers a
    question out of what it pushed last.

    Args:
        client: Who is asked.
        services: Names of services, without their group.
        group: Of all of them.
        decode: Returns what the lists say.
    """

    def __init__(
        self,
        client: NacosClient,
        services: Sequence[str],
        *,
        group: str,
        decode: Callable[[_Listed], T],
    ) -> None:
        self._client = client
        self._services = services
        self._group = group
        self._decode = decode
        self._listed: dict[str, Sequence[object]] = {}
        self._times: dict[str, float] = {}
        self._revision = 0
        self._changed = asyncio.Event()
        self._link: Link | None = None
        self._stops: dict[str, Callable[[], bool]] = {}
        self._closed = False

    async def read(self) -> Versioned[T]:
        """Return what is listed now."""
        self._check()
        link = await self._connected()
        await self._ask_all(lambda service: self._query(link, service))
        self._revision += 1
        return self._state()

    async def changed(self, since: object, /) -> Versioned[T]:
        """Return what is listed after the next change."""
        link = await self._connected()
        if len(self._stops) < len(self._services):
            # What is listed comes with the answer, so nothing is missed in between.
            await self._ask_all(lambda service: self._subscribe(link, service))
        while self._revision == since:
            self._check()
            self._changed.clear()
            await self._changed.wait()
        self._check()
        return self._state()

    async def aclose(self) -> None:
        """End a pending wait, and let Nacos push no more."""
        if self._closed:
            return
        self._closed = True
        self._changed.set()
        link, stops = self._link, self._stops
        self._link, self._stops = None, {}
        unheard = [service for service, stop in stops.items() if stop()]
        if link is None or link.over or not unheard:
            return
        try:
            async with asyncio.timeout(_FAREWELL):
                for service in unheard:
                    await self._unsubscribe(link, service)
        except (NacosUnavailable, TimeoutError):
            return  # it pushes in vain until the connection ends

    async def _ask_all(self, ask: Callable[[str], Any]) -> None:
        """Ask about all services at the same time."""
        asking = [asyncio.ensure_future(ask(service)) for service in self._services]
        try:
            await asyncio.gather(*asking)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)

    async def _connected(self) -> Link:
        """Return the connection; one that ended is not replaced behind the caller's back."""
        if self._link is None:
            self._link = await self._client.shared()
        self._check()
        return self._link

    async def _query(self, link: Link, service: str) -> None:
        self._times.pop(service, None)
        body = await query(self._client, link, service, group=self._group)
        self._take(service, child(body, "serviceInfo"))

    async def _subscribe(self, link: Link, service: str) -> None:
        if service in self._stops:
            return

        def listener(pushed: Body | None) -> None:
            if pushed is not None:
                self._times.pop(service, None)  # pushes come in order
                self._take(service, child(pushed, "serviceInfo"))
            self._changed.set()

        place = grouped(service, group=self._group)
        async with link.turn(place):
            stop = link.hear(place, listener)
            self._times.pop(service, None)
            try:
                body = await self._ask(link, service, subscribe=True)
                self._check()
            except BaseException:
                stop()
                raise
        self._stops[service] = stop
        self._take(service, child(body, "serviceInfo"))

    async def _unsubscribe(self, link: Link, service: str) -> None:
        place = grouped(service, group=self._group)
        async with link.turn(place):
            if not link.is_heard(place):  # nobody has begun to meanwhile
                await self._ask(link, service, subscribe=False)

    async def _ask(self, link: Link, service: str, *, subscribe: bool) -> Body:
        body = {
            "namespace": self._client.naming_namespace,
            "serviceName": service,
            "groupName": self._group,
            "subscribe": subscribe,
            "clusters": "",
        }
        return await link.ask("SubscribeServiceRequest", body)

    def _take(self, service: str, info: Body) -> None:
        """Take what is listed, unless something later was pushed while this was asked for.

        Else times say nothing: the clock of Nacos may have been set back.
        """
        entries, at = entries_in(info), _time_of(info)
        if at < self._times.get(service, 0):
            return
        self._times[service] = at
        if self._listed.get(service) != entries:
            self._listed[service] = entries
            self._revision += 1
            self._changed.set()

    def _state(self) -> Versioned[T]:
        listed = {service: self._listed.get(service, ()) for service in self._services}
        return Versioned(value=self._decode(listed), token=self._revision)

    def _check(self) -> None:
        if self._closed:
            raise NacosUnavailable(f"{self._client}: the watcher is closed")
        if self._link is not None and self._link.over:
            raise NacosUnavailable(self._link.why, code=UNREACHABLE)


async def query(client: NacosClient, link: Link, service: str, *, group: str) -> Body:
    """Return what Nacos tells about a service, once."""
    body = {
        "namespace": client.naming_namespace,
        "serviceName": service,
        "groupName": group,
        "cluster": "",
        "healthyOnly": False,
        "udpPort": 0,
    }
    return await link.ask("ServiceQueryRequest", body)


def entries_in(info: Body) -> Sequence[object]:
    """Return the entries that an answer, or what was pushed, lists."""
    hosts: object = info.get("hosts")
    return cast("list[object]", hosts) if isinstance(hosts, list) else ()


def _time_of(info: Body) -> float:
    at: object = info.get("lastRefTime")
    return float(at) if isinstance(at, int | float) and abs(at) < _END_OF_TIME else 0.0
