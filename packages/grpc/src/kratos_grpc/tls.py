"""TLS of servers and clients: certificates as files or as bytes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import grpc

from kratos.errors import ConfigError

__all__ = ["ClientTls", "Pem", "ServerTls"]

Pem: TypeAlias = "str | os.PathLike[str] | bytes"
"""A PEM file by its path, or its content as bytes."""

_log = logging.getLogger("kratos.grpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """TLS of a server, 1.2 or newer.

    Files are read again for new connections once they have changed; while that fails, the
    last good certificate stays in use.

    Attributes:
        certificate: The server's certificate, followed by those between it and its root.
        key: Its private key.
        client_ca: Roots of clients' certificates. If given, clients must have one.
    """

    certificate: Pem
    key: Pem
    client_ca: Pem | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Return what grpc takes; for engines.

        Raises:
            ConfigError: A file cannot be read; names it.
        """
        require = self.client_ca is not None
        stamp = self._stamp()
        present = self._configuration()

        def changed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal stamp
            try:
                now = self._stamp()
                if now == stamp:
                    return None
                renewed = self._configuration()
            except ConfigError as error:
                _log.warning("the last good certificate stays in use: %s", error)
                return None
            stamp = now
            return renewed

        # None means no change, which the stubs do not know.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", changed)
        return grpc.dynamic_ssl_server_credentials(present, fetch, require)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pair = (_read(self.key, "key"), _read(self.certificate, "certificate"))
        roots = None if self.client_ca is None else _read(self.client_ca, "client_ca")
        return grpc.ssl_server_certificate_configuration([pair], roots)

    def _stamp(self) -> tuple[object, ...]:
        """Return what changes with the files."""
        return (
            _stamp_of(self.certificate, "certificate"),
            _stamp_of(self.key, "key"),
            None if self.client_ca is None else _stamp_of(self.client_ca, "client_ca"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """TLS of a client, 1.2 or newer.

    Attributes:
        ca: Roots of servers' certificates; ``None`` for those that come with gRPC.
        certificate: The client's own certificate, for servers that ask for one.
        key: Its private key.
        server_name: Name that servers' certificates must hold; ``None`` for the name of the
            service where a registry told it, as Go Kratos does, else the node's host.

    Raises:
        ConfigError: Of certificate and key, one is missing.
    """

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise ConfigError("a client's certificate needs its key, and the key its certificate")

    def credentials(self) -> grpc.ChannelCredentials:
        """Return what grpc takes; for engines.

        Raises:
            ConfigError: A file cannot be read; names it.
        """
        return grpc.ssl_channel_credentials(
            None if self.ca is None else _read(self.ca, "ca"),
            None if self.key is None else _read(self.key, "key"),
            None if self.certificate is None else _read(self.certificate, "certificate"),
        )


def _read(pem: Pem, what: str) -> bytes:
    if isinstance(pem, bytes):
        return pem
    try:
        return Path(pem).read_bytes()
    except OSError as error:
        raise ConfigError(f"the {what} cannot be read: {error}") from error


def _stamp_of(pem: Pem, what: str) -> tuple[int, int, int] | None:
    if isinstance(pem, bytes):
        return None
    try:
        stat = Path(pem).stat()
    except OSError as error:
        raise ConfigError(f"the {what} cannot be read: {error}") from error
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
