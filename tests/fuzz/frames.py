"""Frames of WebSockets, whole and in pieces, against a naive reader of RFC 6455.

Where the RFC leaves a choice, the reader's is the library's: a close frame within a message is an
error, and of several things that are wrong with a frame it tells the same one.
"""

from __future__ import annotations

from typing import Final

from tests.fuzz.cut import cut

from kratos_http._frames import Frames, Message, Side

__all__ = ["SEEDS", "WORDS", "check"]

_MOST: Final = 2000
_KEY: Final = b"\x01\x02\x03\x04"
_SENT: Final = (
    b"\x81\x85" + _KEY + b"\x69\x67\x6f\x68\x6e",
    b"\x01\x81" + _KEY + b"\x60\x89\x81" + _KEY + b"x\x80\x81" + _KEY + b"\x63",
    b"\x82\xfe\x00\x80" + _KEY + b"\x80" * 128,
    b"\x88\x82" + _KEY + b"\x02\xea",
    b"\x88\x80" + _KEY + b"\x8a\x80" + _KEY,
    b"\x01\x82" + _KEY + b"\xe3\x80\x80\x81" + _KEY + b"\xad",
    b"\xc1\x81" + _KEY + b"a\x83\x80" + _KEY,
    b"\x82\xff\x00\x00\x00\x00\x00\x00\x08\x00" + _KEY,
)
SEEDS: Final = tuple(bytes((i, i)) + sent for i, sent in enumerate(_SENT))
WORDS: Final = (_KEY, b"\x81\x80", b"\x80\x80", b"\x01\x80", b"\x88\x82", b"\x89\x80", b"\xff")

_CODES: Final = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))


def check(data: bytes) -> None:
    """Read frames: the same messages and the same verdict as a naive reader, however cut."""
    plan, sent = data[:2], data[2:]
    whole, verdict, out = _read([sent])
    cuts, other, out_of_cuts = _read(cut(sent, plan))
    assert (whole, verdict, out) == (cuts, other, out_of_cuts)
    messages, expected = _naive(sent)
    assert whole == messages
    assert verdict == expected


def _read(pieces: list[bytes]) -> tuple[list[Message], int | None, bytes]:
    frames = Frames(Side.SERVER, max_message=_MOST)
    messages: list[Message] = []
    out = b""
    for piece in pieces:
        messages += frames.feed(piece)
        out += b"".join(frames.outgoing())
    return messages, _verdict(frames, out), out


def _verdict(frames: Frames, out: bytes) -> int | None:
    """Return the code of the close frame that was sent; 0 for one without a code."""
    assert (frames.failure is None) or not frames.open
    while out:
        size, start = out[1], 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(out[2:start], "big")
        if out[0] == 0x88:
            assert len(out) == start + size, "nothing follows a close frame"
            return int.from_bytes(out[start : start + 2], "big")
        out = out[start + size :]
    return None


def _naive(data: bytes) -> tuple[list[Message], int | None]:
    """Return the messages, and the code that has to answer what ends them."""
    messages: list[Message] = []
    text: bool | None = None  # of the message that has begun
    parts = b""
    while True:
        frame = _frame(data, len(parts))
        if frame is None or isinstance(frame, int):
            return messages, frame
        final, opcode, payload, data = frame
        if opcode == 8:
            code = _closing(payload)
            return messages, 1002 if text is not None and code not in (1002, 1007) else code
        if opcode > 8:
            continue
        if (opcode == 0) == (text is None):
            return messages, 1002
        text = opcode == 1 if opcode else text
        parts += payload
        if text and not _begins_text(parts, final=final):
            return messages, 1007
        if final:
            messages.append(parts.decode() if text else parts)
            text, parts = None, b""


def _frame(data: bytes, before: int) -> tuple[bool, int, bytes, bytes] | int | None:
    """Return the next frame and the rest; a code for a broken one, nothing for half of one."""
    if len(data) < 2:
        return None
    final, opcode, size = data[0] >= 128, data[0] & 15, data[1] & 127
    if not data[1] & 128 or opcode not in (0, 1, 2, 8, 9, 10):
        return 1002
    start = {126: 4, 127: 10}.get(size, 2)
    if len(data) < start:
        return None
    size = int.from_bytes(data[2:start], "big") if start > 2 else size
    if before + size > _MOST:
        return 1009
    if len(data) < start + 4 + size:
        return None
    if data[0] & 0x70 or (opcode >= 8 and (size > 125 or not final)):
        return 1002
    mask, payload = data[start : start + 4], data[start + 4 : start + 4 + size]
    plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return final, opcode, plain, data[start + 4 + size :]


def _closing(payload: bytes) -> int:
    if not payload:
        return 0
    if len(payload) > 1 and not _begins_text(payload[2:], final=True):
        return 1007
    code = int.from_bytes(payload[:2], "big")
    return code if len(payload) > 1 and code in _CODES else 1002


def _begins_text(data: bytes, *, final: bool) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return not final and error.reason == "unexpected end of data"
    return True
