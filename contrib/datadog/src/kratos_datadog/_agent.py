"""Where the agent of Datadog listens, and datagrams to it; used by one thread at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kratos.errors import ConfigError
from kratos.url import Host, mask, parse_url

__all__ = ["Agent", "Socket", "agent_of", "tags_of"]

_PORT: Final = 8125
_UDP: Final = 1432  # bytes that pass every usual network in one piece
_UNIX: Final = 8192  # what an agent reads at once
_TAGS: Final = {
    "DD_ENTITY_ID": "dd.internal.entity_id",
    "DD_ENV": "env",
    "DD_SERVICE": "service",
    "DD_VERSION": "version",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Where to send to.

    Attributes:
        address: As it was given, for people.
        host: Name or address; empty for a Unix socket.
        port: Its port.
        path: Of a Unix socket.
    """

    address: str
    host: str
    port: int
    path: str

    @property
    def longest(self) -> int:
        """Bytes that fit into a packet."""
        return _UNIX if self.path else _UDP


def agent_of(address: str | None, environ: Mapping[str, str] = os.environ) -> Agent:
    """Return what an address names, or else the environment as Datadog's own clients read it.

    Raises:
        ConfigError: It names nothing.
    """
    where = "address"
    if address is None:
        address = environ.get("DD_DOGSTATSD_URL", "")
        where = "DD_DOGSTATSD_URL"
    if not address:
        host, port = environ.get("DD_AGENT_HOST", ""), environ.get("DD_DOGSTATSD_PORT", "")
        where = "DD_AGENT_HOST and DD_DOGSTATSD_PORT"
        if not host and environ.get("DD_DOGSTATSD_SOCKET"):
            address = f"unix://{environ['DD_DOGSTATSD_SOCKET']}"
        else:
            shown = f"[{host}]" if ":" in host else host or "127.0.0.1"
            address = f"udp://{shown}:{port or _PORT}"
    try:
        url = parse_url(address)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    is_path = url.scheme in ("unix", "unixgram")
    if not is_path and url.scheme != "udp":
        raise ConfigError(
            f"{where}: {mask(address)}: write udp://host:port or unix:///path, not {url.scheme}"
        )
    odd = url.username is not None or url.query or len(url.hosts) > 1
    if odd or is_path is bool(url.hosts) or is_path is not (len(url.path) > 1):
        raise ConfigError(f"{where}: {mask(address)}: give one host, or the path of a Unix socket")
    one = url.hosts[0] if url.hosts else Host(name="")
    port_of = _PORT if one.port is None else one.port
    return Agent(address=str(url), host=one.name, port=port_of, path=url.path)


def tags_of(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the tags that the environment has for everything."""
    named = (f"{name}:{environ[key]}" for key, name in _TAGS.items() if environ.get(key))
    return (*environ.get("DD_TAGS", "").replace(",", " ").split(), *named)


class Socket:
    """Sends datagrams, and connects when it has to.

    Args:
        agent: Where to.
        timeout: Seconds for which a Unix socket that is full may hold up the thread.
    """

    def __init__(self, agent: Agent, timeout: float) -> None:
        self._agent: Final = agent
        self._timeout: Final = timeout
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        """Connect, unless it is connected.

        Raises:
            OSError: There is no such host, or no such socket.
        """
        if self._socket is not None:
            return
        agent = self._agent
        if agent.path:
            self._socket = self._made(socket.AF_UNIX, agent.path)
            return
        found = socket.getaddrinfo(agent.host, agent.port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        self._socket = self._made(family, address)

    def send(self, packet: bytes) -> None:
        """Send one packet.

        Raises:
            OSError: It cannot be sent.
        """
        self.connect()
        assert self._socket is not None, "connected"
        try:
            self._socket.send(packet)
        except OSError:
            self.close()  # a restarted agent has another socket, or another address
            raise

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _made(self, family: int, address: object) -> socket.socket:
        made = socket.socket(family, socket.SOCK_DGRAM)
        try:
            made.settimeout(self._timeout)
            made.connect(address)  # type: ignore[arg-type]  # of the family
        except BaseException:
            made.close()
            raise
        return made
