"""Listening addresses: what users write, and the sockets that they stand for."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from kratos.errors import StartupError, TargetError
from kratos.registry.endpoint import join_host_port, split_host_port

__all__ = ["Address", "bind", "listen", "peer_name"]

_UNIX: Final = "unix:"
_EXAMPLES: Final = "write :8000, 127.0.0.1:8000, [::1]:8000 or unix:/path"
BACKLOG: Final = 1024  # connections that may wait to be accepted


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

    @staticmethod
    def parse(text: str) -> Address:
        """Read ``:port``, ``host:port``, ``[ipv6]:port`` or ``unix:/path``.

        Raises:
            TargetError: It is none of these.
        """
        if text.startswith(_UNIX):
            path = text[len(_UNIX) :]
            path = path[2:] if path.startswith("///") else path
            if not path or "\0" in path:
                raise TargetError(f"address {text!r} names no file; {_EXAMPLES}")
            return Address(path=path)
        try:
            host, port = split_host_port(text)
        except ValueError as error:
            raise TargetError(f"{error}; {_EXAMPLES}") from None
        if any(char.isspace() for char in host):
            raise TargetError(f"address {text!r} has blanks in its host; {_EXAMPLES}")
        return Address(host=host, port=port)

    def __str__(self) -> str:
        if self.path:
            return f"{_UNIX}{self.path}"
        return join_host_port(self.host, self.port)


async def bind(address: Address) -> socket.socket:
    """Reserve an address: nobody else can have it, and connections are refused still.

    Raises:
        StartupError: It is in use, does not exist here, or may not be used.
    """
    try:
        if address.path:
            return _bind_unix(address)
        if not address.host:
            return _bind_every(address)
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        return _bind_inet(family, where)
    except OSError as error:
        raise _refused(address, error) from error


def listen(bound: socket.socket, address: Address) -> None:
    """Begin to take connections on a reserved address.

    Raises:
        StartupError: Somebody else listens there after all.
    """
    try:
        if bound.family != socket.AF_UNIX:
            # Only now: while it is set, a second socket could be bound beside this one. It is
            # for the next start, which would be refused while old connections time out.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.listen(BACKLOG)
    except OSError as error:
        raise _refused(address, error) from error


def peer_name(transport: asyncio.BaseTransport) -> str:
    """Return the address of the other end as text."""
    name: Any = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "unix:"
    host, port, *_ = cast("tuple[str, int]", name)
    return join_host_port(host.removeprefix("::ffff:"), port)


def _bind_every(address: Address) -> socket.socket:
    """Bind to IPv6 and IPv4 at once where the machine has both."""
    if socket.has_dualstack_ipv6():
        try:
            return _bind_inet(socket.AF_INET6, ("::", address.port))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return _bind_inet(socket.AF_INET, ("0.0.0.0", address.port))  # noqa: S104  as asked for


def _bind_inet(family: int, where: Any) -> socket.socket:
    # First without SO_REUSEADDR: that alone keeps everybody else away before we listen. With
    # it where connections of an earlier life still time out.
    for reuse in (False, True):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if family == socket.AF_INET6:
                only = where[0] != "::"
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            if reuse:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(where)
        except OSError as error:
            sock.close()
            if reuse or error.errno != errno.EADDRINUSE:
                raise
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise AssertionError("the second attempt returns or raises")


def _bind_unix(address: Address) -> socket.socket:
    path = Path(address.path)
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(address.path):
        path.unlink()  # left behind by a process that was killed
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(address.path)
    except BaseException:
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # alive, and busy
        return True


def _refused(address: Address, error: OSError) -> StartupError:
    if error.errno == errno.EADDRINUSE:
        return StartupError(
            f"cannot listen on {address}: the address is in use; "
            "stop the process that has it, or choose another port (0 lets the system choose)"
        )
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return StartupError(f"cannot listen on {address}: {reason}")
