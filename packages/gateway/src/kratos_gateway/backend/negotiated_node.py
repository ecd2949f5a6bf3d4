"""HTTP/2 or HTTP/1.1 to one node, whichever it chooses when TLS begins (ALPN, RFC 7301)."""

from __future__ import annotations

import asyncio
from typing import Final

from kratos_gateway.backend._options import ConnectOptions
from kratos_gateway.backend.http1_node import Http1Node
from kratos_gateway.backend.http2_node import Http2Node
from kratos_gateway.exchange import Answer, Request
from kratos_http.http2 import Dialer, SpeaksHttp1

__all__ = ["NegotiatedNode"]


class NegotiatedNode:
    """A ``NodeConnection`` over HTTP/2 if the node chooses it, and else over HTTP/1.1.

    A node is asked whenever it is connected to anew; so one that was replaced may choose otherwise.

    Args:
        dialer: Opens connections, and offers both.
        options: How they are made and kept.
        http1: Opens connections, and offers HTTP/1.1 alone.
    """

    def __init__(self, dialer: Dialer, options: ConnectOptions, *, http1: Dialer) -> None:
        self._http1: Final = Http1Node(http1, options)
        self._http2: Final = Http2Node(dialer, options, scheme="https", other=self._take_over)
        self._chose_http1 = False

    @property
    def open(self) -> int:
        """How many connections there are."""
        return self._http1.open + self._http2.open

    @property
    def busy(self) -> int:
        """How many requests are under way."""
        return self._http1.busy + self._http2.busy

    async def send(self, request: Request, host: str) -> Answer:
        """Send a request; see ``NodeConnection``."""
        if self._chose_http1 and self._http1.open:
            return await self._http1.send(request, host)
        try:
            return await self._http2.send(request, host)
        except SpeaksHttp1:
            return await self._http1.send(request, host)

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Let requests under way end, then close; see ``NodeConnection``."""
        await asyncio.gather(self._http1.aclose(drain=drain), self._http2.aclose(drain=drain))

    def _take_over(self) -> asyncio.Protocol:
        self._chose_http1 = True
        return self._http1.successor()
