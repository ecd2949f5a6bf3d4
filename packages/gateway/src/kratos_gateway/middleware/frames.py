"""Messages of gRPC within a body: five bytes, which say how long it is, before each."""

from __future__ import annotations

from typing import Final

from kratos.errors import Error
from kratos_gateway.exchange import Body

__all__ = ["Frames", "framed"]

_HEAD: Final = 5


def framed(message: bytes, flag: int = 0, /) -> bytes:
    """Return a message as it is sent; its flag tells whether it is compressed."""
    return bytes((flag,)) + len(message).to_bytes(4, "big") + message


class Frames:
    """Reads the messages of an answer, one by one.

    Args:
        body: Of the answer.
        most: Bytes of the largest message.
        compressed: Whether messages may be compressed.

    Attributes:
        flag: Of the message that came last: 1 if it is compressed.
    """

    def __init__(self, body: bytes | Body, most: int, *, compressed: bool = False) -> None:
        self.flag = 0
        self._compressed: Final = compressed
        self._body: Final = body
        self._most: Final = most
        self._rest = bytearray(body if isinstance(body, bytes) else b"")
        self._ended = isinstance(body, bytes)

    async def next(self) -> bytes | None:
        """Return the next message; ``None`` at the clean end.

        Raises:
            Error: 502 ``BAD_GATEWAY``: what comes is none, broke off, or is too large.
            OSError: The back end was lost.

        Cancellation: safe; nothing is lost.
        """
        rest = self._rest
        while True:
            if len(rest) >= _HEAD:
                size = int.from_bytes(rest[1:_HEAD], "big")
                self._check(rest[0], size)
                if len(rest) >= _HEAD + size:
                    self.flag = rest[0]
                    message = bytes(rest[_HEAD : _HEAD + size])
                    del rest[: _HEAD + size]
                    return message
            if self._ended:
                if rest:
                    raise _bad("the back end's answer broke off within a message")
                return None
            await self._more()

    async def _more(self) -> None:
        assert not isinstance(self._body, bytes), "what is whole has ended"
        piece = await self._body.read()
        self._rest += piece
        self._ended = not piece

    def _check(self, flag: int, size: int) -> None:
        if flag == 1 and not self._compressed:
            raise _bad("the back end's answer is compressed, which nobody asked for")
        if flag > 1:
            raise _bad("the back end's answer is no message of gRPC")
        if size > self._most:
            raise _bad(f"a message of the back end has more than {self._most} bytes")


def _bad(message: str) -> Error:
    return Error(502, "BAD_GATEWAY", message)
