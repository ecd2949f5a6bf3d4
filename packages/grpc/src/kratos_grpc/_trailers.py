"""The end of a call as trailers: status, message, details, and what the call has of its own."""

from __future__ import annotations

import base64
from typing import Final, TypeAlias
from urllib.parse import quote

from kratos.transport.http import WireHeaders
from kratos_grpc.status import DETAILS_KEY, WireStatus

__all__ = ["FINE", "Pairs", "encoded_message", "status_trailers"]

Pairs: TypeAlias = "tuple[tuple[bytes, bytes], ...]"

FINE: Final[Pairs] = ((b"grpc-status", b"0"),)
"""The end of a call that succeeded."""

_DETAILS: Final = DETAILS_KEY.encode()
# What may stand in grpc-message as it is: printable ASCII but for the percent sign.
_KEPT: Final = "".join(chr(byte) for byte in range(0x20, 0x7F) if byte != ord("%"))


def status_trailers(status: WireStatus, trailers: WireHeaders = ()) -> WireHeaders:
    """Return all trailers of a call that ended with a status.

    Args:
        status: How it ended.
        trailers: The call's own.
    """
    told = [(b"grpc-status", b"%d" % status.code)]
    if status.message:
        told.append((b"grpc-message", encoded_message(status.message)))
    told += trailers
    if status.details:
        told.append((_DETAILS, base64.b64encode(status.details).rstrip(b"=")))
    return told


def encoded_message(message: str) -> bytes:
    """Return a text as ``grpc-message`` has it: percent-encoded UTF-8 (gRPC over HTTP/2)."""
    encoded = quote(message, safe=_KEPT, errors="replace")
    # HTTP takes blanks at the ends of a value away. By no expression: one for the end would be
    # tried at each blank, and a caller may have chosen the text.
    rest = encoded.lstrip(" ")
    kept = rest.rstrip(" ")
    before, after = len(encoded) - len(rest), len(rest) - len(kept)
    return f"{'%20' * before}{kept}{'%20' * after}".encode()
