"""One memcached: its connection, and whether it is asked at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from aegis import Backoff, Clock
from aegis.clock import NANOSECONDS
from kratos.errors import StoreFull, StoreUnavailable
from kratos_memcached.connection import Connection
from kratos_memcached.replies import Refused, Reply

__all__ = ["Login", "Server", "TlsOf"]

TlsOf = Callable[[], ssl.SSLContext]
Login = tuple[str, str]

_FULL: Final = ("too large", "out of memory")
_KNOWN: Final = (  # what errors of TLS hold, and what that means
    ("certificate verify failed", "its certificate is not trusted: check ca="),
    ("CERTIFICATE_REQUIRED", "it wants a certificate: name one by certificate= and key="),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS there: write memcached://"),
    ("RECORD_LAYER_FAILURE", "it does not speak TLS there: write memcached://"),
)


class Server:
    """Asks one memcached, within a limit of time; leaves it alone for a while when it fails.

    Args:
        host: Name or address.
        port: TCP port.
        timeout: The most seconds that a command waits for its reply, connecting included.
        backoff: How long nobody asks after failures in a row.
        login: User and password.
        tls: Gives the TLS context of a new connection; ``None`` without TLS.
        clock: Gives nanoseconds.
        random: Gives numbers of [0, 1).
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout: float,
        backoff: Backoff,
        login: Login | None,
        tls: TlsOf | None,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._host = host
        self._port = port
        self._timeout = timeout
        self._backoff = backoff
        self._login = login
        self._tls = tls
        self._clock = clock
        self._random = random
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._failures = 0
        self._until = 0
        self._probing = False
        self._told = ""
        self._closed = False

    async def ask(self, command: bytes) -> Reply:
        """Return the reply to a command.

        Raises:
            StoreUnavailable: There was none in time, or none is waited for after a failure.
            StoreFull: There is no room for a value.

        Cancellation: the command may have been done.
        """
        if self._closed:
            raise StoreUnavailable(f"the store on memcached {self.name} is closed")
        if self._failures and (self._probing or self._clock() < self._until):
            raise StoreUnavailable(
                f"memcached {self.name} is not asked for a while, as it failed: {self._told}"
            )
        self._probing = self._failures > 0
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._reply(command)
        except Refused as error:  # of a password
            raise self._failed(str(error)) from error
        except TimeoutError as error:
            told = str(error) or f"no answer within {self._timeout:g} s"
            raise self._failed(told) from error
        except OSError as error:
            raise self._failed(_told(error)) from error
        finally:
            self._probing = False
        self._failures = 0
        if isinstance(reply, Refused):
            kind = StoreFull if any(sign in str(reply) for sign in _FULL) else StoreUnavailable
            raise kind(f"memcached {self.name} refuses: {reply}")
        return reply

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        self.close_connection()

    def close_connection(self) -> None:
        """Close the connection; the next command opens another."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def _reply(self, command: bytes) -> Reply:
        connection = self._connection
        if connection is not None and connection.is_open:
            try:
                return await connection.ask(command)
            except ConnectionResetError:
                if self._failures:
                    raise
                # It was idle, and dead. Nothing here does harm when it is done twice, but for
                # commands that say whether they were first; those err on the side of no.
        return await (await self._connected()).ask(command)

    async def _connected(self) -> Connection:
        """Return the open connection; all who need one wait for the same."""
        if self._connection is not None and self._connection.is_open:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._connect())
            self._connecting.add_done_callback(self._connect_ended)
        connecting = self._connecting
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            if not self._closed or not connecting.cancelled():
                raise
            raise ConnectionResetError("the store was closed meanwhile") from None

    def _connect_ended(self, task: asyncio.Task[Connection]) -> None:
        self._connecting = None
        if task.cancelled() or task.exception() is not None:
            return  # whoever waits is told
        self._connection = task.result()
        if self._closed:  # in the turn in which it was made
            self.close_connection()

    async def _connect(self) -> Connection:
        async with asyncio.timeout(self._timeout):
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection,
                self._host,
                self._port,
                ssl=None if self._tls is None else self._tls(),
            )
            if self._login is not None:
                await _log_in(connection, self._login)
        return connection

    def _failed(self, told: str) -> StoreUnavailable:
        if self._failures == 0 or self._clock() >= self._until:
            delay = self._backoff.delay(self._failures, self._random)
            self._until = self._clock() + round(delay * NANOSECONDS)
            self._failures += 1
        self._told = told
        self.close_connection()  # what it still owes would keep others waiting
        return StoreUnavailable(f"memcached {self.name} fails: {told}")


def _told(error: OSError) -> str:
    """Return what an error means, with the error itself."""
    told = str(error) or type(error).__name__
    cause = "" if error.__cause__ is None else str(error.__cause__)  # of a lost connection
    for sign, meaning in _KNOWN:
        if sign in told or sign in cause:
            return f"{meaning} ({cause or told})"
    return told


async def _log_in(connection: Connection, login: Login) -> None:
    """Say who asks, as memcached takes it in its text protocol.

    Raises:
        Refused: It does not let that one in.
    """
    told = " ".join(login).encode()
    try:
        reply = await connection.ask(b"set auth 0 0 %d\r\n%b\r\n" % (len(told), told))
    except BaseException:
        connection.abort()
        raise
    if reply != b"STORED":
        connection.abort()
        raise Refused(f"user and password are not taken ({reply!s})")
