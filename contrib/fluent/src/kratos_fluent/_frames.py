"""Messages of the forward protocol, version 1: entries of one tag, in three modes."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Sequence
from os import urandom
from typing import Final, Literal, TypeAlias

import msgspec

__all__ = ["Mode", "chunk_id", "message"]

Mode: TypeAlias = Literal["message", "forward", "packed"]

_pack: Final = msgspec.msgpack.Encoder().encode


def chunk_id() -> str:
    """Return a name for what is to be acknowledged: 128 random bits, as the protocol asks for."""
    return b64encode(urandom(16)).decode()


def message(
    mode: Mode, tag: str, entries: Sequence[bytes], *, chunk: str = "", compress: bool = False
) -> bytes:
    """Return one message.

    Args:
        mode: Its form.
        tag: Of all entries.
        entries: Arrays of a time and a record, in MessagePack; one for ``message``.
        chunk: Its name, if it is to be acknowledged.
        compress: Whether entries are compressed, for ``packed``.
    """
    option: dict[str, str | int] = {}
    if mode != "message":
        option["size"] = len(entries)
    if chunk:
        option["chunk"] = chunk
    if mode == "message":
        (entry,) = entries
        return b"\x94" + _pack(tag) + entry[1:] + _pack(option)  # its members are ours
    body = b"".join(entries)
    if mode == "forward":
        return b"\x93" + _pack(tag) + _array(len(entries)) + body + _pack(option)
    if compress:
        option["compressed"] = "gzip"
        body = gzip.compress(body, compresslevel=1)
    return b"\x93" + _pack(tag) + _pack(body) + _pack(option)


def _array(length: int) -> bytes:
    if length < 16:
        return bytes([0x90 | length])
    if length < 1 << 16:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")
