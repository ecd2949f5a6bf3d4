"""Messages between the runner and programs under test: four bytes of length before each."""

from __future__ import annotations

import asyncio
import sys
from typing import BinaryIO, Final, TypeVar

from google.protobuf.message import Message

__all__ = ["read", "standard_input", "write"]

M = TypeVar("M", bound=Message)

_PREFIX: Final = 4  # bytes, big-endian


async def read(kind: type[M], source: asyncio.StreamReader) -> M | None:
    """Return the next message, ``None`` at the end."""
    try:
        prefix = await source.readexactly(_PREFIX)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    return kind.FromString(await source.readexactly(int.from_bytes(prefix, "big")))


def write(message: Message, target: BinaryIO) -> None:
    """Write a message."""
    data = message.SerializeToString()
    target.write(len(data).to_bytes(_PREFIX, "big") + data)
    target.flush()


async def standard_input() -> asyncio.StreamReader:
    """Return what comes from the runner."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader
