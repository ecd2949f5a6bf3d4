"""Compression of messages, which gRPC's core does, and reads whatever the options say."""

from __future__ import annotations

from typing import Final

import grpc

from kratos.errors import ConfigError
from kratos_grpc._codings import Coding

__all__ = ["coding_of", "server_options"]

_CODINGS: Final = {
    "": None,
    "identity": None,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}

_LEVELS: Final = {b"gzip": 1, b"deflate": 3}


def coding_of(name: str) -> grpc.Compression | None:
    """Return what gRPC calls a coding; ``None`` for none.

    Raises:
        ConfigError: There is no such coding.
    """
    try:
        return _CODINGS[name]
    except (KeyError, TypeError):  # what is no text may have no hash
        raise ConfigError(
            f"compression {name!r} is none of gRPC: it is 'gzip', 'deflate', or empty for none"
        ) from None


def server_options(coding: Coding | None) -> list[tuple[str, int]]:
    """Return the channel arguments of a server that compresses where its peer reads it."""
    # By level: an algorithm would be used for peers, too, that do not read it, such as clients of
    # Go into which gzip is not linked. Of those that a peer reads, the lowest level means gzip
    # and the highest deflate, as the core ranks them (compression_internal.cc).
    return [] if coding is None else [("grpc.default_compression_level", _LEVELS[coding.name])]
