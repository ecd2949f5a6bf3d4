"""On whose account a call is: functions for the option ``per`` of limiters and breakers."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from kratos.middleware._admission import Key
from kratos.principal import current_principal
from kratos.tracing._propagation import SERVICE_NAME
from kratos.transport.call import Call

__all__ = ["by_caller", "by_header", "by_peer", "by_principal"]

_LONGEST: Final = 128  # characters of a header that are kept as they are


def by_peer(call: Call, /) -> str:
    """Return the host at the other end, without its port.

    Behind a proxy that is the proxy; there use ``by_header`` with the header that it sets, and
    only if it overwrites what callers send.
    """
    host, colon, port = call.peer.rpartition(":")
    return host if colon and port.isdecimal() else call.peer


def by_caller(call: Call, /) -> str:
    """Return the name of the calling service, from ``x-md-service-name``; else the peer's host.

    Callers tell it themselves: good for fairness among services that are trusted, not for
    limits that somebody wants to get around.
    """
    name = call.headers.get(SERVICE_NAME)
    return _bounded(name) if name else by_peer(call)


def by_principal(call: Call, /) -> str:
    """Return who called, as the authentication further out in the chain found; else the host.

    Callers cannot choose it, which is what limits against abuse need. Who has no subject, such as
    the bearer of a token without one, is the host, too.
    """
    principal = current_principal()
    if principal is None or not principal.subject:
        return by_peer(call)
    return _bounded("\n".join((principal.scheme, principal.issuer, principal.subject)))


def by_header(name: str, /, *, missing: str | None = "") -> Key:
    """Return a function that takes the first value of a request header.

    In place of a value of more than 128 characters it takes its digest: limiters keep many keys.

    Args:
        name: Of the header, in any case.
        missing: The key of calls without it; ``None`` lets these pass.
    """

    def key(call: Call, /) -> str | None:
        value = call.headers.get(name)
        return _bounded(value) if value else missing

    return key


def _bounded(value: str) -> str:
    """Return a short key for a long value: limiters keep keys, and callers choose headers."""
    if len(value) <= _LONGEST:
        return value
    return blake2b(value.encode(errors="surrogatepass"), digest_size=16).hexdigest()
