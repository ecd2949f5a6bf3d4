"""The back ends of an endpoint that is asked by itself, not for the requests of clients."""

from __future__ import annotations

from collections.abc import Mapping

from kratos.registry import Discovery
from kratos_gateway.api.gateway_pb2 import TLS, Endpoint
from kratos_gateway.backend.client import Client, ClientOptions
from kratos_gateway.backend.connections import Connections, ConnectOptions
from kratos_gateway.exchange import Answer, Request

__all__ = ["Apart"]


class Apart:
    """A ``Handler`` that asks back ends over connections of its own; close it.

    Args:
        endpoint: Whose back ends they are.
        connect: How they are connected to.
        tls_store: TLS configurations by name.
        discovery: Where services are looked up; ``None`` for nowhere.
        identity: Of this gateway; see ``ClientOptions``.

    Raises:
        ConfigError: A back end is none; names it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        connect: ConnectOptions | None = None,
        *,
        tls_store: Mapping[str, TLS] | None = None,
        discovery: Discovery | None = None,
        identity: str = "",
    ) -> None:
        self._connections = Connections(connect, tls_store=tls_store)
        options = ClientOptions(
            connections=self._connections, discovery=discovery, identity=identity
        )
        self._client = Client(endpoint, options)

    async def __call__(self, request: Request, /) -> Answer:
        """Ask one of them; see ``Handler``."""
        return await self._client(request)

    async def aclose(self) -> None:
        """Close its connections. Idempotent."""
        await self._client.aclose()
        await self._connections.aclose()
