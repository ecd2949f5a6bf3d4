"""Headers of a call as gRPC metadata and back."""

from __future__ import annotations

import base64
import re
from typing import Final, TypeAlias

from kratos.errors import Error
from kratos.transport import Header
from kratos.transport.http import WireHeaders

__all__ = [
    "LEAVING",
    "OF_ANSWERS",
    "OF_REQUESTS",
    "Metadata",
    "arrived",
    "received",
    "to_metadata",
    "to_wire",
]

Metadata: TypeAlias = "tuple[tuple[str, str | bytes], ...]"

LEAVING: Final = "kratos-leaving"
"""The trailer by which a server that is about to stop tells clients to connect anew."""

_OF_BOTH: Final = frozenset(
    (b"content-length", b"content-type", b"grpc-accept-encoding", b"grpc-encoding")
)
OF_REQUESTS: Final = _OF_BOTH | {b"grpc-message-type", b"grpc-timeout", b"host", b"te"}
"""What the protocol itself says in the head of a request."""
OF_ANSWERS: Final = _OF_BOTH | {
    b"date",
    b"grpc-message",
    b"grpc-status",
    b"grpc-status-details-bin",
}
"""What it says in the head and in the trailers of an answer."""

_BINARY: Final = "-bin"
_BINARY_BYTES: Final = b"-bin"
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


def arrived(headers: WireHeaders, own: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the metadata among the headers of a request, for ``Header``.

    Binary values come as ``Header`` has them: several that were joined by commas are apart
    again, and none is padded.

    Args:
        headers: Lower-case names and values.
        own: Names that belong to the protocol.

    Raises:
        Error: 400 CODEC: a binary value is no base64; names it.
    """
    kept: list[tuple[bytes, bytes]] = []
    for pair in headers:
        name, value = pair
        if name in own:
            continue
        if name.endswith(_BINARY_BYTES):
            kept += [(name, _unpadded(name, each)) for each in value.split(b",")]
        else:
            kept.append(pair)
    return kept


def to_wire(header: Header) -> list[tuple[bytes, bytes]]:
    """Return a header as fields of HTTP, with all values: as ``to_metadata``, binary as base64.

    Raises:
        ValueError: gRPC cannot carry a name or value.
    """
    return [
        (name.encode(), value.encode() if isinstance(value, str) else _encoded(value))
        for name, value in to_metadata(header)
    ]


def _unpadded(name: bytes, value: bytes) -> bytes:
    value = value.strip().rstrip(b"=")
    try:
        base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except ValueError:
        shown = name.decode("latin-1")
        raise Error(400, "CODEC", f"the value of header {shown!r} is no base64") from None
    return value


def _encoded(value: bytes) -> bytes:
    return base64.b64encode(value).rstrip(b"=")


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
