"""Frames of a server, or any bytes, against the client's side of HTTP/2."""

from __future__ import annotations

from tests.fuzz.http2 import SEEDS, WORDS, tried

__all__ = ["SEEDS", "WORDS", "check"]


def check(data: bytes) -> None:
    """Ask: the same is told and sent however the bytes come, and nothing is without bounds."""
    tried(data, client=True)
