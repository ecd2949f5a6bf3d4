"""Network interfaces of this machine, by the standard library alone."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ADDRESS",
    "ATTRIBUTE",
    "LINK",
    "Interface",
    "local_interfaces",
    "parse_addresses",
    "parse_links",
]

# rtnetlink(7)
_GET_LINK: Final = 18
_NEW_LINK: Final = 16
_GET_ADDRESS: Final = 22
_NEW_ADDRESS: Final = 20
_DUMP: Final = 0x301  # request | root | match
_DONE: Final = 3
_ERROR: Final = 2
_UP: Final = 1
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2

_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
LINK: Final = struct.Struct("=BxHiII")  # family, type, index, flags, change mask
ADDRESS: Final = struct.Struct("=BBBBI")  # family, prefix, flags, scope, index
ATTRIBUTE: Final = struct.Struct("=HH")  # length, type

_TIME_LIMIT: Final = 1.0  # seconds; the kernel answers at once or never
_ELSEWHERE: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A network interface.

    Attributes:
        index: The system's number; the first interface has the lowest.
        up: Whether it is switched on.
        addresses: Its addresses as text, in the system's order.
    """

    index: int
    up: bool
    addresses: tuple[str, ...]


def local_interfaces() -> tuple[Interface, ...]:
    """Return the network interfaces of this machine.

    On Linux all of them, from the kernel. Elsewhere, and where a sandbox forbids to ask, one
    that holds the addresses from which the rest of the world would be reached.
    """
    family: int | None = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return _guess()
    try:
        return _ask_kernel(family)
    except OSError:
        return _guess()


def parse_links(messages: Iterator[bytes]) -> dict[int, bool]:
    """Return which interfaces are up, from link messages."""
    links: dict[int, bool] = {}
    for body in messages:
        _, _, index, flags, _ = LINK.unpack_from(body)
        links[index] = bool(flags & _UP)
    return links


def parse_addresses(messages: Iterator[bytes]) -> dict[int, list[str]]:
    """Return the addresses of each interface, from address messages."""
    addresses: dict[int, list[str]] = {}
    for body in messages:
        _, _, _, _, index = ADDRESS.unpack_from(body)
        found = dict(_attributes(body[ADDRESS.size :]))
        # On a point-to-point link the plain address is the peer's, and "local" is ours.
        raw = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
        if raw is not None and len(raw) in (4, 16):
            addresses.setdefault(index, []).append(str(ipaddress.ip_address(raw)))
    return addresses


def _ask_kernel(family: int) -> tuple[Interface, ...]:
    with socket.socket(family, socket.SOCK_RAW, 0) as kernel:
        kernel.settimeout(_TIME_LIMIT)
        kernel.bind((0, 0))
        links = parse_links(_dump(kernel, _GET_LINK, _NEW_LINK))
        addresses = parse_addresses(_dump(kernel, _GET_ADDRESS, _NEW_ADDRESS))
    return tuple(
        Interface(index=index, up=up, addresses=tuple(addresses.get(index, ())))
        for index, up in sorted(links.items())
    )


def _dump(kernel: socket.socket, request: int, answer: int) -> Iterator[bytes]:
    body = LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    kernel.send(_HEADER.pack(_HEADER.size + len(body), request, _DUMP, 1, 0) + body)
    while True:
        data = kernel.recv(1 << 16)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _DONE:
                return
            if kind == _ERROR or length < _HEADER.size:
                raise OSError(f"the kernel did not list its interfaces (message {kind})")
            if kind == answer:
                yield data[at + _HEADER.size : at + length]
            at += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < ATTRIBUTE.size:
            return
        yield kind, data[at + ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3


def _guess() -> tuple[Interface, ...]:
    addresses: list[str] = []
    for family, anywhere in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                # Nothing is sent: this only asks the routing table.
                probe.connect((anywhere, 9))
                addresses.append(str(probe.getsockname()[0]))
        except OSError:
            continue  # no route for this family
    return (Interface(index=1, up=True, addresses=tuple(addresses)),)
