"""Listening addresses: reserved when an application binds, listened on when it starts.

gRPC listens as soon as it binds, and would let connections wait for a server that does not
serve yet. So a plain socket holds the address until then.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kratos.errors import StartupError, TargetError

__all__ = ["Address", "Reservation", "reserve"]

_UNIX: Final = "unix:"
_MOST_PORTS: Final = 65535
_EXAMPLES: Final = "write :9000, 127.0.0.1:9000, [::1]:9000 or unix:/path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens.

    Attributes:
        host: Name or number; empty for every address of the machine.
        port: 0 lets the system choose.
        path: Of a Unix socket, in place of the other two.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``:port``, ``host:port``, ``[ipv6]:port`` or ``unix:/path``.

        Raises:
            TargetError: It is none of these.
        """
        if text.startswith(_UNIX):
            path = text.removeprefix(_UNIX)
            path = path[2:] if path.startswith("///") else path
            if not path or "\0" in path:
                raise TargetError(f"address {text!r} names no file; {_EXAMPLES}")
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        digits = port.isascii() and port.isdigit() and len(port) <= len(str(_MOST_PORTS))
        if not colon or not digits or int(port) > _MOST_PORTS:
            raise TargetError(f"address {text!r} ends in no port number; {_EXAMPLES}")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        if (":" in host) is not bracketed or "/" in host or host.split() not in ([], [host]):
            raise TargetError(f"address {text!r} has no host before its port; {_EXAMPLES}")
        return cls(host=host, port=int(port))

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


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
            self._holder.close()  # elsewhere the option does not let two sockets share a port

    def close(self) -> None:
        """Release the address. Idempotent."""
        if self._holder is not None:
            self._holder.close()


async def reserve(address: Address, *, shared: bool = False) -> Reservation:
    """Reserve an address.

    Args:
        address: What was asked for.
        shared: Whether other processes that say the same may have the port, too.

    Raises:
        StartupError: It is in use, does not exist here, or may not be used; names it.
    """
    try:
        if address.path:
            _require_free_path(address)
            return Reservation(address, None)
        if not address.host:
            holder = _hold_every(address.port, shared=shared)
            return Reservation(Address(port=_port(holder)), holder)
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        holder = _hold(family, where, shared=shared)
        return Reservation(Address(host=str(where[0]), port=_port(holder)), holder)
    except OSError as error:
        raise _refused(address, error) from error


def _refused(address: Address, error: OSError) -> StartupError:
    if error.errno == errno.EADDRINUSE:
        return StartupError(
            f"cannot listen on {address}: the address is in use; "
            "stop the process that has it, or choose another port (0 lets the system choose)"
        )
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return StartupError(f"cannot listen on {address}: {reason}")


def _hold_every(port: int, *, shared: bool) -> socket.socket:
    """Bind to IPv6 and IPv4 at once where the machine has both."""
    if socket.has_dualstack_ipv6():
        try:
            return _hold(socket.AF_INET6, ("::", port), shared=shared)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return _hold(socket.AF_INET, ("0.0.0.0", port), shared=shared)  # noqa: S104  as asked for


def _hold(family: int, where: Any, *, shared: bool) -> socket.socket:
    """Bind, first without SO_REUSEADDR: that alone keeps everybody else away.

    With it where connections of an earlier life still time out.
    """
    try:
        return _bind(family, where, shared=shared, reuse=False)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    return _bind(family, where, shared=shared, reuse=True)


def _bind(family: int, where: Any, *, shared: bool, reuse: bool) -> socket.socket:
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        if reuse:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(where)
    except BaseException:
        holder.close()
        raise
    return holder


def _port(holder: socket.socket) -> int:
    port: int = holder.getsockname()[1]
    return port


def _require_free_path(address: Address) -> None:
    """Refuse a path that gRPC would take away from its owner, or could not use."""
    path = Path(address.path)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode) or _answers(address.path):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False  # left behind by a process that was killed
        except BlockingIOError:
            return True  # alive, and busy
        return True
