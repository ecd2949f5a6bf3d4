"""Addresses of clients, also of those behind proxies."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from kratos.errors import ConfigError
from kratos_gateway.exchange import Request

__all__ = ["Address", "Clients", "Networks", "network_of"]

Address: TypeAlias = "IPv4Address | IPv6Address"

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_HOST_BITS: Final = 64  # of an address of IPv6, which whoever has the network chooses
_NOWHERE: Final = IPv6Address(0)
_LONGEST: Final = 64  # characters of an address, with the zone that IPv6 may have


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return a network of addresses that IPv6 has for those of IPv4 as what clients come from."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        start = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((start, network.prefixlen - _MAPPED.prefixlen))
    return network


class Networks:
    """Some networks.

    Args:
        name: Of the option, for errors.
        given: Addresses and networks, such as ``10.0.0.0/8``.

    Raises:
        ConfigError: One of them is none.
    """

    def __init__(self, name: str, given: Iterable[str]) -> None:
        try:
            networks = [_unmapped(ip_network(text.strip(), strict=False)) for text in given]
        except ValueError as error:
            raise ConfigError(
                f"{name}: {error}; write an address or a network such as 10.0.0.0/8"
            ) from None
        self._four: Final = [each for each in networks if not isinstance(each, IPv6Network)]
        self._six: Final = [each for each in networks if isinstance(each, IPv6Network)]

    def __bool__(self) -> bool:
        return bool(self._four or self._six)

    def __contains__(self, address: Address) -> bool:
        if isinstance(address, IPv4Address):
            return any(address in network for network in self._four)
        return any(address in network for network in self._six)


class Clients:
    """Finds the address of a client.

    That is the other end of the connection. Where that is a proxy which is trusted, it is whom
    the proxy names in ``X-Forwarded-For``, the last one that is no trusted proxy itself: what
    stands before it, anybody may have written.

    Args:
        trusted: Proxies.
    """

    def __init__(self, trusted: Networks) -> None:
        self._trusted: Final = trusted

    def address(self, request: Request, /) -> Address:
        """Return the address; ``::`` for a peer without one, as on a Unix socket."""
        found = _parsed(_host(request.peer)) or _NOWHERE
        if found not in self._trusted:
            return found
        named = [
            part.strip()
            for name, value in request.headers
            if name == b"x-forwarded-for"
            for part in value.decode("latin-1").split(",")
        ]
        while named and found in self._trusted:
            before = _parsed(_host(named.pop()))
            if before is None:
                break  # whoever wrote that, the one who is known is the proxy
            found = before
        return found


def network_of(address: Address, /) -> str:
    """Return what a client may have all addresses of: that of IPv4, or 64 bits of one of IPv6."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS))


def _parsed(text: str) -> Address | None:
    return _read(text) if len(text) <= _LONGEST else None  # clients write what is remembered


@lru_cache(maxsize=4096)
def _read(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped


def _host(text: str) -> str:
    """Return the host of ``host:port``, ``[host]:port`` or a host alone."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, port = text.rpartition(":")
    return host if colon and port.isdecimal() and ":" not in host else text
