"""An address that is held until gRPC listens on it.

gRPC listens as soon as it binds, and would let connections wait for a server that does not
serve yet. So a plain socket holds the address until then.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from kratos.address import Address
from kratos.errors import StartupError
from kratos.transport import listening
from kratos.transport.listening import SocketFile

__all__ = ["PathReservation", "Reservation", "reserve"]

_LONGEST: Final = 107 - len("/.abcdefgh/s")  # bytes; what systems take, less the folder of ours


class Reservation:
    """An address that is ours and refuses connections still.

    Attributes:
        address: As it is to be listened on: host as a number, no port 0.
    """

    __slots__ = ("_holder", "address")

    def __init__(self, address: Address, holder: socket.socket | None) -> None:
        self.address = address
        self._holder = holder

    def yield_to_listener(self) -> str:
        """Let a second socket of this process bind, and listen, while this one is held.

        Returns:
            Where, as gRPC writes it.
        """
        if self._holder is not None:
            if sys.platform == "linux":
                self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                self._release()  # elsewhere the option does not let two sockets share a port
        return str(self.address) if self.address.host else f"[::]:{self.address.port}"

    def settle(self) -> None:
        """Leave the address to the socket that listens now."""
        self._release()

    def close(self) -> None:
        """Release the address, which nobody listens on any more. Idempotent."""
        self._release()

    def _release(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None


class PathReservation(Reservation):
    """The path of a Unix socket.

    gRPC takes away what is in the place where it listens, gives no permissions, and removes what
    is there when it ends, be it its successor's. So it listens in a folder that nobody else may
    enter, and the socket is moved from there to its place.
    """

    __slots__ = ("_file", "_nest")

    def __init__(self, address: Address, holder: socket.socket) -> None:
        super().__init__(address, holder)
        self._file = SocketFile(address.path)
        self._nest: Path | None = None

    def yield_to_listener(self) -> str:
        """Make the folder; see ``Reservation``.

        Raises:
            StartupError: It cannot be made.
        """
        folder = Path(self.address.path).parent
        try:
            self._nest = Path(tempfile.mkdtemp(prefix=".", dir=folder))
        except OSError as error:
            raise StartupError(
                f"cannot listen on {self.address}: no folder can be made in {folder}: {error}"
            ) from error
        return f"unix:{self._nested}"

    def settle(self) -> None:
        """Move the socket to its place.

        Raises:
            StartupError: It cannot be moved there.
        """
        nested, mode = self._nested, self.address.mode
        try:
            if mode is not None:
                nested.chmod(mode)
            nested.replace(self.address.path)
        except OSError as error:
            raise StartupError(f"cannot listen on {self.address}: {error}") from error
        self._file = SocketFile(self.address.path)
        self._leave_nest()
        self._release()

    def close(self) -> None:
        """Remove the file, unless it is another's now. Idempotent."""
        self._leave_nest()
        self._file.remove()
        self._release()

    @property
    def _nested(self) -> Path:
        assert self._nest is not None, "made before"
        return self._nest / "s"

    def _leave_nest(self) -> None:
        if self._nest is not None:
            self._nested.unlink(missing_ok=True)
            with suppress(OSError):
                self._nest.rmdir()
            self._nest = None


async def reserve(address: Address, *, shared: bool = False) -> Reservation:
    """Reserve an address.

    Args:
        address: What was asked for.
        shared: Whether other processes that say the same may have the port, too.

    Raises:
        StartupError: It is in use, does not exist here, or may not be used; names it.
    """
    folder = os.path.dirname(address.path)  # noqa: PTH120  bytes are what counts
    if len(os.fsencode(folder)) > _LONGEST:
        raise StartupError(
            f"cannot listen on {address}: the path is too long; its folder may have at most "
            f"{_LONGEST} bytes"
        )
    holder = await listening.reserve(address, shared=shared)
    if address.path:
        return PathReservation(address, holder)
    host, port, *_ = holder.getsockname()
    return Reservation(Address(host=host if address.host else "", port=port), holder)
