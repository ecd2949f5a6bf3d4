"""Where redirects of nodes may lead besides other nodes."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from kratos.address import DEFAULT_PORTS, join_host_port, split_host_port
from kratos.errors import ConfigError

__all__ = ["Redirects"]


class Redirects:
    """Which redirects are followed, besides those to nodes of the same endpoint.

    Args:
        hosts: Each ``host``, at the usual port of its scheme, or ``host:port``; ``None`` for all,
            as in Go: then a node that can be made to answer with a redirect opens all that the
            gateway can reach.

    Raises:
        ConfigError: One is no host; names it.
    """

    def __init__(self, hosts: Collection[str] | None = ()) -> None:
        self._hosts = None if hosts is None else frozenset(_host(each) for each in hosts)

    def allow(self, host: str, port: int, *, secure: bool) -> bool:
        """Tell whether a host that is no node may be asked."""
        if self._hosts is None:
            return True
        usual = port == DEFAULT_PORTS["https" if secure else "http"]
        return join_host_port(host, port) in self._hosts or (usual and host in self._hosts)


def _host(text: str) -> str:
    """Return a host that is named in the configuration as it is compared."""
    found = text.strip().lower()
    try:
        url = urlsplit(f"//{found}")
        host, port = url.hostname, url.port
    except ValueError as error:
        raise ConfigError(f"{text!r} is no host: {error}; write host or host:port") from None
    if not host or url.netloc != found or url.username is not None:
        raise ConfigError(f"{text!r} is no host: write host or host:port")
    return host if port is None else join_host_port(*split_host_port(found))
