"""A stream of requests that comes as lines of JSON, as messages of gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kratos.encoding import CodecError
from kratos.errors import Error
from kratos_gateway.exchange import Body
from kratos_gateway.middleware.bodies import too_large
from kratos_gateway.middleware.frames import framed

__all__ = ["Uploads"]


class Uploads:
    """A ``Body``: each line of another, as soon as it has come, is a message. Empty ones are none.

    Args:
        body: Of the request.
        read: Makes the bytes of a message of a line; raises ``CodecError``.
        most: Bytes of the longest line.

    Attributes:
        failure: What the client did wrong; ``None`` for nothing.
    """

    def __init__(self, body: bytes | Body, read: Callable[[bytes], bytes], most: int) -> None:
        self.failure: Error | None = None
        self._body: Final = None if isinstance(body, bytes) else body
        self._read: Final = read
        self._most: Final = most
        self._rest = bytearray(body if isinstance(body, bytes) else b"")
        self._seen = 0  # bytes of the rest that have no end of a line
        self._ended = isinstance(body, bytes)

    @property
    def trailers(self) -> tuple[()]:
        """None: nobody can rely on those of requests."""
        return ()

    async def read(self) -> bytes:
        """Return the messages that have come; see ``Body``.

        Raises:
            Error: 400 ``CODEC``: a line is no message. 413: it is too long. Or the body broke off.

        Cancellation: safe; nothing is lost.
        """
        while True:
            found = self._whole_lines()
            if found:
                return found
            if self._ended:
                return b""
            assert self._body is not None, "what is whole has ended"
            piece = await self._body.read()
            self._rest += piece
            self._ended = not piece

    def close(self) -> None:
        """Read no more."""
        if self._body is not None:
            self._body.close()

    def _whole_lines(self) -> bytes:
        rest = self._rest
        end = len(rest) if self._ended else rest.rfind(b"\n", self._seen) + 1
        longest = len(rest) - end
        lines = bytes(rest[:end]).split(b"\n") if end else []
        del rest[:end]
        self._seen = longest
        if longest > self._most or any(len(line) > self._most for line in lines):
            self.failure = too_large(self._most)
            raise self.failure
        try:
            return b"".join(framed(self._read(line)) for line in lines if line.strip())
        except CodecError as error:
            self.failure = Error(400, "CODEC", error.message)
            raise self.failure from error
