"""Who a gateway is to its control service."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Final

from kratos.address import split_host_port
from kratos.registry.endpoint import advertised_address

__all__ = ["advertised"]

_SIOCGIFADDR: Final = 0x8915


def advertised(environ: Mapping[str, str], *, of_device: Callable[[str], str] | None = None) -> str:
    """Return the address of this machine that a control service is told.

    It is ``ADVERTISE_ADDR``, else the first IPv4 address of ``ADVERTISE_DEVICE``, by default
    ``eth0``, as in Go; else that under which Kratos publishes servers.

    Args:
        environ: Variables.
        of_device: Finds the address of a device, empty if it has none; ``None`` to ask the system.
    """
    given = environ.get("ADVERTISE_ADDR", "")
    if given:
        return given
    found = (of_device or _of_device)(environ.get("ADVERTISE_DEVICE") or "eth0")
    return found or split_host_port(advertised_address("", 0))[0]


def _of_device(name: str) -> str:
    if sys.platform != "linux":
        return ""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16s24x", name.encode()[:15])
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError:
            return ""  # there is no such device, or it has no address
    return socket.inet_ntoa(answer[20:24])
