"""Who calls, by the certificate of its connection (mutual TLS)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kratos.middleware._proving import proving, unauthorized
from kratos.principal import Principal
from kratos.transport.call import Call
from kratos.transport.chain import Middleware

if TYPE_CHECKING:
    from kratos.tls import PeerCertificate

__all__ = ["certificate"]


def certificate(
    *, subject: Callable[[PeerCertificate], str] | None = None, optional: bool = False
) -> Middleware:
    """Make the middleware that takes the caller from the certificate that it showed.

    The server has to ask for certificates and to know their roots; only what it vouches for
    comes here. The principal's ``scheme`` is ``certificate``.

    Args:
        subject: Returns the name of the caller, empty to refuse it. By default the SPIFFE id,
            else the first host name; never the common name, as anybody may choose that.
        optional: Let callers without a certificate through, as nobody.

    Raises, in calls:
        Error: 401 ``UNAUTHORIZED``: there is no certificate, or no name in it.
    """
    name_of = subject or _name_of

    async def prove(call: Call) -> Principal | None:
        shown = call.certificate
        if shown is None:
            if optional:
                return None
            raise unauthorized("a client certificate is needed")
        name = name_of(shown)
        if not name:
            raise unauthorized("the client certificate names nobody")
        return Principal(subject=name, scheme="certificate")

    return proving(prove)


def _name_of(shown: PeerCertificate) -> str:
    return shown.spiffe_id or (shown.dns_names[0] if shown.dns_names else "")
