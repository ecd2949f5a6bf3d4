"""How a client connects to one node: directly, or through a proxy, in plain text or with TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from kratos_http._tunnel import TunnelRefused, connect_through
from kratos_http.proxies import Proxy

__all__ = ["Dialer"]

P = TypeVar("P", bound=asyncio.BaseProtocol)

_LOCAL: Final = "localhost"


class Dialer:
    """Opens connections to one node.

    Args:
        address: ``host:port``, or ``unix:/path``.
        tls: Returns the TLS context, when it is first needed; ``None`` for plain text.
        server_name: Name to verify instead of the address's host.
        proxy: The proxy to ask; ``None`` for none.
        proxy_tls: Returns the TLS context for a proxy that is reached so; such a proxy needs it.
    """

    __slots__ = ("_address", "_proxy", "_proxy_tls", "_server_name", "_tls")

    def __init__(
        self,
        address: str,
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        server_name: str = "",
        proxy: Proxy | None = None,
        proxy_tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._address = address
        self._tls = tls
        self._proxy = proxy
        self._proxy_tls = proxy_tls
        self._server_name = server_name or _host(address)

    @property
    def address(self) -> str:
        """Where they lead to."""
        return self._address

    async def open(self, make: Callable[[], P], *, through: bool = False) -> P:
        """Open a connection and return its protocol.

        Args:
            make: Makes the protocol.
            through: Whether a proxy is asked for a way through it also for plain text.

        Raises:
            OSError: That failed.
        """
        if self._proxy is not None:
            if self._tls is None and not through:
                return await _connect(make, self._proxy.address, self._secured_proxy())
            return await self._open_through(self._proxy, make)
        tls = None if self._tls is None else self._tls()
        return await _connect(make, self._address, tls, name=self._server_name)

    async def _open_through(self, proxy: Proxy, make: Callable[[], P]) -> P:
        loop = asyncio.get_running_loop()
        waiting = await _connect(_Waiting, proxy.address, self._secured_proxy())
        transport = waiting.transport
        try:
            early = await connect_through(proxy, transport, self._address)
            if transport.is_closing():
                raise ConnectionAbortedError(f"the proxy {proxy} closed the connection")
            protocol = make()
            if self._tls is None:
                transport.set_protocol(protocol)
            elif early:  # nobody does who speaks TLS
                raise TunnelRefused(f"the proxy {proxy} sends something before it was asked")
            else:
                # The new transport calls connection_lost, but not connection_made.
                started = await loop.start_tls(
                    transport, protocol, self._tls(), server_hostname=self._server_name
                )
                transport = cast("asyncio.Transport", started)
            protocol.connection_made(transport)
            if early:
                cast("asyncio.Protocol", protocol).data_received(early)
        except BaseException:
            transport.abort()
            raise
        return protocol

    def _secured_proxy(self) -> ssl.SSLContext | None:
        assert self._proxy is not None, "asked only where there is one"
        if not self._proxy.secure:
            return None
        assert self._proxy_tls is not None, "a secure proxy comes with it"
        return self._proxy_tls()


class _Waiting(asyncio.Protocol):
    """Holds a transport until somebody wants it."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)


async def _connect(
    make: Callable[[], P], address: str, tls: ssl.SSLContext | None, *, name: str = ""
) -> P:
    loop = asyncio.get_running_loop()
    server_name: Any = (name or _host(address)) if tls is not None else None
    path = address.removeprefix("unix:")
    if path != address:
        opened = await loop.create_unix_connection(make, path, ssl=tls, server_hostname=server_name)
    else:
        port = int(address.rpartition(":")[2])
        try:
            opened = await loop.create_connection(
                make, _host(address), port, ssl=tls, server_hostname=server_name
            )
        except UnicodeError as error:  # of names with empty or overlong parts
            raise OSError(f"{_host(address)!r} is no name of a host") from error
    return opened[1]


def _host(address: str) -> str:
    if address.startswith("unix:"):
        return _LOCAL
    return address.rpartition(":")[0].strip("[]")
