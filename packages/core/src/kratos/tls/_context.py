"""TLS contexts of the standard library."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence

from kratos.errors import ConfigError
from kratos.tls._names import ServerNames
from kratos.tls._rotation import Material
from kratos.tls._trial import load_pair

__all__ = ["client_context", "server_context"]

_log = logging.getLogger("kratos.tls")


def server_context(material: Material, /, *, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """Return the context of a server: TLS 1.2 or newer, and no renegotiation.

    Sessions are resumed within one context only: whom new roots do not trust any more does not
    come in by an old session.

    Args:
        material: Certificate, key, and the roots of clients' certificates if they need one;
            further certificates, of which each connection gets the one for the name that it
            asks for.
        alpn: Protocols that are spoken, the preferred one first.

    Raises:
        ConfigError: OpenSSL refuses one of them.
    """
    context = _serving(material, alpn)
    if material.others:
        _choose_by_name(context, material, alpn)
    return context


def client_context(material: Material, /, *, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """Return the context of a client: TLS 1.2 or newer, certificates and names are checked.

    Unless the material says otherwise, which is logged.

    Args:
        material: Roots, or none for the system's; the client's own certificate, if it has one.
        alpn: Protocols that are spoken, the preferred one first.

    Raises:
        ConfigError: OpenSSL refuses one of them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _arm(context, material, alpn)
    if material.roots is None:
        context.load_default_certs()
    else:
        _trust(context, material.roots)
    if not material.verify:
        _log.warning("servers are not verified: whoever is in the way can be the server")
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _serving(material: Material, alpn: Sequence[str]) -> ssl.SSLContext:
    """Return the context of a server for one certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _arm(context, material, alpn)
    if material.roots is not None:
        _trust(context, material.roots)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _choose_by_name(context: ssl.SSLContext, material: Material, alpn: Sequence[str]) -> None:
    """Have connections of a context go on in that of the certificate for their name.

    Those of the others differ in nothing else: once a connection has changed over, OpenSSL takes
    the protocols and the roots from there, too.
    """
    others = [_serving(each, alpn) for each in material.others]
    names = ServerNames(each.names for each in (material, *material.others))

    def choose(
        connection: ssl.SSLSocket | ssl.SSLObject, server_name: str | None, _: ssl.SSLContext
    ) -> None:
        position = names.position(server_name)
        if position:  # 0 is the context that it has: a reference to it from here would be a cycle
            connection.context = others[position - 1]

    context.sni_callback = choose


def _arm(context: ssl.SSLContext, material: Material, alpn: Sequence[str]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if hasattr(ssl, "OP_NO_RENEGOTIATION"):
        context.options |= ssl.OP_NO_RENEGOTIATION
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if material.certificate is not None:
        assert material.key is not None, "a pair was read"
        certificate, key = material.certificate, material.key
        load_pair(context, certificate, key, material.name, password=material.password)


def _trust(context: ssl.SSLContext, roots: bytes) -> None:
    try:
        context.load_verify_locations(cadata=roots.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the roots of certificates cannot be used: {error}") from error
