"""The other end of a connection, by name."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, cast

from kratos.address import join_host_port
from kratos.tls import PeerCertificate

__all__ = ["peer_certificate", "peer_name"]


def peer_name(transport: asyncio.BaseTransport) -> str:
    """Return the address of the other end as text."""
    name: Any = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "unix:"
    host, port, *_ = cast("tuple[str, int]", name)
    return join_host_port(host.removeprefix("::ffff:"), port)


def peer_certificate(transport: asyncio.BaseTransport) -> PeerCertificate | None:
    """Return who the other end proved to be; ``None`` where it was not asked."""
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    found: dict[str, Any] | None = None if secured is None else secured.getpeercert()
    if secured is None or not found:
        return None
    return PeerCertificate.of(found, secured.getpeercert(binary_form=True) or b"")
