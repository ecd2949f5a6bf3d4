"""TLS as grpcio takes it, for its engine and for packages with channels of their own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, cast

import grpc

from kratos.errors import ConfigError
from kratos.tls import ClientTls, Material, PeerCertificate, Rotation, ServerTls

__all__ = [
    "channel_credentials",
    "peer_certificate",
    "server_credentials",
]

_KINDS: Final = ("peer_dns", "peer_uri", "peer_email", "peer_ip")


def server_credentials(tls: ServerTls, /) -> grpc.ServerCredentials:
    """Return what grpc takes; it asks for new certificates with each new connection.

    Raises:
        ConfigError: A certificate cannot be used; names it and says why. Or there are several:
            gRPC chooses between them by other rules.
    """
    if tls.others:
        raise ConfigError(
            "others: grpcio serves one certificate; GrpcServer(engine='kratos') serves several"
        )
    rotation = Rotation(tls, _configuration)
    present, told = rotation.value, rotation.revision

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal told
        renewed = rotation.refresh()
        if rotation.revision == told:
            return None
        told = rotation.revision
        return renewed

    # None means no change, which the stubs do not know.
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", changed)
    return grpc.dynamic_ssl_server_credentials(present, fetch, tls.client_ca is not None)


def channel_credentials(tls: ClientTls, /) -> grpc.ChannelCredentials:
    """Return what grpc takes; it stays as it is for the life of a channel.

    Raises:
        ConfigError: A certificate cannot be used, names it and says why; or gRPC cannot do what
            is asked for.
    """
    if tls.password or not tls.verify:
        raise ConfigError("gRPC reads no encrypted keys, and always verifies servers")
    return Rotation(tls, _channel).value


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    assert material.key is not None, "a server has one"
    assert material.certificate is not None, "a server has one"
    pairs = [(material.key, material.certificate)]
    return grpc.ssl_server_certificate_configuration(pairs, material.roots)


def _channel(material: Material) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(material.roots, material.key, material.certificate)


def peer_certificate(context: Mapping[str, Iterable[bytes]], /) -> PeerCertificate | None:
    """Return who a client proved to be, out of what ``auth_context`` returns."""
    pem = b"".join(context.get("x509_pem_cert", ()))
    if not pem:
        return None
    names = tuple(tuple(context.get(kind, ())) for kind in _KINDS)
    return _certificate(pem, b"".join(context.get("x509_common_name", ())), names)


@lru_cache(maxsize=1024)
def _certificate(
    pem: bytes, common_name: bytes, names: tuple[tuple[bytes, ...], ...]
) -> PeerCertificate:
    """Return what is the same for every call of a client."""
    dns, uris, emails, addresses = (
        tuple(name.decode("utf-8", "replace") for name in kind) for kind in names
    )
    return PeerCertificate(
        common_name=common_name.decode("utf-8", "replace"),
        dns_names=dns,
        uris=uris,
        emails=emails,
        addresses=addresses,
        der=ssl.PEM_cert_to_DER_cert(pem.decode("ascii")),
    )
