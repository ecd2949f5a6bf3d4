"""Compression of messages, which gRPC's core does, and reads whatever the options say."""

from __future__ import annotations

from typing import Final

import grpc

from kratos.errors import ConfigError

__all__ = ["MINIMUM", "coding_of", "server_options"]

MINIMUM: Final = 1024
"""Bytes of the smallest message that is compressed: others gain nothing."""

_CODINGS: Final = {
    "": None,
    "identity": None,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}

_LEVELS: Final = {grpc.Compression.Gzip: 1, grpc.Compression.Deflate: 3}


def coding_of(name: str) -> grpc.Compression | None:
    """Return what gRPC calls a coding; ``None`` for none.

    Raises:
        ConfigError: There is no such coding.
    """
    try:
        return _CODINGS[name]
    except KeyError:
        raise ConfigError(
            f"compression {name!r} is none of gRPC: it is 'gzip', 'deflate', or empty for none"
        ) from None


def server_options(coding: grpc.Compression | None) -> list[tuple[str, int]]:
    """Return the channel arguments of a server that compresses where its peer reads it."""
    # By level: an algorithm would be used for peers, too, that do not read it, such as clients of
    # Go into which gzip is not linked. Of those that a peer reads, the lowest level means gzip
    # and the highest deflate, as the core ranks them (compression_internal.cc).
    return [] if coding is None else [("grpc.default_compression_level", _LEVELS[coding])]
