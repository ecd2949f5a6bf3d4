"""Codings of messages: how they are compressed, and read within limits."""

from __future__ import annotations

import zlib
from typing import Final

from kratos.errors import ConfigError, Error
from kratos.offload import offload
from kratos_grpc._sizes import inflated_not_taken

__all__ = [
    "ACCEPTED",
    "CODINGS",
    "IDENTITY",
    "MINIMUM",
    "Coding",
    "coding_named",
    "compressed",
    "decompressed",
    "listed_in",
]

MINIMUM: Final = 1024
"""Bytes of the smallest message that is compressed: others gain nothing."""

IDENTITY: Final = b"identity"

# A message of more bytes is compressed and decompressed in a thread: it takes a millisecond or
# more. Of one byte, deflate makes 1032 at most.
_LONG: Final = 32 * 1024
_SHORT: Final = 4 * 1024


class Coding:
    """A way to compress messages.

    Args:
        name: Its name in headers.
        window: What zlib calls so: which format it is.

    Attributes:
        name: Its name in headers.
    """

    __slots__ = ("_window", "name")

    def __init__(self, name: bytes, window: int) -> None:
        self.name = name
        self._window = window

    def compress(self, data: bytes) -> bytes:
        """Return a message compressed."""
        deflate = zlib.compressobj(wbits=self._window)
        return deflate.compress(data) + deflate.flush()

    def decompress(self, data: bytes, most: int) -> bytes:
        """Return a message as it was.

        Raises:
            Error: 429 MESSAGE_TOO_LARGE: it has more than ``most`` bytes; hardly more are made.
                400 CODEC: it is malformed.
        """
        inflate = zlib.decompressobj(self._window)
        try:
            # One byte more than allowed tells that there are too many.
            message = inflate.decompress(data, most + 1)
        except zlib.error as error:
            raise _malformed(self.name, str(error)) from error
        if len(message) > most:
            raise inflated_not_taken(most)
        if not inflate.eof:
            raise _malformed(self.name, "it ends early")
        if inflate.unused_data:  # nobody sends gzip in several members, which take more to read
            raise _malformed(self.name, "something follows its end")
        return message


CODINGS: Final[dict[bytes, Coding]] = {
    b"gzip": Coding(b"gzip", 16 + zlib.MAX_WBITS),
    b"deflate": Coding(b"deflate", zlib.MAX_WBITS),
}
"""By name; ``identity``, which is none, is not among them."""

ACCEPTED: Final = b",".join((IDENTITY, *CODINGS))
"""What a server tells that it reads."""


def coding_named(name: str) -> Coding | None:
    """Return a coding by its name, ``None`` for an empty one and for ``identity``.

    Raises:
        ConfigError: There is no such coding.
    """
    coding = CODINGS.get(str(name).encode())
    if coding is None and name not in ("", "identity"):
        raise ConfigError(
            f"compression {name!r} is none of gRPC: it is 'gzip', 'deflate', or empty for none"
        )
    return coding


async def compressed(data: bytes, coding: Coding) -> bytes:
    """Return a message compressed; a long one in a thread.

    Cancellation: leaves the thread at work, for a bounded time.
    """
    if len(data) <= _LONG:
        return coding.compress(data)
    return await offload(coding.compress, data)


async def decompressed(data: bytes, coding: Coding, most: int) -> bytes:
    """Return a message as it was; a long one is made in a thread.

    Raises:
        Error: As ``Coding.decompress``.

    Cancellation: leaves the thread at work, for a bounded time.
    """
    if len(data) <= _SHORT:
        return coding.decompress(data, most)
    return await offload(coding.decompress, data, most)


def listed_in(value: bytes) -> frozenset[bytes]:
    """Return the codings that a header such as ``grpc-accept-encoding`` lists."""
    return frozenset(name.strip().lower() for name in value.split(b","))


def _malformed(name: bytes, problem: str) -> Error:
    return Error(400, "CODEC", f"the message is no {name.decode()}: {problem}")
