"""Raw bytes, split at any place, against the HTTP engine."""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from typing import Final

from tests.fuzz.cut import cut
from tests.fuzz.line import Application, exchanged
from tests.fuzz.replies import answers

__all__ = ["SEEDS", "WORDS", "check"]

_SHAKE: Final = (
    b"GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_NEXT: Final = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"


def _post(path: str, *lines: str, body: bytes = b"") -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"POST {path} HTTP/1.1", "Host: h", *lines))
    return head.encode() + b"\r\n" + body


_CHUNKED: Final = "Transfer-Encoding: chunked"
_LENGTH: Final = "Content-Length: 3"
_REQUESTS: Final = (
    _NEXT,
    b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 2\r\n\r\nHEAD / HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + _post("/", "Connection: close") + _NEXT,
    _post("/", _LENGTH, body=b"abc") + _NEXT,
    _post("/stream", _LENGTH, body=b"abc") + _NEXT,
    _post("/stream", _CHUNKED, body=b"2\r\nab\r\n0\r\n\r\n") + _NEXT,
    _post("/", _CHUNKED, body=b"1;a=b\r\nx\r\n0\r\nT: t\r\n\r\n") + _NEXT,
    _post("/", _LENGTH, "Expect: 100-continue", body=b"abc"),
    _post("/", _LENGTH, "Connection: Upgrade", "Upgrade: h2c", body=b"abc") + _NEXT,
    _post("/", _LENGTH, _CHUNKED, body=b"0\r\n\r\n") + _NEXT,
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\nGET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    _SHAKE + b"\x81\x83\x01\x02\x03\x04\x60\x60\x60\x88\x80\x01\x02\x03\x04",
    _SHAKE + b"\x01\x81\x00\x00\x00\x00a\x89\x80\x00\x00\x00\x00\x80\x81\x00\x00\x00\x00b",
)
SEEDS: Final = tuple(bytes((7 * i, i)) + request for i, request in enumerate(_REQUESTS))
WORDS: Final = (
    b"\r\n", b"\r\n\r\n", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"GET /", b"POST /", b"HEAD /",
    b"CONNECT ", b"OPTIONS * ", b"/stream", b"/socket", b"http://", b"Host: h\r\n",
    b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding", b"chunked",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Upgrade\r\n",
    b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n",
    b"Sec-WebSocket-Version: 13\r\n", b"0\r\n\r\n", b"1\r\nx\r\n", b"\0", b"\t", b"\r", b"\n", b"#",
)  # fmt: skip

_log = logging.getLogger("kratos.http")

_PIECES: Final = 24  # more would only be slow


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def check(data: bytes) -> None:
    """Read requests whole and in pieces: no exception, the same requests, the same answers."""
    plan, request = data[:2], data[2:]
    whole, cuts = Application(), Application()
    _log.disabled = True  # of failing endpoints there are many
    try:
        at_once = _runner().run(exchanged(whole, [request]))
        in_pieces = _runner().run(exchanged(cuts, cut(request, plan, most=_PIECES)))
    finally:
        _log.disabled = False
    assert _heads(whole) == _heads(cuts)
    assert _told(at_once, whole) == _told(in_pieces, cuts)


def _heads(application: Application) -> list[object]:
    return [
        (head.method, head.path, head.query, head.headers, head.version)
        for head in application.heads
    ]


def _told(sent: bytes, application: Application) -> list[tuple[int, bytes]]:
    found = answers(sent, [head.method for head in application.heads])
    # The text of a refusal may say where in a piece something was wrong.
    return [(status, body if status == 200 else b"") for status, body in found]
