"""A registry on Redis. Go Kratos has none, so the layout is our own."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, RegistryUnavailable
from kratos.limit import shielded
from kratos.registry import Registration, Registry, ServiceInstance, Skips
from kratos.url import Options, Url, expand_env, parse_url
from kratos.watch import Watcher
from kratos_redis import layout
from kratos_redis.asking import TIMEOUT, Line, WatchClient
from kratos_redis.connecting import Connected, connected
from kratos_redis.instances import InstancesWatcher
from kratos_redis.publication import Publication

__all__ = ["RedisRegistry"]

_TTL: Final = 15.0
_SHORTEST_TTL: Final = 0.1
_LONGEST_TTL: Final = 86400.0 * 365
_UNDOING: Final = 1.0  # seconds; without it the instance goes by its ttl
_APART: Final = 0.05  # of the ttl, by which watchers look at different moments


class RedisRegistry:
    """Registrar and discovery on Redis 5 or later.

    An instance is a key that expires. Its keeper renews it, by Redis' own clock; who watches hears
    of changes by a stream, and looks again when the earliest instance may have expired.

    Args:
        client: A client of ``redis.asyncio``, or of a cluster, that does not decode responses. It
            stays the caller's. Each watched service takes one connection.
        namespace: What all keys begin with.
        ttl: Seconds that an instance outlives its last renewal.
        timeout: The most seconds that a question waits for its answer, connecting included.
        clock: Time for waiting until instances expire.
        random: Gives numbers of [0, 1), by which watchers look at different moments.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        client: WatchClient,
        *,
        namespace: str = layout.NAMESPACE,
        ttl: float = _TTL,
        timeout: float = TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
    ) -> None:
        if not _SHORTEST_TTL <= ttl <= _LONGEST_TTL:
            raise ConfigError(f"ttl={ttl!r} must be {_SHORTEST_TTL} to {_LONGEST_TTL:.0f} seconds")
        self._namespace = layout.check_namespace(namespace)
        self._name = f"Redis registry {namespace!r}"
        self._ttl = ttl
        self._clock = clock
        self._random = random
        self._skips = Skips()
        self._connection = Connected(client)
        self._line = Line(client, name=self._name, timeout=timeout, error=RegistryUnavailable)

    @classmethod
    def from_url(cls, url: str | Url) -> Self:
        """Return a registry with a client of its own, of a URL such as ``redis://host:port/0``.

        Options are ``namespace``, ``ttl`` and ``timeout``, and those of every URL of Redis; see
        the README. Nothing is connected yet.

        Raises:
            ConfigError: The URL is malformed, or an option unknown or wrong.
        """
        parsed = parse_url(expand_env(url)) if isinstance(url, str) else url
        options = Options(parsed)
        connection = connected(parsed, options)
        namespace = options.text("namespace", default=layout.NAMESPACE)
        ttl = options.duration("ttl", default=_TTL)
        timeout = options.duration("timeout", default=TIMEOUT)
        options.finish()
        registry = cls(connection.client, namespace=namespace, ttl=ttl, timeout=timeout)
        registry._connection = connection
        registry._name = registry._line.name = str(parsed)
        return registry

    def __str__(self) -> str:
        return self._name

    @property
    def skipped(self) -> int:
        """How many different entries could not be decoded so far."""
        return self._skips.count

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Publish an instance; one of the same id is replaced in place. See ``Registrar``."""
        instance.check()
        service = layout.service_key(self._namespace, instance.name)
        publication = Publication(self._line, service, instance, ttl=self._ttl)
        try:
            await publication.publish(instance.to_json())
        except BaseException:
            # It may be there although nobody told us.
            with suppress(RegistryUnavailable, TimeoutError):
                await shielded(publication.withdraw(), clock=self._clock, timeout=_UNDOING)
            raise
        return publication

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Return a watcher of a service; nothing is asked before its first read.

        Raises:
            ValueError: No service on Redis can have the name.
        """
        service = layout.service_key(self._namespace, name)

        def decode(id_: bytes, data: bytes, version: bytes) -> ServiceInstance | None:
            try:
                return layout.decode(data, id_=id_, name=name)
            except ValueError as error:
                place = layout.instance_key(service, id_).decode("utf-8", "replace")
                self._skips.skip(f"{self._name} {place}", error, version=version)
                return None

        def apart() -> float:
            return self._ttl * _APART * self._random()

        return InstancesWatcher(
            self._line, service, decode, longest=self._ttl, apart=apart, clock=self._clock
        )

    async def aclose(self) -> None:
        """Close the client if the registry was made by ``from_url``; idempotent."""
        await self._connection.aclose()


if TYPE_CHECKING:
    _registry: type[Registry] = RedisRegistry
