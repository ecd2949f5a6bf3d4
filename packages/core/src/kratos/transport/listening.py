"""The sockets that listening addresses stand for: reserved at first, listened on later.

So an application knows that it can have all its ports, and tells nobody to come, before it has
started anything that would have to be stopped again.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from kratos.address import Address
from kratos.errors import ConfigError, StartupError

__all__ = [
    "BACKLOG",
    "SocketFile",
    "allow_sharing",
    "listen",
    "place_of",
    "require_free_path",
    "reserve",
]

BACKLOG: Final = 1024
"""How many connections may wait to be accepted."""

_ALL_PERMISSIONS: Final = 0o777


def place_of(address: str, *, socket_mode: int | None = None) -> Address:
    """Read the address of a server, and the permissions of its file if it has one.

    Args:
        address: As ``Address.parse`` takes it.
        socket_mode: Permissions of a Unix socket; ``None`` for what the process's umask leaves.

    Raises:
        TargetError: The address is none.
        ConfigError: There are permissions without a Unix socket, or they are none.
    """
    place = Address.parse(address)
    if socket_mode is not None and not (place.path and _is_mode(socket_mode)):
        raise ConfigError(
            f"socket_mode {socket_mode!r} is for addresses such as unix:/path, and a number up to "
            "0o777"
        )
    return replace(place, mode=socket_mode)


def _is_mode(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= _ALL_PERMISSIONS


async def reserve(address: Address, *, shared: bool = False) -> socket.socket:
    """Bind a socket that does not listen: the address is taken, and connections are refused.

    A Unix socket that nobody answers any more is replaced.

    Args:
        address: What was asked for.
        shared: Whether other processes that say the same may have the port, too; a Unix socket
            cannot be shared.

    Returns:
        The socket, which does not block; the caller closes it.

    Raises:
        StartupError: The address is in use, does not exist here, or may not be used; names it.
    """
    if address.path:
        return _reserve_path(address)
    try:
        if not address.host:
            return _bind_every(address.port, shared=shared)
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        return _bind_alone(family, where, shared=shared)
    except OSError as error:
        raise _refused(address, error) from error


def listen(reserved: socket.socket, address: Address, *, backlog: int = BACKLOG) -> None:
    """Begin to take connections on a reserved address.

    Raises:
        StartupError: Somebody else listens there after all.
    """
    try:
        if reserved.family != socket.AF_UNIX:
            # Only now: while it is set, a second socket could be bound beside this one. It is
            # for the next start, which would be refused while old connections time out.
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.listen(backlog)
    except OSError as error:
        raise _refused(address, error) from error


def allow_sharing(reserved: socket.socket) -> None:
    """Let further sockets of this user be bound beside a reserved one, with ``shared``.

    Because it was reserved alone, no stranger has the port; because it is shared from now on,
    none can get it who does not ask for sharing.
    """
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


class SocketFile:
    """The file of a Unix socket that is one's own from now on.

    Args:
        path: Where it is; empty for none.
    """

    __slots__ = ("_known", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._known = _identity(path)

    def remove(self) -> None:
        """Remove it, unless another has taken its place. Idempotent."""
        known, self._known = self._known, None
        if known is not None and _identity(self._path) == known:
            Path(self._path).unlink(missing_ok=True)


def require_free_path(address: Address) -> None:
    """Refuse the path of a Unix socket that is somebody's, or that could not be made.

    What a killed process left behind is free: nobody answers there.

    Raises:
        StartupError: It is in use, or has no folder; names it.
    """
    path = Path(address.path)
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if path.exists() and not _is_left_behind(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    except OSError as error:
        raise _refused(address, error) from error


def _refused(address: Address, error: OSError) -> StartupError:
    if error.errno == errno.EADDRINUSE:
        other = (
            "another path"
            if address.path
            else "another port (0 lets the system choose), or let workers of one application share "
            "it: run(build, workers=...)"
        )
        return StartupError(
            f"cannot listen on {address}: the address is in use; stop the process that has it, "
            f"or choose {other}"
        )
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return StartupError(f"cannot listen on {address}: {reason}")


def _bind_every(port: int, *, shared: bool) -> socket.socket:
    """Bind to IPv6 and IPv4 at once where the machine has both."""
    if socket.has_dualstack_ipv6():
        try:
            return _bind_alone(socket.AF_INET6, ("::", port), shared=shared)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return _bind_alone(socket.AF_INET, ("0.0.0.0", port), shared=shared)  # noqa: S104  as asked for


def _bind_alone(family: int, where: Any, *, shared: bool) -> socket.socket:
    """Bind, first without SO_REUSEADDR: that alone keeps everybody else away.

    With it where connections of an earlier life still time out.
    """
    try:
        return _bind(family, where, shared=shared, reuse=False)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    return _bind(family, where, shared=shared, reuse=True)


def _bind(family: int, where: Any, *, shared: bool = False, reuse: bool = False) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
        if reuse:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(where)
    except BaseException:
        bound.close()
        raise
    return bound


def _reserve_path(address: Address) -> socket.socket:
    require_free_path(address)
    try:
        path = Path(address.path)
        path.unlink(missing_ok=True)
        bound = _bind(socket.AF_UNIX, address.path)
        if address.mode is not None:
            try:
                path.chmod(address.mode)  # before it listens, so nobody came in meanwhile
            except BaseException:
                bound.close()
                path.unlink(missing_ok=True)
                raise
        return bound
    except OSError as error:
        raise _refused(address, error) from error


def _is_left_behind(path: Path) -> bool:
    """Tell whether a file is that of a socket which nobody has any more.

    A socket of another kind connects to none of ours, but learns whether there is one: a stream
    would find nobody at a socket that is reserved, and make an idle connection where one listens.
    """
    if not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
        return False


def _identity(path: str) -> tuple[int, int, int] | None:
    """Return what tells a socket from another of the same name; ``None`` without one.

    The number of a file is used again; when it was made no other has, and nothing writes to it.
    """
    try:
        found = Path(path).lstat() if path else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino, found.st_mtime_ns)
