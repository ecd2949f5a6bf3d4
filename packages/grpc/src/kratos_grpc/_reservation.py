"""An address that is held until gRPC listens on it.

gRPC listens as soon as it binds, and would let connections wait for a server that does not
serve yet. So a plain socket holds the address until then.
"""

from __future__ import annotations

import socket
import sys

from kratos.address import Address
from kratos.transport import listening

__all__ = ["Reservation", "reserve"]


class Reservation:
    """An address that is ours and refuses connections still.

    Attributes:
        address: As it is to be listened on: host as a number, no port 0.
    """

    __slots__ = ("_holder", "address")

    def __init__(self, address: Address, holder: socket.socket | None) -> None:
        self.address = address
        self._holder = holder

    def yield_to_listener(self) -> None:
        """Let a second socket of this process bind, and listen, while this one is held."""
        if self._holder is None:
            return
        if sys.platform == "linux":
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            self.close()  # elsewhere the option does not let two sockets share a port

    def close(self) -> None:
        """Release the address. Idempotent."""
        if self._holder is not None:
            self._holder.close()
            self._holder = None


async def reserve(address: Address, *, shared: bool = False) -> Reservation:
    """Reserve an address.

    Args:
        address: What was asked for.
        shared: Whether other processes that say the same may have the port, too.

    Raises:
        StartupError: It is in use, does not exist here, or may not be used; names it.
    """
    if address.path:
        listening.require_free_path(address)  # gRPC would take it away from its owner
        return Reservation(address, None)
    holder = await listening.reserve(address, shared=shared)
    host, port, *_ = holder.getsockname()
    return Reservation(Address(host=host if address.host else "", port=port), holder)
