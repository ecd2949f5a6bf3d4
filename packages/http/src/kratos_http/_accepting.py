"""Taking connections from a listening socket, as many as there may be at once."""

from __future__ import annotations

import asyncio
import errno
import logging
import select
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any, Final

from kratos.limit import describe
from kratos_http.engine import Engine
from kratos_http.limits import Limits

__all__ = ["Acceptor"]

_log = logging.getLogger("kratos.http")

_AT_ONCE: Final = 64  # connections taken in one turn of the loop, so that others get theirs
_RETRY: Final = 1.0  # seconds after which the system is asked again whether it has room
_LEAST_RESERVE: Final = 64  # file descriptors that are left to handlers
_RESERVED_PART: Final = 8
_SCARCE: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_IPS: Final = (socket.AF_INET, socket.AF_INET6)
_PROBES: Final = 9  # as Go


class Acceptor:
    """Gives the connections of a socket to an engine.

    When there are as many as there may be, or the process has no file descriptor left, further
    peers wait in the system's queue. So that their turn comes, connections that were idle for
    longest are closed, and the others after their next answer.

    Args:
        sock: Listens; becomes the acceptor's own.
        engine: What connections are given to.
        tls: Returns the TLS context of the next connection; ``None`` for plain text.
    """

    def __init__(
        self,
        sock: socket.socket,
        engine: Engine,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._sock = sock
        self._engine = engine
        self._tls = tls
        self._most = connections_allowed(engine.limits)
        self._opening: set[asyncio.Task[None]] = set()
        self._paused = False
        self._scarce = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to take connections."""
        self._sock.setblocking(False)
        if self._sock.family in _IPS:
            _keep_alive(self._sock, self._engine.limits.keepalive)
        self._engine.relief = self._relieve
        self._loop.add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Take no more, and let handshakes that are under way fail. Idempotent."""
        if self._sock.fileno() < 0:
            return
        self._engine.relief = None
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        if self._tls is not None:  # else they are done in a moment, and cancelling could lose one
            for opening in self._opening:
                opening.cancel()

    async def wait_closed(self) -> None:
        """Return when every connection that was taken is the engine's, or is closed."""
        if self._opening:
            await asyncio.wait(self._opening)

    @property
    def _room(self) -> int:
        return self._most - len(self._engine.connections) - len(self._opening)

    def _accept(self) -> None:
        """Take those that wait."""
        for _ in range(_AT_ONCE):
            if self._room <= 0:
                if not self._is_awaited():
                    break
                self._pause()
                return
            try:
                accepted, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionError:
                continue  # it was gone before its turn came
            except OSError as error:
                if error.errno in _SCARCE:
                    self._note_scarcity(error)
                    self._pause()
                    return
                _log.debug("a connection was lost before it was accepted: %s", error)
                continue  # what the network did to that one; see accept(2)
            self._begin(accepted, peer)
        else:
            return  # there may be more of them: the loop will say so
        self._scarce = False
        self._engine.crowd(crowded=False)  # nobody waits

    def _is_awaited(self) -> bool:
        """Tell whether somebody waits to be accepted."""
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def _begin(self, accepted: socket.socket, peer: Any) -> None:
        is_handed = False

        def hand_over() -> asyncio.Protocol:
            nonlocal is_handed
            is_handed = True
            return self._engine.protocol()

        opening = self._loop.create_task(self._open(accepted, peer, hand_over))
        self._opening.add(opening)

        def done(_task: asyncio.Task[None]) -> None:
            self._opening.discard(opening)
            failed = not opening.cancelled() and opening.exception() is not None
            # One that is cancelled later is for its transport to close, which may say farewell
            # before: of a file that is closed beneath it another connection would get the number.
            if failed or not is_handed:
                accepted.close()
            self._relieve()

        opening.add_done_callback(done)

    async def _open(
        self, accepted: socket.socket, peer: Any, hand_over: Callable[[], asyncio.Protocol]
    ) -> None:
        """Hand a connection over, after its handshake if there is one."""
        limits = self._engine.limits
        options: dict[str, Any] = {}
        if self._tls is not None:
            options["ssl"] = self._tls()
            options["ssl_handshake_timeout"] = limits.handshake_timeout
            options["ssl_shutdown_timeout"] = limits.linger
        try:
            await self._loop.connect_accepted_socket(hand_over, accepted, **options)
        except ssl.SSLError as error:
            # Whoever runs the server has to learn it: the peer may know no more than that it is
            # refused, for instance for want of a certificate.
            _log.info("TLS with %s: %s", _shown(peer), describe(error))
            accepted.close()
        except OSError as error:  # also of time
            _log.debug("a connection failed before its first request: %s", error)
            accepted.close()

    def _pause(self) -> None:
        """Let peers wait until there is room."""
        if not self._paused:
            self._paused = True
            self._loop.remove_reader(self._sock)
            self._engine.crowd(crowded=True)

    def _note_scarcity(self, error: OSError) -> None:
        """Say it once, and ask again later: others may free what is needed here."""
        if not self._scarce:
            self._scarce = True
            _log.error(
                "no connection can be accepted: %s; raise the limit of open files, "
                "or lower max_connections, now %d",
                error.strerror,
                self._most,
            )
        self._timer = self._loop.call_later(_RETRY, self._resume)

    def _relieve(self) -> None:
        """Note that there may be room (for the engine)."""
        if self._paused and self._room > 0:
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if self._paused and self._sock.fileno() >= 0:
            self._paused = False
            self._loop.add_reader(self._sock, self._accept)
            self._accept()  # whether anybody waits decides whether there is a crowd


def connections_allowed(limits: Limits) -> int:
    """Return how many connections a server may have: some files are left to its handlers."""
    files = _open_files()
    if files is None:
        return limits.max_connections
    reserve = min(max(_LEAST_RESERVE, files // _RESERVED_PART), files // 2)
    return max(1, min(limits.max_connections, files - reserve))


def _shown(peer: tuple[Any, ...] | str) -> str:
    """Return the address of a peer as ``accept`` has it: a text, often empty, of Unix sockets."""
    return "a peer" if isinstance(peer, str) else f"{peer[0]}:{peer[1]}"


def _open_files() -> int | None:
    """Return how many files this process may open; ``None`` for no limit, or none that is known."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _keep_alive(sock: socket.socket, seconds: float) -> None:
    """Have the system find out about peers whose machine has gone, as Go's listeners do.

    Connections inherit it from the socket that listens (on Linux and BSD).
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    interval = max(1, round(seconds))
    for name, value in (
        ("TCP_KEEPIDLE", interval),
        ("TCP_KEEPINTVL", interval),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
