"""The WebSocket protocol at its edges, by raw frames; in the spirit of the Autobahn suite."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_http import HttpServer, Limits
from kratos_http.testing import HANDSHAKE, SocketPeer, frame, next_frame, running

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

Frames = list[tuple[int, bytes]]


def word(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


def code(number: int, reason: bytes = b"") -> bytes:
    return number.to_bytes(2, "big") + reason


@asynccontextmanager
async def chatting(limits: Limits | None = None) -> AsyncGenerator[SocketPeer]:
    """Open a WebSocket that echoes."""
    server = HttpServer("127.0.0.1:0", limits=limits)
    server.mount(Mount(services=[EchoService()]))
    async with running(server):
        (url,) = await server.bind()
        peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
        lines = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE)
        await peer.send(f"GET /kratos.testing/chat HTTP/1.1\r\nHost: t\r\n{lines}\r\n".encode())
        head = await peer.until(b"\r\n\r\n")
        assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455, 1.3
        try:
            yield peer
        finally:
            await peer.aclose()


async def answers(peer: SocketPeer, data: bytes) -> Frames:
    """Send bytes and return all frames up to a close frame, which gives its code alone."""
    await peer.send(data)
    got: Frames = []
    while not got or got[-1][0] != CLOSE:
        opcode, payload = await next_frame(peer)
        got.append((opcode, payload[:2] if opcode == CLOSE else payload))
    return got


DONE = frame(TEXT, b"\x1eend")
CLOSED = (CLOSE, code(1000))
ABC = (TEXT, word("abc"))

WELL: dict[str, tuple[bytes, Frames]] = {
    "1 empty text": (frame(TEXT), [(TEXT, word(""))]),
    "1 binary": (frame(BINARY, word("abc")), [ABC]),
    **{
        f"1 text of {size}": (frame(TEXT, word("x" * (size - 2))), [(TEXT, word("x" * (size - 2)))])
        for size in (125, 126, 127, 128, 65535, 65536)
    },
    "2 empty ping": (frame(PING), [(PONG, b"")]),
    "2 ping": (frame(PING, b"\x00\xff" * 60), [(PONG, b"\x00\xff" * 60)]),
    "2 many pings": (
        b"".join(frame(PING, b"%d" % i) for i in range(10)),
        [(PONG, b"%d" % i) for i in range(10)],
    ),
    "2 pong that nobody asked for": (frame(PONG, b"x") + frame(TEXT, word("abc")), [ABC]),
    "5 fragments": (
        frame(TEXT, b'"a', final=False) + frame(CONT, b"b", final=False) + frame(CONT, b'c"'),
        [ABC],
    ),
    "5 ping between fragments": (
        frame(TEXT, b'"a', final=False) + frame(PING, b"?") + frame(CONT, b'bc"'),
        [(PONG, b"?"), ABC],
    ),
    "5 empty fragments": (
        frame(TEXT, final=False) + frame(CONT, final=False) + frame(CONT, word("abc")),
        [ABC],
    ),
    "6 text cut within a character": (
        frame(TEXT, b'"\xe2\x82', final=False) + frame(CONT, b'\xac"'),
        [(TEXT, word("€"))],
    ),
}

ILL: dict[str, tuple[bytes, int]] = {
    "2 ping too long": (frame(PING, b"x" * 126), 1002),
    **{f"3 reserved bits {bits}": (frame(TEXT, b'"x"', reserved=bits), 1002) for bits in (1, 2, 4)},
    **{f"4 opcode {op}": (frame(op), 1002) for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "5 continuation of nothing": (frame(CONT, b"x"), 1002),
    "5 text within a text": (frame(TEXT, b"a", final=False) + frame(TEXT, b"b"), 1002),
    "5 ping in fragments": (frame(PING, final=False), 1002),
    "5 close in fragments": (frame(CLOSE, code(1000), final=False), 1002),
    "6 bytes that are no UTF-8": (frame(TEXT, b'"\xff"'), 1007),
    "6 surrogate": (frame(TEXT, b'"\xed\xa0\x80"'), 1007),
    "6 overlong": (frame(TEXT, b'"\xc0\xaf"'), 1007),
    "6 cut short": (frame(TEXT, b'"\xe2', final=False) + frame(CONT, b'\x82"'), 1007),
    "7 close of one byte": (frame(CLOSE, b"\x03"), 1002),
    **{
        f"7 close with {number}": (frame(CLOSE, code(number)), 1002)
        for number in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000)
    },
    "7 reason that is no UTF-8": (frame(CLOSE, code(1000, b"\xff")), 1007),
    "7 reason too long": (frame(CLOSE, code(1000, b"x" * 124)), 1002),
    "unmasked": (frame(TEXT, b'"x"', masked=False), 1002),
}


@pytest.mark.parametrize("case", WELL)
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
async def test_frames_are_taken(case: str, bytewise: bool) -> None:
    sent, expected = WELL[case]
    async with chatting() as peer:
        if bytewise and len(sent) < 1000:
            for byte in sent:
                await peer.send(bytes((byte,)))
            sent = b""
        assert await answers(peer, sent + DONE) == [*expected, CLOSED]


@pytest.mark.parametrize("case", ILL)
async def test_broken_frames_close_the_socket_with_a_code(case: str) -> None:
    sent, number = ILL[case]
    async with chatting() as peer:
        got = await answers(peer, frame(TEXT, word("abc")) + sent + frame(TEXT, word("late")))
        assert got[-1] == (CLOSE, code(number))
        assert (TEXT, word("late")) not in got
        assert await peer.rest() == b""


@pytest.mark.parametrize(
    "payload", [b"", code(1000), code(1001, "gründe".encode()), code(3999), code(4000, b"x" * 123)]
)
async def test_close_is_answered_in_kind_and_nothing_after_it(payload: bytes) -> None:
    async with chatting() as peer:
        await peer.send(frame(CLOSE, payload) + frame(PING) + frame(TEXT, word("late")))
        assert await next_frame(peer) == (CLOSE, payload)
        assert await peer.rest() == b""


@pytest.mark.parametrize(
    "sent",
    [
        frame(TEXT, word("x" * 100)),
        frame(TEXT, b'"' + b"x" * 60, final=False) + frame(CONT, b"x" * 60),
        frame(BINARY, b"")[:1] + b"\xff" + b"\x7f" + b"\xff" * 7,
    ],
    ids=["whole", "fragments", "announced"],
)
async def test_message_beyond_the_limit_closes_with_1009(sent: bytes) -> None:
    async with chatting(Limits(max_message=100)) as peer:
        assert (await answers(peer, sent))[-1] == (CLOSE, code(1009))


async def test_silent_peer_is_pinged() -> None:
    async with chatting(Limits(ping_interval=0.01, ping_timeout=0.01)) as peer:
        for _ in range(3):  # Go's client may be silent for long: it is not given up
            assert await next_frame(peer) == (PING, b"")
        assert await answers(peer, frame(TEXT, word("abc")) + DONE)
