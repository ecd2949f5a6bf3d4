"""Headers of a call as gRPC metadata and back."""

from __future__ import annotations

import base64
import re
from typing import Final, TypeAlias

from kratos.transport import Header

__all__ = ["LEAVING", "Metadata", "received", "to_metadata"]

Metadata: TypeAlias = "tuple[tuple[str, str | bytes], ...]"

LEAVING: Final = "kratos-leaving"
"""The trailer by which a server that is about to stop tells clients to connect anew."""

_BINARY: Final = "-bin"
_NAME: Final = re.compile(r"[0-9a-z_.-]+\Z")
_VALUE: Final = re.compile(r"[\x20-\x7e]*\Z")
_PUSHBACK: Final = "grpc-retry-pushback-ms"  # of the protocol, but a server's to say
_PROTOCOL: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        LEAVING,  # a relay that copies trailers would send its own clients away
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)


def received(metadata: Metadata | None) -> Header:
    """Return received metadata as a header, decoded on first use; binary values as base64."""
    return Header.received(metadata) if metadata else Header()


def to_metadata(header: Header) -> Metadata:
    """Return a header as metadata, with all values.

    What belongs to the protocol is left out: ``grpc-*``, ``content-type`` and their like,
    which a relay may have copied from another transport. ``grpc-retry-pushback-ms`` is not: by it
    a server tells clients when to try again (gRPC proposal A6).

    Raises:
        ValueError: gRPC cannot carry a name or value.
    """
    if not header:
        return ()
    return tuple(
        (name, _checked(name, value)) for name, value in header.items() if not _is_protocol(name)
    )


def _is_protocol(name: str) -> bool:
    return name in _PROTOCOL or (name.startswith("grpc-") and name != _PUSHBACK)


def _checked(name: str, value: str) -> str | bytes:
    if not _NAME.match(name):
        raise ValueError(f"gRPC cannot carry the header {name!r}: use letters, digits and -_.")
    if name.endswith(_BINARY):
        return _decoded(name, value)
    if not _VALUE.match(value):
        raise ValueError(
            f"gRPC cannot carry the value of header {name!r}: only printable ASCII is allowed; "
            f"encode it, or send bytes as {name}{_BINARY}"
        )
    return value


def _decoded(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError as error:
        raise ValueError(f"value of header {name!r} is no base64: use add_bytes") from error
