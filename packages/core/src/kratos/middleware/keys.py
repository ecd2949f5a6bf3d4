"""On whose account a call is: functions for the option ``per`` of limiters and breakers."""

from __future__ import annotations

from kratos.middleware._admission import Key
from kratos.transport.call import Call

__all__ = ["by_caller", "by_header", "by_peer"]

SERVICE_HEADER = "x-md-service-name"  # what the tracing of Kratos tells of the caller, as in Go


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
    return call.headers.get(SERVICE_HEADER) or by_peer(call)


def by_header(name: str, /, *, missing: str | None = "") -> Key:
    """Return a function that takes the first value of a request header.

    Args:
        name: Of the header, in any case.
        missing: The key of calls without it; ``None`` lets these pass.
    """

    def key(call: Call, /) -> str | None:
        value = call.headers.get(name)
        return value or missing

    return key
