"""What a back end is told of the client: who it is, and by which name and scheme it asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, TypeAlias

from kratos.errors import ConfigError
from kratos.transport.http import Head
from kratos_gateway.headers import HOP, without_hop

__all__ = ["Forwarding"]

_Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


def _spellings(name: bytes) -> list[bytes]:
    """Return a name with an underscore in place of each hyphen, or not."""
    first, *parts = name.split(b"-")
    found = [first]
    for part in parts:
        found = [begin + sign + part for begin in found for sign in (b"-", b"_")]
    return found


_FOR: Final = b"x-forwarded-for"
_HOST: Final = b"x-forwarded-host"
_PROTO: Final = b"x-forwarded-proto"
_TOLD: Final = frozenset((_FOR, _HOST, _PROTO))
# What services take for the word of a proxy: who asks, and what was asked for before it was
# rewritten. Beside these it is all that begins with ``x-forwarded``, as prefixes and users do.
_FORGEABLE: Final = _TOLD | {
    *(b"forwarded", b"x-forwarded-port", b"x-real-ip", b"true-client-ip", b"x-client-ip"),
    *(b"x-cluster-client-ip", b"x-original-host", b"x-original-uri", b"x-original-url"),
    b"x-rewrite-url",
}
_BEGINS: Final = (b"x-forwarded", b"x_forwarded")
# What comes with underscores is the same to CGI, WSGI and PHP, and nobody means it; and ``proxy``
# becomes the variable that tells programs which proxy to use.
_NEVER: Final = frozenset(
    spelling
    for name in (*_FORGEABLE, b"content-length", b"transfer-encoding")
    for spelling in _spellings(name)
    if b"_" in spelling
) | {b"proxy"}
_LOOKED_AT: Final = HOP | _FORGEABLE | _NEVER | {b"host"}
_MOST_KEPT: Final = 4096


class Forwarding:
    """Makes the headers of requests to back ends.

    The client's address is added to ``X-Forwarded-For``, all values of which become one, as in Go.
    ``X-Forwarded-Host`` and ``X-Forwarded-Proto`` are set unless a proxy that is trusted has set
    them.

    Args:
        trusted: Networks of proxies in front of the gateway, such as ``10.0.0.0/8``: what others
            say about whom they speak for is dropped. ``None`` trusts all, as Go's gateway does:
            then whoever asks may say that it is anybody.

    Raises:
        ConfigError: One is no network; names it.
    """

    def __init__(self, trusted: Sequence[str] | None = ()) -> None:
        self._trusted: list[_Network] | None = None
        if trusted is not None:
            self._trusted = [_network(each) for each in trusted]
        self._known: dict[str, bool] = {}

    def headers(self, head: Head, host: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers of a request as they go on, without ``host``.

        Args:
            head: The request.
            host: Its ``Host``.
        """
        address = _address(head.peer)
        kept = [
            pair
            for pair in head.headers
            if pair[0] not in _LOOKED_AT and not pair[0].startswith(_BEGINS)
        ]
        if host and len(kept) == len(head.headers) - 1:  # all but the host: the usual request
            if address:
                kept.append((_FOR, address.encode()))
            kept += ((_HOST, host), (_PROTO, head.scheme.encode()))
            return kept
        return self._looked_through(head, host, address)

    def scheme(self, head: Head) -> str:
        """Return by which scheme the client came, as far as whoever tells it is trusted."""
        told = head.header(_PROTO)
        if told and (self._trusted is None or self._trusts(_address(head.peer))):
            return told.decode("latin-1").lower()
        return head.scheme

    def _looked_through(self, head: Head, host: bytes, address: str) -> list[tuple[bytes, bytes]]:
        heard = self._trusted is None or self._trusts(address)
        kept: list[tuple[bytes, bytes]] = []
        chain: list[bytes] = []
        named = schemed = False
        for pair in without_hop(head.headers):
            name = pair[0]
            if name == b"host" or name in _NEVER or name.startswith(_BEGINS[1]):
                continue
            if not heard and (name in _FORGEABLE or name.startswith(_BEGINS[0])):
                continue
            if name == _FOR:
                chain.append(pair[1])
                continue
            named = named or name == _HOST
            schemed = schemed or name == _PROTO
            kept.append(pair)
        if address:
            chain.append(address.encode())
        if chain:
            kept.append((_FOR, b", ".join(chain)))
        if not named and host:
            kept.append((_HOST, host))
        if not schemed:
            kept.append((_PROTO, head.scheme.encode()))
        return kept

    def _trusts(self, address: str) -> bool:
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            found = self._known[address] = self._is_trusted(address)
        return found

    def _is_trusted(self, address: str) -> bool:
        if not address:
            return True  # a Unix socket, whose file says who may connect
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted or ())


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(f"trusted {text!r} is no network: {error}; write 10.0.0.0/8") from None


def _address(peer: str) -> str:
    """Return the address of a peer without its port; empty for one of a Unix socket."""
    if peer.startswith("unix:"):
        return ""
    host, colon, _ = peer.rpartition(":")
    return host.strip("[]") if colon else peer
