"""The other end of a connection, by name."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from kratos.address import join_host_port

__all__ = ["peer_name"]


def peer_name(transport: asyncio.BaseTransport) -> str:
    """Return the address of the other end as text."""
    name: Any = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "unix:"
    host, port, *_ = cast("tuple[str, int]", name)
    return join_host_port(host.removeprefix("::ffff:"), port)
