"""Whose call it is, so that nobody gets what belongs to somebody else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kratos._fingerprint import fingerprint
from kratos.metadata import Metadata, client_metadata
from kratos.principal import current_principal
from kratos.transport.call import Call, Side, server_call
from kratos.transport.header import Header

__all__ = ["certified", "credentials", "everything_shown", "principal"]

_CREDENTIALS: Final = ("authorization", "cookie", "x-api-key")
_METADATA: Final = ("x-md-",)


def principal() -> bytes:
    """Return what stands for the authenticated caller; empty if there is none.

    One without a subject, such as a token that has none, is not told from others like it.
    """
    found = current_principal()
    if found is None or not found.subject:
        return b""
    return fingerprint(*(_raw(part) for part in (found.scheme, found.issuer, found.subject)))


def certified(call: Call) -> bytes:
    """Return what stands for the names in the peer's certificate; empty without one."""
    certificate = call.certificate
    if certificate is None:
        return b""
    names = (*certificate.uris, *certificate.dns_names, *certificate.emails)
    if not names and not certificate.common_name:
        names = (certificate.fingerprint,)  # which a renewal changes, so names go first
    return fingerprint(*map(_raw, (certificate.common_name, *names)))


def credentials(call: Call) -> bytes:
    """Return what stands for the credentials in a call's headers; empty without any."""
    return _listed((name, value) for name in _CREDENTIALS for value in call.headers.values(name))


def everything_shown(call: Call) -> bytes:
    """Return what stands for all that tells callers apart.

    A client's call may get its credentials from middleware further in: what the inbound call
    showed, for which it is made, counts too.
    """
    parts = [principal(), certified(call), credentials(call), _metadata(call.headers)]
    if call.side is Side.CLIENT:
        given = client_metadata() or Metadata()
        parts.append(_listed((name, value) for name, values in given.items() for value in values))
        if (inbound := server_call()) is not None:
            parts += [certified(inbound), credentials(inbound), _metadata(inbound.headers)]
    return fingerprint(*parts) if any(parts) else b""


def _metadata(headers: Header) -> bytes:
    """Return what stands for the metadata of a call, by which gateways tell who the user is."""
    return _listed(headers.starting_with(_METADATA))


def _listed(pairs: Iterable[tuple[str, str]]) -> bytes:
    texts = [_raw(text) for pair in pairs for text in pair]
    return fingerprint(*texts) if texts else b""


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
