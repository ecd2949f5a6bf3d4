"""A short stand-in for a sequence of texts."""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["fingerprint"]

_SHORT: Final = 16  # bytes: 128 bits


def fingerprint(*parts: bytes) -> bytes:
    """Return 128 bits that stand for a sequence of texts, and for no other one."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()[:_SHORT]
