"""Endpoints of instances: how they are written, and which host to put in.

Go: internal/endpoint, internal/host.

``scheme://host:port``. TLS shows in the scheme alone: ``https`` and ``grpcs`` are ``http`` and
``grpc`` with it. Old writers add ``?isSecure=true|false``, which means nothing.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Sequence
from typing import Final

from kratos.address import DEFAULT_PORTS, join_host_port
from kratos.registry._interfaces import Interface, local_interfaces

__all__ = [
    "Interface",
    "advertised_address",
    "endpoint_scheme",
    "find_endpoint",
    "is_reachable",
    "local_interfaces",
    "make_endpoint",
    "reachable_host",
]

_ENDPOINT: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/?#@]*@)?"
    r"(?P<host>\[[^\[\]/?#]+\]|[^:\[\]/?#\s]+)(?::(?P<port>[0-9]{1,5}))?(?:[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
_ANY_HOST: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  these are not bound here
_LOOPBACK: Final = "127.0.0.1"

_log = logging.getLogger("kratos.registry")


def endpoint_scheme(scheme: str, *, secure: bool) -> str:
    """Return the scheme of an endpoint: ``grpc`` and TLS make ``grpcs``."""
    return f"{scheme}s" if secure else scheme


def make_endpoint(scheme: str, address: str, *, secure: bool = False) -> str:
    """Return the endpoint of a server.

    Args:
        scheme: ``http`` or ``grpc``, without TLS.
        address: ``host:port`` as ``advertised_address`` gives it.
        secure: Whether it speaks TLS.
    """
    return f"{endpoint_scheme(scheme, secure=secure)}://{address}"


def find_endpoint(endpoints: Sequence[str], scheme: str, *, secure: bool = False) -> str | None:
    """Return ``host:port`` of the first endpoint of a scheme, ``None`` if there is none.

    Where HTTP gives no port, it is that of the scheme. What is no endpoint is passed over; Go
    gives the whole instance up for it.
    """
    wanted = endpoint_scheme(scheme, secure=secure)
    for endpoint in endpoints:
        match = _ENDPOINT.fullmatch(endpoint)
        if match is not None and match["scheme"].lower() == wanted:
            port = int(match["port"] or DEFAULT_PORTS.get(wanted, 0))
            if 0 < port <= 65535:
                return f"{match['host']}:{port}"
    return None


def is_reachable(host: str) -> bool:
    """Tell whether a text is a global unicast address, private ranges included.

    Others can reach it, unlike loopback, link-local, multicast and broadcast addresses.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
        or address == ipaddress.IPv4Address("255.255.255.255")
    )


def reachable_host(interfaces: Sequence[Interface]) -> str | None:
    """Choose the address under which others reach this machine.

    Of the interface that is up, has a reachable address and has the lowest index: its first
    IPv4 address, else its last IPv6 address.
    """
    for interface in sorted(interfaces, key=lambda one: one.index):
        found = [host for host in interface.addresses if interface.up and is_reachable(host)]
        if found:
            return next((host for host in found if ":" not in host), found[-1])
    return None


def advertised_address(
    host: str, port: int, *, interfaces: Sequence[Interface] | None = None
) -> str:
    """Return the ``host:port`` to publish for a server.

    A host that was given is published as it is. For one that listens everywhere, the address
    of this machine is; a machine without a network publishes its loopback address and says so.

    Args:
        host: Host that the server was told to listen on; empty for all.
        port: Port that it really listens on.
        interfaces: Network interfaces; default: those of this machine.
    """
    if host.strip("[]") not in _ANY_HOST:
        return join_host_port(host.strip("[]"), port)
    chosen = reachable_host(local_interfaces() if interfaces is None else interfaces)
    if chosen is None:
        _log.warning("no network interface can be reached: publishing %s", _LOOPBACK)
        chosen = _LOOPBACK
    return join_host_port(chosen, port)
