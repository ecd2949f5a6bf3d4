"""Configuration from the nodes of ZooKeeper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.config import KeyValue, Source, format_of
from kratos.tls import ClientTls
from kratos.url import Url
from kratos.watch import Watcher
from kratos_zookeeper import layout
from kratos_zookeeper.connection import SESSION_TIMEOUT, TIMEOUT, Connection, Hosts, given_by
from kratos_zookeeper.folder import Folder

__all__ = ["ZooKeeperSource"]


class ZooKeeperSource:
    """The document that a node holds, and under it those of its children in the order of names.

    The ending of a node's name is the format of its document: json, yaml, toml and so on. A node
    whose name has no ending is one value, under its name. Nodes without data are left out, and so
    is what is further below. The node need not exist yet.

    Each watcher has a session of its own, which ends with it, unless a client is given.

    Args:
        hosts: Where servers are, as ``host:port`` (the port is 2181 if it is left out), all of
            one ensemble; or a client of kazoo, which stays the caller's.
        path: The node.
        user: Who to be, of the scheme ``digest``.
        password: The password.
        tls: What makes connections TLS.
        session_timeout: Seconds without a sign of life after which ZooKeeper ends a session.
        timeout: Seconds for one operation, connecting included.
        clock: Time for ``timeout``.

    Raises:
        ConfigError: An option is out of range, or does not fit another one.
    """

    def __init__(
        self,
        hosts: Hosts,
        path: str,
        *,
        user: str | None = None,
        password: str | None = None,
        tls: ClientTls | None = None,
        session_timeout: float = SESSION_TIMEOUT,
        timeout: float = TIMEOUT,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._path = layout.absolute(path)
        self._connect: Callable[[], Connection] = lambda: Connection(
            hosts,
            path=self._path,
            user=user,
            password=password,
            tls=tls,
            session_timeout=session_timeout,
            timeout=timeout,
            clock=clock,
            error=ConnectionError,
        )
        self._name = str(self._connect())  # and says what is wrong; nothing is connected yet

    @classmethod
    def from_url(cls, url: str | Url) -> Self:
        """Return a source: ``zookeeper://[user:password@]host[:port][,host[:port]...]/path``.

        With the scheme ``zookeepers`` it uses TLS. Options are ``session_timeout``, ``timeout``,
        and for TLS the PEM files ``ca``, ``certificate`` and ``key``. Nothing is connected yet.

        Raises:
            ConfigError: The URL is malformed, or an option unknown or wrong.
        """
        path, given = given_by(url, path="")
        return cls(path=path, **given)

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"ZooKeeperSource({self._name!r})"

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Open a watcher; see ``kratos.config.Source``."""
        return Folder(self._connect(), self._path, _document, own=True, owned=True)


def _document(name: str, data: bytes, _version: object) -> KeyValue | None:
    if not data:
        return None
    return KeyValue(key=name, value=data, format=format_of(name))


if TYPE_CHECKING:
    _source: type[Source] = ZooKeeperSource
