"""How a value is kept: as it is, or with a head where there is more to know."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

__all__ = ["Kept", "pack", "unpack"]

# No JSON, no protobuf message, no gzip and no number begins so.
_SIGN: Final = b"\x00kc1"
_HEAD: Final = struct.Struct("!4s?d")


class Kept(NamedTuple):
    """What was kept.

    Attributes:
        body: The value; ``None`` for the mark that there is none.
        fresh: Seconds since the epoch until which it is fresh; ``None`` for as long as it is kept.
    """

    body: bytes | None
    fresh: float | None = None


def pack(kept: Kept) -> bytes:
    """Return what is to be kept; a value without more to know as it is, for others to read."""
    body, fresh = kept
    if body is not None and fresh is None and not body.startswith(_SIGN):
        return body
    return _HEAD.pack(_SIGN, body is None, fresh or 0.0) + (body or b"")


def unpack(data: bytes) -> Kept:
    """Return what was kept.

    Raises:
        ValueError: The data has been cut.
    """
    if not data.startswith(_SIGN):
        return Kept(data)
    if len(data) < _HEAD.size:
        raise ValueError("what is kept has been cut")
    _, is_mark, fresh = _HEAD.unpack_from(data)
    return Kept(None if is_mark else data[_HEAD.size :], fresh or None)
