"""Tokens of a user of Nacos, for which it has an HTTP call only."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, cast
from urllib.parse import urlencode

from kratos.address import split_host_port
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos_nacos.wire import DENIED, UNREACHABLE, NacosUnavailable

__all__ = ["Tokens"]

_PATH: Final = "/nacos/v1/auth/login"
_LARGEST: Final = 64 * 1024  # bytes of an answer
_RENEWED: Final = 0.9  # of its life, after which a token is not used any more
_NO_USERS: Final = "No AuthenticationProvider"
# With a wrong password, Nacos 2.2 answers with the status 0.
_WRONG: Final = (0, 401, 403)


class Tokens:
    """Logs in when a token is needed, and again before it is too old.

    Args:
        endpoints: Where, ``host:port`` of HTTP; they are asked in turn.
        username: The user.
        password: Of that user.
        tls: Returns what makes a connection TLS, if anything does.
        server_name: What the certificate must be for, in place of the host.
        timeout: Seconds for one endpoint.
        clock: Time of the age of tokens.

    Attributes:
        token: The present one; empty before the first.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        username: str,
        password: str,
        tls: Callable[[], ssl.SSLContext | None],
        server_name: str | None = None,
        timeout: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.username = username
        self._endpoints = endpoints
        self._form = urlencode({"username": username, "password": password}).encode()
        self._tls = tls
        self._server_name = server_name
        self._timeout = timeout
        self._clock = clock
        self._lock = asyncio.Lock()
        self.token = ""
        self._until = 0.0

    async def get(self, *, instead_of: str | None = None) -> str:
        """Return a token, or nothing where there are no users; those who wait get the same one.

        Args:
            instead_of: One that Nacos does not take.

        Raises:
            NacosUnavailable: No endpoint answered, or the user was refused.

        Cancellation: safe.
        """
        async with self._lock:
            if self.token == instead_of or self._clock.time() >= self._until:
                self.token, life = await self._login()
                self._until = self._clock.time() + life * _RENEWED
            return self.token

    async def _login(self) -> tuple[str, float]:
        for endpoint in self._endpoints[:-1]:
            try:
                return await self._ask(endpoint)
            except NacosUnavailable as error:
                if error.code != UNREACHABLE:
                    raise
        return await self._ask(self._endpoints[-1])

    async def _ask(self, endpoint: str) -> tuple[str, float]:
        try:
            async with asyncio.timeout(self._timeout):
                status, body = await self._post(endpoint)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            why = str(error) or f"not within {self._timeout:g} s"
            text = f"Nacos at {endpoint} does not answer (login): {why}"
            raise NacosUnavailable(text, code=UNREACHABLE) from error
        if status == 200:
            return _token(endpoint, body)
        if status in _WRONG or body.strip() == f"caused: {self.username};":
            text = f"Nacos at {endpoint} refuses user {self.username!r}: wrong name or password"
            raise NacosUnavailable(text, code=DENIED)
        if _NO_USERS in body:
            return "", _LARGEST  # anybody may do anything there, so this user too
        raise NacosUnavailable(f"Nacos at {endpoint} lets nobody log in: {status} {body[:200]!r}")

    async def _post(self, endpoint: str) -> tuple[int, str]:
        """Return status and body; in HTTP/1.0, as the body then ends with the connection."""
        host, port = split_host_port(endpoint)
        context = self._tls()
        name = self._server_name if context is not None else None
        reader, writer = await asyncio.open_connection(
            host, port, ssl=context, server_hostname=name
        )
        try:
            request = (
                f"POST {_PATH} HTTP/1.0\r\nHost: {endpoint}\r\nConnection: close\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
                f"Content-Length: {len(self._form)}\r\n\r\n"
            )
            writer.write(request.encode("ascii") + self._form)
            answer = b""
            while (piece := await reader.read(_LARGEST)) and len(answer) < _LARGEST:
                answer += piece
        finally:
            writer.transport.abort()  # there is nothing left to be said
        head, _, body = answer.partition(b"\r\n\r\n")
        version, _, status = head.partition(b"\r\n")[0].partition(b" ")
        if not version.startswith(b"HTTP/") or not status[:3].strip().isdigit():
            raise ValueError("that is not HTTP" if answer else "it closed the connection")
        return int(status[:3]), body.decode("utf-8", "replace")


def _token(endpoint: str, body: str) -> tuple[str, float]:
    try:
        members = cast("dict[str, Any]", json.loads(body))
        return str(members["accessToken"]), float(members["tokenTtl"])
    except (KeyError, TypeError, ValueError, RecursionError):
        # The error itself would quote the answer, and that may hold a token.
        shown = "one without tokenTtl, a number" if "accessToken" in body else repr(body[:200])
        text = f"{endpoint} answers a login with no token of Nacos: {shown}"
        raise NacosUnavailable(text) from None
