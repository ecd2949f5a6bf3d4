"""How a client makes lines to nodes on grpcio."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from kratos.selector import Node
from kratos_grpc._grpcio.compression import core_coding
from kratos_grpc._grpcio.line import GrpcioLine
from kratos_grpc._process import claim
from kratos_grpc.credentials import channel_credentials
from kratos_grpc.limits import ClientLimits
from kratos_grpc.tls import ClientTls

__all__ = ["GrpcioDialing"]


class GrpcioDialing:
    """Makes channels of grpcio.

    Args:
        tls: How secure nodes are reached.
        limits: What servers may do, and how connections are kept.
        compression: Coding of requests.
        options: Further channel arguments.

    Raises:
        ConfigError: There is no such coding.
    """

    def __init__(
        self,
        tls: ClientTls,
        limits: ClientLimits,
        compression: str,
        options: tuple[tuple[str, str | int], ...],
    ) -> None:
        self._tls = tls
        self._compression = core_coding(compression)
        self._credentials: grpc.ChannelCredentials | None = None
        self._options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),  # else clients would share connections
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.enable_http_proxy", 0),
            *limits.options(),
            *options,
        ]

    def dial(self, node: Node) -> GrpcioLine:
        """Return a line to a node.

        Raises:
            ConfigError: A certificate cannot be used; names it and says why.
        """
        return GrpcioLine(self._channel(node), compression=self._compression)

    def _channel(self, node: Node) -> grpc.aio.Channel:
        claim()
        target = node.address if node.unix_path is not None else f"dns:///{node.address}"
        options = list(self._options)
        if not node.secure:
            return grpc.aio.insecure_channel(target, options=options)
        name = self._tls.server_name or node.name
        if name:
            options.append(("grpc.ssl_target_name_override", name))
        if self._credentials is None:
            self._credentials = channel_credentials(self._tls)
        return grpc.aio.secure_channel(target, self._credentials, options=options)
