"""Section 6: texts are UTF-8, all of it and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol

import pytest

Got = list[tuple[int, bytes]]


class Talk(Protocol):
    normal: Got

    def __call__(self, *frames: Any, chop: int | None = None) -> Awaitable[Got]: ...


CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
END = (TEXT, b"\x1eend")
NO_TEXT = b"\x03\xef"  # 1007

KOSME = "κόσμε".encode()
GREETING = "Hello-µ@ßöäüàá-UTF-8!!".encode()


def hexes(text: str) -> list[bytes]:
    return [bytes.fromhex(each) for each in text.split()]


VALID = {
    "6.1 empty": [b""],
    "6.2 several scripts": [GREETING, KOSME, "日本語 עברית 😀".encode()],
    "6.6 prefixes that end with a character": [KOSME[:2], KOSME[:4], KOSME[:6], KOSME[:8]],
    "6.7 first of each length": hexes("00 c280 e0a080 f0908080"),
    "6.9 last of each length": hexes("7f dfbf efbfbf f48fbfbf"),
    "6.11 around what is not": hexes("ed9fbf ee8080 efbfbd f48fbfbf"),
    "6.22 characters that are none": hexes(
        "efbfbe efbfbf f09fbfbe f09fbfbf f0afbfbe f0afbfbf f0bfbfbe f0bfbfbf f18fbfbe f18fbfbf"
        " f19fbfbe f1afbfbf f2bfbfbe f38fbfbf f3bfbfbe f3bfbfbf f48fbfbe f48fbfbf"
    ),
    "6.23 specials": hexes("efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf"),
}

INVALID = {
    "6.3 surrogates among good text": [KOSME + b"\xed\xa0\x80edited"],
    "6.6 prefixes that end within a character": [KOSME[:1], KOSME[:3], KOSME[:5], KOSME[:9]],
    "6.8 first of five and six bytes": hexes("f888808080 fc8480808080"),
    "6.10 last of five and six bytes": hexes("f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf"),
    "6.11 one beyond the last": hexes("f4908080"),
    "6.12 continuations of nothing": [
        *hexes("80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf"),
        bytes(range(0x80, 0xC0)),
    ],
    "6.13 lonely starts": [
        b"".join(bytes((byte, 0x20)) for byte in range(first, last + 1))
        for first, last in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
    ],
    "6.14 last byte missing": hexes(
        "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf"
    ),
    "6.15 all of these": [b"".join(hexes("c0 e080 f08080 df efbf f7bfbf"))],
    "6.16 impossible bytes": hexes("fe ff fefeffff"),
    "6.17 too long for a slash": hexes("c0af e080af f08080af f8808080af fc80808080af"),
    "6.18 longest that is too long": hexes("c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf"),
    "6.19 too long for zero": hexes("c080 e08080 f0808080 f880808080 fc8080808080"),
    "6.20 halves of pairs": hexes("eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf"),
    "6.21 pairs": hexes(
        "eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf edae80edb080 edafbfedbfbf"
    ),
}


@pytest.mark.parametrize("case", VALID)
async def test_text_comes_back(talk: Talk, case: str) -> None:
    texts = VALID[case]
    got = await talk(*[(TEXT, text) for text in texts], END)
    assert got == [*[(BINARY, text) for text in texts], *talk.normal]


@pytest.mark.parametrize("case", VALID)
async def test_text_in_fragments_of_one_byte_comes_back(talk: Talk, case: str) -> None:
    frames = [
        (CONT if at else TEXT, text[at : at + 1], at + 1 >= len(text))
        for text in VALID[case]
        for at in range(max(len(text), 1))
    ]
    got = await talk(*frames, END)
    assert got == [*[(BINARY, text) for text in VALID[case]], *talk.normal]


@pytest.mark.parametrize("case", INVALID)
async def test_what_is_no_text_closes_with_1007(talk: Talk, case: str) -> None:
    got = await asyncio.gather(*[talk((TEXT, text), (PING, b"late")) for text in INVALID[case]])
    assert [[(opcode, payload[:2]) for opcode, payload in one] for one in got] == [
        [(CLOSE, NO_TEXT)]
    ] * len(got)


@pytest.mark.parametrize("case", INVALID)
async def test_what_is_no_text_in_fragments_closes_with_1007(talk: Talk, case: str) -> None:
    def frames(text: bytes) -> list[tuple[int, bytes, bool]]:
        first, rest = (TEXT, text[:1], False), text[1:]
        return [first, *[(CONT, bytes((byte,)), False) for byte in rest], (CONT, b"", True)]

    got = await asyncio.gather(*[talk(*frames(text)) for text in INVALID[case]])
    assert [[(opcode, payload[:2]) for opcode, payload in one] for one in got] == [
        [(CLOSE, NO_TEXT)]
    ] * len(got)


@pytest.mark.parametrize(
    "frames",
    [
        [(TEXT, KOSME + b"\xf4\x90\x80\x80", False)],
        [(TEXT, KOSME, False), (CONT, b"\xf4", False), (CONT, b"\x90", False)],
        [(TEXT, KOSME + b"\xf4", False), (CONT, b"\x90\x80\x80edited", False)],
    ],
    ids=["6.4.1", "6.4.2", "6.4.1 between frames"],
)
async def test_text_that_cannot_become_utf8_is_refused_before_its_end(
    talk: Talk, frames: list[tuple[int, bytes, bool]]
) -> None:
    # The message never ends: whoever waits for that waits for ever.
    ((opcode, payload),) = await talk(*frames, chop=0)
    assert (opcode, payload[:2]) == (CLOSE, NO_TEXT)


@pytest.mark.parametrize("case", INVALID)
async def test_bytes_may_be_anything(talk: Talk, case: str) -> None:
    payloads = INVALID[case]
    got = await talk(*[(BINARY, payload) for payload in payloads], END)
    assert got == [*[(BINARY, payload) for payload in payloads], *talk.normal]
