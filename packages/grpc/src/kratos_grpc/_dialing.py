"""How a client makes lines to nodes on HTTP/2 of our own."""

from __future__ import annotations

import ssl
from functools import partial
from typing import Final

from kratos.selector import Node
from kratos.tls import Rotation, client_context
from kratos_grpc._asking import Asking
from kratos_grpc._codings import coding_named
from kratos_grpc._http2_line import Http2Line, LineOptions
from kratos_grpc.limits import ClientLimits
from kratos_grpc.tls import ClientTls
from kratos_http.http2 import ConnectionOptions, Dialer, Http2Channel
from kratos_http.proxies import Proxies

__all__ = ["Http2Dialing"]

_IDLE: Final = 1800.0  # seconds without a call, after which gRPC's core lets a connection go, too


class Http2Dialing:
    """Makes connections of our own.

    Args:
        tls: How secure nodes are reached.
        limits: What servers may do, and how connections are kept.
        compression: Coding of requests.
        proxy: Which proxy is asked for which node; ``None`` for none.

    Raises:
        ConfigError: There is no such coding, or the proxy's URL is malformed.
    """

    def __init__(
        self,
        tls: ClientTls,
        limits: ClientLimits,
        compression: str,
        proxy: str | Proxies | None,
    ) -> None:
        self._tls = tls
        self._rotation: Rotation[ssl.SSLContext] | None = None
        self._proxies = Proxies(http=proxy, https=proxy) if isinstance(proxy, str) else proxy
        self._proxy_tls: ssl.SSLContext | None = None
        self._line = LineOptions(
            max_receive=limits.max_receive,
            max_send=limits.max_send,
            coding=coding_named(compression),
        )
        self._options = ConnectionOptions(
            connect_timeout=limits.connect_timeout,
            max_backoff=limits.max_backoff,
            idle_timeout=_IDLE,
            keepalive=limits.keepalive,
            keepalive_timeout=limits.keepalive_timeout,
            max_head=limits.max_headers,
        )

    def dial(self, node: Node) -> Http2Line:
        """Return a line to a node.

        Raises:
            ConfigError: A certificate cannot be used; names it and says why.
        """
        name = (self._tls.server_name or node.name or "") if node.secure else ""
        if node.secure and self._rotation is None:
            self._rotation = Rotation(self._tls, partial(client_context, alpn=("h2",)))
        proxy = None
        if self._proxies is not None:
            proxy = self._proxies.find(node.address, secure=node.secure)
        dialer = Dialer(
            node.address,
            tls=self._rotation.refresh if node.secure and self._rotation is not None else None,
            server_name=name,
            proxy=proxy,
            proxy_tls=self._proxy_context,
        )
        authority = name or ("localhost" if node.unix_path is not None else node.address)
        channel = Http2Channel(dialer, self._options)
        return Http2Line(channel, Asking(authority, secure=node.secure), self._line)

    def _proxy_context(self) -> ssl.SSLContext:
        given = None if self._proxies is None else self._proxies.tls
        if given is not None:
            return given
        if self._proxy_tls is None:
            self._proxy_tls = ssl.create_default_context()
        return self._proxy_tls
