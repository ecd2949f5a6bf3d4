"""Who the other end of a connection proved to be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["PeerCertificate"]

_SPIFFE: Final = "spiffe://"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificate:
    """A certificate that the other end has the key of, and that a trusted root vouches for.

    Attributes:
        common_name: Of its subject, empty if there is none. Prefer the names below: what the
            common name means is up to whoever signs.
        dns_names: Host names that it is for.
        uris: URIs that it is for.
        emails: Mail addresses that it is for.
        addresses: IP addresses that it is for.
        der: The certificate itself; empty where the transport does not tell it.
    """

    common_name: str = ""
    dns_names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    der: bytes = field(default=b"", repr=False)

    @property
    def spiffe_id(self) -> str:
        """Its SPIFFE id; empty if it has none, or several URIs, which the standard forbids."""
        if len(self.uris) == 1 and self.uris[0].startswith(_SPIFFE):
            return self.uris[0]
        return ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in hexadecimal; empty where it is not known."""
        return hashlib.sha256(self.der).hexdigest() if self.der else ""

    @classmethod
    def of(cls, found: Mapping[str, Any], der: bytes, /) -> PeerCertificate:
        """Make one of what ``ssl.SSLObject.getpeercert`` returns, in both its forms."""
        names: Iterable[tuple[str, str]] = found.get("subjectAltName", ())
        kinds: dict[str, list[str]] = {}
        for kind, name in names:
            kinds.setdefault(kind, []).append(name)
        subject: Iterable[Iterable[tuple[str, str]]] = found.get("subject", ())
        common = [value for part in subject for key, value in part if key == "commonName"]
        return cls(
            common_name=common[-1] if common else "",
            dns_names=tuple(kinds.get("DNS", ())),
            uris=tuple(kinds.get("URI", ())),
            emails=tuple(kinds.get("email", ())),
            addresses=tuple(kinds.get("IP Address", ())),
            der=der,
        )
