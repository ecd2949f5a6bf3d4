"""Sections 9 and 10: large messages and many; a tenth of the suite's, which measures too."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

import pytest

Got = list[tuple[int, bytes]]


class Talk(Protocol):
    normal: Got

    def __call__(self, *frames: Any, chop: int | None = None) -> Awaitable[Got]: ...


CONT, TEXT, BINARY, CLOSE = 0, 1, 2, 8
END = (TEXT, b"\x1eend")
KIB, MIB = 1 << 10, 1 << 20

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.1", "9.2"])
@pytest.mark.parametrize("size", [64 * KIB, 256 * KIB, 1 * MIB, 4 * MIB, 16 * MIB])
async def test_large_message_comes_back(talk: Talk, opcode: int, size: int) -> None:
    assert await talk((opcode, b"*" * size), END, chop=MIB) == [(BINARY, b"*" * size), *talk.normal]


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.3", "9.4"])
@pytest.mark.parametrize("fragment", [64, 1 * KIB, 16 * KIB, 256 * KIB])
async def test_large_message_in_fragments_comes_back(
    talk: Talk, opcode: int, fragment: int
) -> None:
    size = min(4 * MIB, fragment * 2000)
    frames = [
        (CONT if at else opcode, b"*" * fragment, at + fragment >= size)
        for at in range(0, size, fragment)
    ]
    assert await talk(*frames, END, chop=MIB) == [(BINARY, b"*" * size), *talk.normal]


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.5", "9.6"])
@pytest.mark.parametrize("chop", [64, 512, 2048])
async def test_large_message_in_chops_comes_back(talk: Talk, opcode: int, chop: int) -> None:
    size = min(MIB, chop * 2000)
    got = await talk((opcode, b"*" * size), END, chop=chop)
    assert got == [(BINARY, b"*" * size), *talk.normal]


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["9.7", "9.8"])
@pytest.mark.parametrize("size", [0, 16, 256, 4096, 65536])
async def test_many_messages_come_back_in_order(talk: Talk, opcode: int, size: int) -> None:
    count = 1000 if size < 65536 else 100
    messages = [b"%06d" % i + b"*" * size for i in range(count)]
    got = await talk(*[(opcode, message) for message in messages], END, chop=MIB)
    assert got == [*[(BINARY, message) for message in messages], *talk.normal]


async def test_10_1_text_that_is_cut_into_frames_comes_back_whole(talk: Talk) -> None:
    text = b"*" * 65536
    frames = [
        (CONT if at else TEXT, text[at : at + 1300], at + 1300 >= len(text))
        for at in range(0, len(text), 1300)
    ]
    assert await talk(*frames, END) == [(BINARY, text), *talk.normal]
