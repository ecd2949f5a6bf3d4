"""Section 7: how a WebSocket ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

Talk = Callable[..., Awaitable[list[tuple[int, bytes]]]]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
BROKEN, NO_TEXT = 1002, 1007


def code(number: int, reason: bytes = b"") -> bytes:
    return number.to_bytes(2, "big") + reason


NORMAL = (CLOSE, code(1000))


async def test_7_1_1_messages_before_a_close_frame_come_back(talk: Talk) -> None:
    # Whether they come back before the close frame does is up to the service: it is not waited for.
    got = await talk((PING, b"?"), NORMAL)
    assert got == [(PONG, b"?"), NORMAL]


@pytest.mark.parametrize(
    "late",
    [(CLOSE, code(1001)), (PING, b""), (TEXT, b"late"), (CONT, b"late")],
    ids=["7.1.2 close", "7.1.3 ping", "7.1.4 text", "continuation"],
)
@pytest.mark.parametrize("chop", [None, 1], ids=["at once", "by bytes"])
async def test_nothing_after_a_close_frame_is_answered(
    talk: Talk, late: tuple[int, bytes], chop: int | None
) -> None:
    assert await talk(NORMAL, late, chop=chop) == [NORMAL]


async def test_7_1_5_close_frame_within_a_message_ends_it(talk: Talk) -> None:
    (last,) = await talk((TEXT, b"one", False), NORMAL, (CONT, b"two"))
    assert last[0] == CLOSE
    assert last[1][:2] in (code(1000), code(BROKEN))


async def test_7_1_6_close_frame_behind_a_large_message_is_answered(talk: Talk) -> None:
    got = await talk((TEXT, b"*" * (256 << 10)), NORMAL, (PING, b"late"), chop=60_000)
    assert got[-1] == NORMAL
    assert (PONG, b"late") not in got


@pytest.mark.parametrize(
    "payload",
    [b"", code(1000), code(1000, b"Hello World!"), code(1000, b"*" * 123)],
    ids=["7.3.1", "7.3.3", "7.3.4", "7.3.5"],
)
async def test_close_frame_is_answered_in_kind(talk: Talk, payload: bytes) -> None:
    assert await talk((CLOSE, payload)) == [(CLOSE, payload)]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"a", BROKEN),
        (code(1000, b"*" * 124), BROKEN),
        (code(1000, "κόσμε".encode() + b"\xed\xa0\x80"), NO_TEXT),
    ],
    ids=["7.3.2 one byte", "7.3.6 too long", "7.5.1 no text"],
)
async def test_broken_close_frame_is_answered_with_a_code(
    talk: Talk, payload: bytes, expected: int
) -> None:
    ((opcode, answer),) = await talk((CLOSE, payload))
    assert (opcode, answer[:2]) == (CLOSE, code(expected))


@pytest.mark.parametrize(
    "number",
    [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999],
)
async def test_7_7_code_that_may_be_sent_is_answered_with_itself(talk: Talk, number: int) -> None:
    assert await talk((CLOSE, code(number))) == [(CLOSE, code(number))]


@pytest.mark.parametrize(
    "number", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
async def test_7_9_code_that_may_not_be_sent_is_refused(talk: Talk, number: int) -> None:
    ((opcode, answer),) = await talk((CLOSE, code(number)))
    assert (opcode, answer[:2]) == (CLOSE, code(BROKEN))
