"""Sections 1 to 5: sizes, pings and pongs, reserved bits, opcodes, fragments."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

import pytest

Got = list[tuple[int, bytes]]


class Talk(Protocol):
    normal: Got

    def __call__(self, *frames: Any, chop: int | None = None) -> Awaitable[Got]: ...


Spec = tuple[Any, ...]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
END = (TEXT, b"\x1eend")
CHOPS = pytest.mark.parametrize("chop", [None, 1], ids=["at once", "by bytes"])


def back(payload: bytes) -> tuple[int, bytes]:
    """Return what comes back of a message: raw bodies are bytes, whatever they came as."""
    return BINARY, payload


async def refused(talk: Talk, *frames: Spec, chop: int | None = None) -> list[tuple[int, bytes]]:
    """Send frames that break the protocol; return what came before the close frame."""
    *before, (opcode, payload) = await talk(*frames, (TEXT, b"late"), END, chop=chop)
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xea")
    assert back(b"late") not in before
    return before


class Test1Sizes:
    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65535, 65536])
    async def test_message_of_every_form_of_length_comes_back(
        self, talk: Talk, opcode: int, size: int
    ) -> None:
        assert await talk((opcode, b"*" * size), END) == [back(b"*" * size), *talk.normal]

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    async def test_message_in_chops_comes_back(self, talk: Talk, opcode: int) -> None:
        got = await talk((opcode, b"*" * 65536), END, chop=997)
        assert got == [back(b"*" * 65536), *talk.normal]


class Test2PingsAndPongs:
    @CHOPS
    @pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125])
    async def test_ping_is_answered_with_what_it_carries(
        self, talk: Talk, payload: bytes, chop: int | None
    ) -> None:
        assert await talk((PING, payload), END, chop=chop) == [(PONG, payload), *talk.normal]

    async def test_ping_that_is_too_long_is_refused(self, talk: Talk) -> None:
        assert await refused(talk, (PING, b"\xfe" * 126)) == []

    @pytest.mark.parametrize("payload", [b"", b"unasked"])
    async def test_pong_that_nobody_asked_for_is_ignored(self, talk: Talk, payload: bytes) -> None:
        got = await talk((PONG, payload), (PING, b"?"), END)
        assert got == [(PONG, b"?"), *talk.normal]

    @CHOPS
    async def test_ten_pings_are_answered_in_order(self, talk: Talk, chop: int | None) -> None:
        pings = [(PING, b"payload-%d" % i) for i in range(10)]
        pongs = [(PONG, payload) for _, payload in pings]
        assert await talk(*pings, END, chop=chop) == [*pongs, *talk.normal]


class Test3ReservedBits:
    @CHOPS
    @pytest.mark.parametrize(
        ("reserved", "opcode"),
        [(1, TEXT), (2, TEXT), (3, TEXT), (4, TEXT), (5, BINARY), (6, PING), (7, CLOSE)],
    )
    async def test_reserved_bit_is_refused(
        self, talk: Talk, opcode: int, reserved: int, chop: int | None
    ) -> None:
        payload = b"\x03\xe8" if opcode == CLOSE else b"*"
        await refused(talk, (TEXT, b"good"), (opcode, payload, True, reserved), chop=chop)


class Test4Opcodes:
    @CHOPS
    @pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
    async def test_reserved_opcode_is_refused(
        self, talk: Talk, opcode: int, chop: int | None
    ) -> None:
        payload = b"reserved" if opcode % 2 else b""
        await refused(talk, (TEXT, b"good"), (opcode, payload), (PING, b""), chop=chop)


FRAGMENTS: dict[str, list[Spec]] = {
    "5.3 two": [(TEXT, b"one", False), (CONT, b"two")],
    "5.6 ping between": [(TEXT, b"one", False), (PING, b"?"), (CONT, b"two")],
    "5.15 then another message": [(TEXT, b"one", False), (CONT, b"two"), (BINARY, b"three")],
    "5.19 pings among five": [
        (TEXT, b"1", False), (CONT, b"2", False), (PING, b"a"), (CONT, b"3", False),
        (CONT, b"4", False), (PING, b"b"), (CONT, b"5"),
    ],
    "6.1 three empty": [(TEXT, b"", False), (CONT, b"", False), (CONT, b"")],
    "6.1 two empty": [(TEXT, b"", False), (CONT, b"middle", False), (CONT, b"")],
}  # fmt: skip

OUT_OF_ORDER: dict[str, list[Spec]] = {
    "5.1 ping in fragments": [(PING, b"one", False), (CONT, b"two")],
    "5.2 pong in fragments": [(PONG, b"one", False), (CONT, b"two")],
    "5.9 continuation of nothing": [(CONT, b"none"), (TEXT, b"good")],
    "5.12 unfinished continuation of nothing": [(CONT, b"none", False), (TEXT, b"good")],
    "5.15 continuation after the end": [
        (TEXT, b"one", False), (CONT, b"two"), (CONT, b"three", False), (TEXT, b"good"),
    ],
    "5.16 unfinished continuation first": [
        (CONT, b"one", False), (TEXT, b"two", False), (CONT, b"three"),
    ],
    "5.17 continuation first": [(CONT, b"one"), (TEXT, b"two", False), (CONT, b"three")],
    "5.18 text within a text": [(TEXT, b"one", False), (TEXT, b"two")],
    "5.18 bytes within a text": [(TEXT, b"one", False), (BINARY, b"two")],
}  # fmt: skip


class Test5Fragments:
    @CHOPS
    @pytest.mark.parametrize("case", FRAGMENTS)
    async def test_fragments_make_one_message(
        self, talk: Talk, case: str, chop: int | None
    ) -> None:
        frames = FRAGMENTS[case]
        got = await talk(*frames, END, chop=chop)
        messages = [payload for opcode, payload in got if opcode == BINARY]
        parts = [payload for opcode, payload, *_ in frames if opcode in (TEXT, CONT)]
        later = [payload for opcode, payload, *_ in frames if opcode == BINARY]
        assert messages == [b"".join(parts), *later]
        pongs = [payload for opcode, payload in got if opcode == PONG]
        assert pongs == [payload for opcode, payload, *_ in frames if opcode == PING]
        assert got[len(messages) + len(pongs) :] == talk.normal

    @CHOPS
    @pytest.mark.parametrize("case", OUT_OF_ORDER)
    async def test_fragments_out_of_order_are_refused(
        self, talk: Talk, case: str, chop: int | None
    ) -> None:
        await refused(talk, *OUT_OF_ORDER[case], chop=chop)
