"""How connections to Nacos are made, those of gRPC and those of the login."""

from __future__ import annotations

import ssl
from typing import Any, Final

import grpc
import grpc.aio

from kratos.tls import ClientTls, Material, Rotation, client_context
from kratos_grpc.credentials import channel_credentials
from kratos_grpc.limits import ClientLimits

__all__ = ["Dialler"]

_LARGEST: Final = 2**31 - 1  # bytes of an answer; Nacos sets no limit to its lists


class Dialler:
    """Makes channels, with the certificates that there are by then.

    Args:
        tls: What makes them TLS; ``None`` for plain connections.
        timeout: Seconds for one attempt to connect.

    Raises:
        ConfigError: A file of ``tls`` cannot be used, or gRPC cannot do what it says.
    """

    def __init__(self, tls: ClientTls | None, *, timeout: float) -> None:
        limits = ClientLimits(
            max_receive=_LARGEST,
            connect_timeout=timeout,
            max_backoff=1.0,
            keepalive=None,  # Nacos cuts off who pings more often than every 5 minutes
        )
        self._options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),  # else links would share their connection
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.enable_http_proxy", 0),
            *limits.options(),
        ]
        self._credentials: Rotation[grpc.ChannelCredentials] | None = None
        self._contexts: Rotation[ssl.SSLContext] | None = None
        if tls is not None:
            channel_credentials(tls)  # refuses what gRPC cannot do
            self._credentials = Rotation(tls, _credentials)
            self._contexts = Rotation(tls, client_context)
            if tls.server_name is not None:
                self._options.append(("grpc.ssl_target_name_override", tls.server_name))

    def channel(self, endpoint: str) -> grpc.aio.Channel:
        """Return a new channel, with a connection of its own."""
        if self._credentials is None:
            return grpc.aio.insecure_channel(endpoint, options=self._options)
        credentials = self._credentials.refresh()
        return grpc.aio.secure_channel(endpoint, credentials, options=self._options)

    def context(self) -> ssl.SSLContext | None:
        """Return what makes a connection of HTTP one with TLS; ``None`` for none."""
        return None if self._contexts is None else self._contexts.refresh()


def _credentials(material: Material) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(material.roots, material.key, material.certificate)
