"""What a client trusts, and how it shows who it is."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from kratos.errors import ConfigError

__all__ = ["ClientTls"]

_log = logging.getLogger("kratos.http")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """TLS of a client, by files in PEM.

        Client("discovery:///greeter", tls=ClientTls(ca="ca.pem", server_name="greeter.internal"))

    TLS 1.2 or later. Files are read once, when the connector is made: a new connector reads
    renewed ones.

    Attributes:
        ca: Certificates to trust instead of the system's.
        certificate: The client's own, with those that lead to the authority.
        key: Its private key; ``None`` if ``certificate`` holds it too.
        password: Of the key.
        server_name: Name to ask for and to find in the server's certificate, instead of the
            node's host, which is an address if nodes come from a registry.
        verify: Whether the server has to prove who it is. Without it, whoever is in the way can
            be the server; for trying things out.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None
    password: str | None = field(default=None, repr=False)
    server_name: str = ""
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Read the files.

        Raises:
            ConfigError: A file is missing or holds something else; or ``key`` has no
                ``certificate``.
        """
        if self.key is not None and self.certificate is None:
            raise ConfigError(f"the key {str(self.key)!r} needs its certificate: pass certificate=")
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"no certificates can be read from {self.ca}: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            try:
                # Without a password the library would ask for one at the terminal.
                password = self.password or ""
                context.load_cert_chain(self.certificate, self.key, password=password)
            except (OSError, ssl.SSLError) as error:
                where = f"{self.certificate} and {self.key or 'the same file'}"
                raise ConfigError(f"no certificate with key in {where}: {error}") from error
        if not self.verify:
            _log.warning("servers are not verified: whoever is in the way can be the server")
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
