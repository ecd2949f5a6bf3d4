"""What users say about TLS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from kratos.errors import ConfigError
from kratos.tls._pem import Pem, name_of, shown

__all__ = ["CertificatePair", "ClientTls", "ServerTls"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CertificatePair:
    """A further certificate of a server.

    Attributes:
        certificate: The certificate, followed by those between it and its root.
        key: Its private key, not encrypted.
    """

    certificate: Pem
    key: Pem

    def __repr__(self) -> str:
        return f"CertificatePair(certificate={shown(self.certificate)}, key={shown(self.key)})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ServerTls:
    """TLS of a server, 1.2 or newer.

    Files that change are read again, and new connections get the new certificate; connections
    that are open stay as they are. While what is read is no good, the last good one stays in use,
    and the log says why. Several certificates are one set: while one of them is no good, all stay
    as they were.

    Attributes:
        certificate: The server's certificate, followed by those between it and its root.
        key: Its private key, not encrypted.
        client_ca: Roots of clients' certificates. If given, clients must have one; who they are
            is ``call.certificate``.
        watch: Whether files are read again when they change.
        others: Further certificates, for clients who ask for a name (SNI) that one of them has
            among its subject alternative names. ``*.a.example`` covers one label in place of
            the asterisk, and the very name goes before that; of certificates with the same name
            the first has it, ``certificate`` before all others. Who asks for any other name, or
            for none, gets ``certificate``. One without a name of its own is refused.

    Raises:
        ConfigError: ``others`` is no sequence of ``CertificatePair``.
    """

    certificate: Pem
    key: Pem
    client_ca: Pem | None = None
    watch: bool = True
    others: Sequence[CertificatePair] = ()

    def __post_init__(self) -> None:
        if not _are_pairs(self.others):
            raise ConfigError("others is a sequence of CertificatePair(certificate=..., key=...)")
        object.__setattr__(self, "others", tuple(self.others))

    def __repr__(self) -> str:
        others = f", others={list(self.others)!r}" if self.others else ""
        return (
            f"ServerTls(certificate={shown(self.certificate)}, key={shown(self.key)}, "
            f"client_ca={shown(self.client_ca)}, watch={self.watch!r}{others})"
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClientTls:
    """TLS of a client, 1.2 or newer.

    Attributes:
        ca: Roots of servers' certificates; ``None`` for those that the transport trusts by
            default: the system's, or those that come with gRPC.
        certificate: The client's own certificate, for servers that ask for one.
        key: Its private key; ``None`` if ``certificate`` holds it, too.
        password: Of the key, if it is encrypted; not for gRPC.
        server_name: Name that servers' certificates must hold, in place of the node's host. gRPC
            takes the name of the service where a registry told it, as Go Kratos does.
        verify: Whether servers have to prove who they are. Without it, whoever is in the way can be
            the server; for trying things out, and not for gRPC.
        watch: Whether files are read again when they change, for new connections; those that
            ``Client`` makes over gRPC stay as they are.

    Raises:
        ConfigError: There is a key without its certificate.
    """

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None
    password: str | None = None
    server_name: str | None = None
    verify: bool = True
    watch: bool = True

    def __post_init__(self) -> None:
        if self.certificate is None and self.key is not None:
            raise ConfigError(
                f"{name_of(self.key, 'key')} needs its certificate: pass certificate="
            )

    def __repr__(self) -> str:
        return (
            f"ClientTls(ca={shown(self.ca)}, certificate={shown(self.certificate)}, "
            f"key={shown(self.key)}, server_name={self.server_name!r}, verify={self.verify!r}, "
            f"watch={self.watch!r})"
        )


def _are_pairs(given: object) -> bool:
    """Tell whether something is what ``others`` may be: callers may have no types."""
    if not isinstance(given, Sequence):
        return False
    return all(isinstance(each, CertificatePair) for each in cast("Sequence[object]", given))
