"""Clients of the URLs of Redis: of one server, of the primary that sentinels name, of a cluster.

What fails is not tried again here, but once, as a connection that was idle may be dead: whoever
asks has a limit of time, and loops are the core's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from kratos.errors import ConfigError
from kratos.tls import ClientTls, Rotation, client_context, client_tls_of
from kratos.url import Options, Url

__all__ = ["Connected", "connected"]

_SCHEMES: Final = ("redis", "rediss", "redis+cluster", "redis+sentinel")
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379


class Connected:
    """A client of ``redis.asyncio``, and what of it is to be closed.

    Args:
        client: The client.
        owned: Clients to close, in this order.
    """

    __slots__ = ("_owned", "client")

    def __init__(self, client: Any, *, owned: Sequence[Any] = ()) -> None:
        self.client = client
        self._owned = owned

    async def aclose(self) -> None:
        """Close the connections that are owned; idempotent."""
        for client in self._owned:
            await client.aclose()


def connected(url: Url, options: Options) -> Connected:
    """Return the client that a URL describes; nothing is connected before its first use.

    ``redis://[user:password@]host[:port][/database]``, ``rediss://`` for TLS with the options
    ``ca``, ``certificate`` and ``key``, which name PEM files; ``redis+cluster://host,host``;
    ``redis+sentinel://sentinel,sentinel/primary[/database]`` with the option
    ``sentinel_password``.

    Raises:
        ConfigError: The URL cannot be used, or a file of certificates.
    """
    if url.scheme not in _SCHEMES:  # whoever finds this by the scheme has asked for one of them
        known = " or ".join(f"{each}://" for each in _SCHEMES)
        raise ConfigError(f"{url}: this is no URL of Redis: write {known}")
    tls = client_tls_of(url, options, scheme="rediss")
    if not url.hosts:
        raise ConfigError(f"{url}: write {url.scheme}://host:port")
    settings: dict[str, Any] = {
        "username": url.username or None,
        "password": url.password,
        "protocol": 2,  # Redis 5 knows no other
        "socket_timeout": None,  # each wait has a limit of its own
        "socket_connect_timeout": None,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 1),
    }
    if url.scheme == "redis+cluster":
        return _cluster(url, settings)
    if url.scheme == "redis+sentinel":
        password = options.text("sentinel_password", default="") or None
        return _by_sentinels(url, settings, password)
    return _alone(url, settings, tls)


def _alone(url: Url, settings: dict[str, Any], tls: ClientTls | None) -> Connected:
    from redis.asyncio import ConnectionPool, Redis

    if len(url.hosts) != 1:
        raise ConfigError(
            f"{url}: this is for one host; write redis+cluster:// or redis+sentinel:// for more"
        )
    (host,) = url.hosts
    make: Any = Redis  # its own types are not complete
    make_pool: Any = ConnectionPool
    pool = make_pool(
        connection_class=_connection(tls),
        host=host.name,
        port=host.port or _PORT,
        db=_database(url, url.path.strip("/")),
        **settings,
    )
    client = make.from_pool(pool)
    return Connected(client, owned=[client])


def _by_sentinels(url: Url, settings: dict[str, Any], password: str | None) -> Connected:
    from redis.asyncio.sentinel import Sentinel

    primary, _, database = url.path.strip("/").partition("/")
    if not primary:
        raise ConfigError(f"{url}: the path names the primary, as in /mymaster or /mymaster/0")
    make: Any = Sentinel
    sentinels = make(
        [(host.name, host.port or _SENTINEL_PORT) for host in url.hosts],
        sentinel_kwargs={**settings, "username": None, "password": password},
    )
    client = sentinels.master_for(primary, db=_database(url, database), **settings)
    return Connected(client, owned=[client, *sentinels.sentinels])


def _cluster(url: Url, settings: dict[str, Any]) -> Connected:
    from redis.asyncio.cluster import ClusterNode, RedisCluster

    if url.path.strip("/"):
        raise ConfigError(f"{url}: a cluster has no path, as it has but one database")
    make: Any = RedisCluster
    make_node: Any = ClusterNode
    nodes = [make_node(host.name, host.port or _PORT) for host in url.hosts]
    client = make(startup_nodes=nodes, **settings)
    return Connected(client, owned=[client])


def _database(url: Url, text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{url}: the path is the number of a database, such as /0")
    return int(text or 0)


def _connection(tls: ClientTls | None) -> type[Any]:
    """Return the class of connections; those with TLS take up files that have changed."""
    from redis.asyncio import Connection

    if tls is None:
        return Connection
    rotation = Rotation(tls, client_context)
    base: Any = Connection

    class TlsConnection(base):  # type: ignore[misc]  # its own types are not complete
        def _connection_arguments(self) -> dict[str, Any]:
            # Of asyncio.open_connection. What redis-py does by itself keeps its first context.
            return {"host": self.host, "port": self.port, "ssl": rotation.refresh()}

    return TlsConnection
