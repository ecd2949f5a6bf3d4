"""A registry inside one process, for tests, demos and programs that hold several services."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, RegistrationLost, RegistryUnavailable
from kratos.limit import Limit
from kratos.registry._instance import ServiceInstance
from kratos.registry._interface import Registration, Registry
from kratos.url import Options, Url
from kratos.watch import Versioned, Watcher

__all__ = ["MemoryRegistry", "from_url"]

_NEVER: Final = float("inf")


class MemoryRegistry:
    """Registrar and discovery over a dictionary; one event loop.

    Args:
        ttl: Seconds after which a publication that is not renewed expires; ``None``: never.
        clock: Time for ``ttl``.
        name: What ``str()`` shows.

    Raises:
        ValueError: ``ttl`` is not positive.
    """

    def __init__(
        self, *, ttl: float | None = None, clock: Clock = SYSTEM_CLOCK, name: str = ""
    ) -> None:
        if ttl is not None and not ttl > 0:
            raise ValueError(f"ttl must be positive or None, got {ttl}")
        self.ttl: Final = ttl
        self._clock = clock
        self._name = name
        self._shelves: dict[str, _Shelf] = {}

    def __str__(self) -> str:
        return f"memory://{self._name}"

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Publish an instance; one of the same id is replaced in place."""
        instance.check()
        return _Publication(self._shelf(instance.name), instance, self.ttl)

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Open a watcher of a service."""
        return _Watcher(self._shelf(name))

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    def _shelf(self, name: str) -> _Shelf:
        shelf = self._shelves.get(name)
        if shelf is None:
            shelf = self._shelves[name] = _Shelf(name, self._clock)
        return shelf


class _Shelf:
    """The publications of one service."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.revision = 0
        self._held: dict[str, _Publication] = {}
        self._changed = asyncio.Event()

    def put(self, publication: _Publication) -> None:
        self._held[publication.instance.id] = publication
        self._bump()

    def take(self, publication: _Publication) -> None:
        if self.holds(publication):
            del self._held[publication.instance.id]
            self._bump()

    def holds(self, publication: _Publication) -> bool:
        self._sweep()
        return self._held.get(publication.instance.id) is publication

    def instances(self) -> tuple[ServiceInstance, ...]:
        self._sweep()
        return tuple(publication.instance for publication in self._held.values())

    def wake(self) -> None:
        """Let all who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Return after the next change or when the next publication expires."""
        changed = self._changed
        expires = min((held.expires for held in self._held.values()), default=_NEVER)
        limit = Limit(
            self.clock, None if expires == _NEVER else max(0.0, expires - self.clock.time())
        )
        try:
            async with limit:
                await changed.wait()
        except TimeoutError:
            self._sweep()

    def _sweep(self) -> None:
        now = self.clock.time()
        expired = [key for key, held in self._held.items() if held.expires <= now]
        for key in expired:
            del self._held[key]
        if expired:
            self._bump()

    def _bump(self) -> None:
        self.revision += 1
        self.wake()


class _Publication:
    def __init__(self, shelf: _Shelf, instance: ServiceInstance, ttl: float | None) -> None:
        self.instance = instance
        self._shelf = shelf
        self._ttl = ttl
        self.expires = self._expiry()
        shelf.put(self)

    @property
    def ttl(self) -> float | None:
        return self._ttl

    async def renew(self) -> None:
        if not self._shelf.holds(self):
            raise RegistrationLost(f"{self.instance} expired, was withdrawn or was superseded")
        self.expires = self._expiry()

    async def lost(self) -> None:
        while self._shelf.holds(self):
            await self._shelf.wait()

    async def withdraw(self) -> None:
        self._shelf.take(self)

    def _expiry(self) -> float:
        return _NEVER if self._ttl is None else self._shelf.clock.time() + self._ttl


class _Watcher:
    def __init__(self, shelf: _Shelf) -> None:
        self._shelf = shelf
        self._closed = False

    async def read(self) -> Versioned[Sequence[ServiceInstance]]:
        instances = self._shelf.instances()
        return Versioned(value=instances, token=self._shelf.revision)

    async def changed(self, since: object, /) -> Versioned[Sequence[ServiceInstance]] | None:
        while True:
            if self._closed:
                raise RegistryUnavailable(f"the watcher of {self._shelf.name} is closed")
            state = await self.read()
            if state.token != since:
                return state
            await self._shelf.wait()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._shelf.wake()


# Named registries are shared as long as somebody holds them, so that a server and a client in
# one process meet by URL alone.
_named: WeakValueDictionary[str, MemoryRegistry] = WeakValueDictionary()


def from_url(url: Url) -> MemoryRegistry:
    """Return the process-wide registry of a URL: ``memory://[name][?ttl=15s]``.

    Raises:
        ConfigError: An option is unknown or wrong, or the name is in use with another ttl.
    """
    options = Options(url)
    seconds = options.duration("ttl", default=0.0)
    options.finish()
    ttl = seconds or None
    if len(url.hosts) > 1 or url.path.strip("/") or url.username is not None:
        raise ConfigError(f"{url}: a memory registry has a name and nothing else")
    name = url.hosts[0].name if url.hosts else ""
    registry = _named.get(name)
    if registry is None:
        registry = _named[name] = MemoryRegistry(ttl=ttl, name=name)
    elif registry.ttl != ttl:
        raise ConfigError(f"{url}: {registry} is open with ttl {registry.ttl}")
    return registry


if TYPE_CHECKING:
    _registry: type[Registry] = MemoryRegistry
