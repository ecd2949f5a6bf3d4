"""A way through a proxy: ``CONNECT`` (RFC 9110, 9.3.6)."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from kratos_http.proxies import Proxy

__all__ = ["TunnelRefused", "connect_through"]

_MAX_HEAD: Final = 64 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([^\r\n]*))?\r\n")


class TunnelRefused(ConnectionError):
    """The proxy does not lead there."""


class _Asking(asyncio.Protocol):
    """Takes a proxy's answer, and nothing after it."""

    def __init__(self, proxy: Proxy) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._proxy = proxy
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self.answered.done() and b"\r\n\r\n" in self._buffer:
            self._answer()
        if len(self._buffer) > _MAX_HEAD:
            self._refuse(f"answers with more than {_MAX_HEAD} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse(f"closed the connection{f' ({exc})' if exc else ''}")

    def _answer(self) -> None:
        status = _STATUS.match(self._buffer)
        rest = self._buffer.partition(b"\r\n\r\n")[2]
        if status is None:
            self._refuse("does not speak HTTP/1.1")
        elif status[1].startswith(b"1"):
            self._buffer = rest
        elif not status[1].startswith(b"2"):
            reason = (status[2] or b"").decode("latin-1")[:100]
            self._refuse(f"answers {status[1].decode()} {reason}".rstrip())
        else:
            self._buffer = rest
            self.answered.set_result(None)

    @property
    def early(self) -> bytes:
        """What has come after the answer: some servers speak first."""
        return self._buffer

    def _refuse(self, problem: str) -> None:
        if not self.answered.done():
            self.answered.set_exception(TunnelRefused(f"the proxy {self._proxy} {problem}"))


async def connect_through(proxy: Proxy, transport: asyncio.Transport, address: str) -> bytes:
    """Ask a proxy for a way to ``host:port``, which the transport is then.

    Its protocol still is the one that asked: set another one before the loop runs again.

    Returns:
        What has come from there already.

    Args:
        proxy: The proxy.
        transport: A connection to it, that nobody reads yet.
        address: Where to.

    Raises:
        TunnelRefused: The proxy does not lead there, or is none.

    Cancellation: leaves the transport to the caller.
    """
    asking = _Asking(proxy)
    transport.set_protocol(asking)
    lines = f"CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n".encode()
    if proxy.authorization:
        lines += b"proxy-authorization: %b\r\n" % proxy.authorization
    transport.write(lines + b"\r\n")
    await asking.answered
    return asking.early
