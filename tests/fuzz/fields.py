"""What stands in single headers: time limits, wanted types, metadata."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Final

from kratos.encoding import Codecs
from kratos.errors import Error
from kratos.transport import Header
from kratos.transport.timeout import format_timeout, parse_timeout
from kratos_grpc._metadata import received, to_metadata

__all__ = ["SEEDS", "WORDS", "check"]

SEEDS: Final = (
    b"1S",
    b"99999999n",
    b"application/json;q=0.5, application/protojson; charset=utf-8, */*;q=0",
    b"x-md-global-a\nvalue",
    b"trace-bin\nAAEC",
    b"grpc-timeout\n1S",
    b"Content-Type\ntext/plain",
)
WORDS: Final = (b"application/", b"json", b"protojson", b";q=0.1", b"-bin", b"x-md-", b"AAEC")

_TIMEOUT: Final = re.compile(rb"[0-9]{1,8}[HMSmun]")
_CODECS: Final = Codecs()


def check(data: bytes) -> None:
    """Take each for what it may be: a value, or an error that says so, and the way back."""
    _timeout(data)
    _accept(data.decode("latin-1"))
    name, _, value = data.partition(b"\n")
    _metadata(name.decode("latin-1"), value.decode("latin-1"))


def _timeout(data: bytes) -> None:
    if not _TIMEOUT.fullmatch(data):
        with suppress(Error):
            raise AssertionError(f"{data!r} is {parse_timeout(data)} seconds")
        return
    seconds = parse_timeout(data)
    again = parse_timeout(format_timeout(seconds).encode())
    # Nobody may believe that it has longer, but no time at all would be no header.
    assert again <= max(seconds, 1e-6) or math.isclose(again, seconds)


def _accept(text: str) -> None:
    chosen = _CODECS.select(text, fallback="json")
    assert chosen.codec.name
    _CODECS.find(text)


def _metadata(name: str, value: str) -> None:
    header = Header()
    try:
        header.add(name, value)
        sent = to_metadata(header)
    except ValueError:
        return
    back = received(sent)
    for key, given in sent:
        if isinstance(given, str):
            assert back.values(key) == [given]
        else:
            assert back.get_bytes(key) == given
