"""One connection at a time: made, used and given up by the thread that writes."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from kratos_fluent._handshake import Handshake, Refused

__all__ = ["Connection", "Endpoint"]

# Seconds for a server that asks for a shared key to say so, before it gets what it does not take.
_GREETING: Final = 0.05
_MOST_ANSWERED: Final = 64 * 1024  # bytes; answers have some hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect to, and how.

    Attributes:
        address: As it was given, for people.
        host: Name or address; empty for a Unix socket.
        port: Its port.
        path: Of a Unix socket.
        context: Makes the TLS context of a connection; ``None`` for none.
        server_name: What the certificate must be for.
        timeout: Seconds to connect and to be let in.
        write_timeout: Seconds for each write.
        ack_timeout: Seconds for each acknowledgement.
        shared_key: Empty if none is asked for.
        hostname: How this end calls itself.
        username: Empty for none.
        password: Of the user.
    """

    address: str
    host: str = ""
    port: int = 0
    path: str = ""
    context: Callable[[], ssl.SSLContext] | None = None
    server_name: str = ""
    timeout: float
    write_timeout: float
    ack_timeout: float
    shared_key: str = field(default="", repr=False)
    hostname: str
    username: str = ""
    password: str = field(default="", repr=False)


class Connection:
    """A connection; for one thread.

    Args:
        to: Where to.

    Raises:
        OSError: It cannot be made: nobody listens, the certificate is wrong, the server refuses.
    """

    def __init__(self, to: Endpoint) -> None:
        self._to: Final = to
        self.keepalive = True
        # First read: what certificates cannot be used is no reason to leave a socket behind.
        context = None if to.context is None else to.context()
        self._socket = _connected(to)
        self._received = b""
        try:
            if context is not None:
                self._socket = context.wrap_socket(
                    self._socket, server_hostname=to.server_name or to.host
                )
            if to.shared_key:
                self._shake_hands()
            else:
                self._look(_GREETING)
        except BaseException:
            self.close()
            raise

    def send(self, message: bytes, /, *, chunk: str = "") -> None:
        """Write a message, and wait until it is acknowledged if it names its chunk.

        Raises:
            OSError: It cannot be written, or is not acknowledged in time.
        """
        self._look()
        self._socket.settimeout(self._to.write_timeout)
        self._socket.sendall(message)
        if chunk:
            answer = self._read(self._to.ack_timeout)
            if answer != {"ack": chunk}:
                raise Refused(f"the server acknowledged something else: {str(answer)[:100]}")

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _look(self, wait: float = 0.0) -> None:
        """Find out whether the server has gone since the last message; a write would not tell.

        Args:
            wait: Seconds for it to say something.

        Raises:
            ConnectionError: It has, or says what nobody asked for.
        """
        pending = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()
        if not pending and not _readable(self._socket, wait):
            return
        self._socket.settimeout(0)
        try:
            said = self._socket.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError):
            return  # a ticket of TLS, for instance
        if not said:
            raise ConnectionResetError("the server has closed the connection")
        if b"HELO" in said:
            raise Refused("the server asks for a shared key: pass shared_key")
        raise Refused("the server says something that nobody asked for")

    def _shake_hands(self) -> None:
        to = self._to
        hands = Handshake(to.shared_key, to.hostname, to.username, to.password)
        self._socket.sendall(hands.ping(self._read(to.timeout)))
        hands.check(self._read(to.timeout))
        self.keepalive = hands.keepalive

    def _read(self, timeout: float) -> Any:
        """Return the next message of the server.

        Raises:
            OSError: There is none in time, or it is none.
        """
        end = time.monotonic() + timeout
        while True:
            if self._received:
                try:
                    answer = msgspec.msgpack.decode(self._received)
                except RecursionError as error:
                    raise Refused("the server's answer is too deep") from error
                except msgspec.DecodeError as error:
                    if "truncated" not in str(error):
                        raise Refused(f"the server does not speak MessagePack: {error}") from error
                else:
                    self._received = b""
                    return answer
            if len(self._received) > _MOST_ANSWERED:
                raise Refused("the server's answer is too long")
            self._socket.settimeout(max(1e-3, end - time.monotonic()))
            try:
                said = self._socket.recv(4096)
            except TimeoutError:
                raise TimeoutError(f"the server did not answer within {timeout:g} s") from None
            if not said:
                raise ConnectionResetError("the server closed the connection instead of answering")
            self._received += said


def _connected(to: Endpoint) -> socket.socket:
    if not to.path:
        connected = socket.create_connection((to.host, to.port), timeout=to.timeout)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(to.timeout)
        connected.connect(to.path)
    except BaseException:
        connected.close()
        raise
    return connected


def _readable(connected: socket.socket, wait: float) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()  # for descriptors of any number
        poll.register(connected, select.POLLIN)
        return bool(poll.poll(wait * 1000))
    return bool(select.select([connected], [], [], wait)[0])
