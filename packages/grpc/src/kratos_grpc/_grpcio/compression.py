"""Compression of messages, which gRPC's core does, and reads whatever the options say."""

from __future__ import annotations

from typing import Final

import grpc

from kratos_grpc._codings import Coding, coding_named

__all__ = ["core_coding", "server_options"]

_CODINGS: Final = {b"gzip": grpc.Compression.Gzip, b"deflate": grpc.Compression.Deflate}
_LEVELS: Final = {b"gzip": 1, b"deflate": 3}


def core_coding(name: str) -> grpc.Compression | None:
    """Return what gRPC calls a coding; ``None`` for none.

    Raises:
        ConfigError: There is no such coding.
    """
    coding = coding_named(name)
    return None if coding is None else _CODINGS[coding.name]


def server_options(coding: Coding | None) -> list[tuple[str, int]]:
    """Return the channel arguments of a server that compresses where its peer reads it."""
    # By level: an algorithm would be used for peers, too, that do not read it, such as clients of
    # Go into which gzip is not linked. Of those that a peer reads, the lowest level means gzip
    # and the highest deflate, as the core ranks them (compression_internal.cc).
    return [] if coding is None else [("grpc.default_compression_level", _LEVELS[coding.name])]
