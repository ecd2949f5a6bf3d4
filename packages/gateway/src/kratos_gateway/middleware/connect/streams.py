"""Streams of Connect, which differ from those of gRPC in their end, and perhaps in their format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kratos.errors import Error
from kratos_gateway.exchange import Answer, Body
from kratos_gateway.middleware.connect.errors import end, of_http
from kratos_gateway.middleware.connect.formats import Format, inflated
from kratos_gateway.middleware.frames import Frames, framed
from kratos_gateway.middleware.statuses import Status, status_of

__all__ = ["Replies", "Requests", "trailers_of"]


def trailers_of(answer: Answer, /) -> list[tuple[bytes, bytes]]:
    """Return the trailers of an answer that has ended, without those of gRPC."""
    trailers = answer.trailers if isinstance(answer.body, bytes) else answer.body.trailers
    return [pair for pair in trailers if not pair[0].startswith(b"grpc-")]


class Requests:
    """The ``Body`` of a call: the messages of another, in another format.

    Args:
        body: What the client sends.
        read: Makes a message of one of the client's.
        coding: By which those are compressed that say so.
        most: Bytes of the largest message, compressed or not.

    Attributes:
        failure: What the client did wrong; ``None`` for nothing.
    """

    def __init__(
        self, body: bytes | Body, read: Callable[[bytes], bytes], coding: bytes, most: int
    ) -> None:
        self.failure: Error | None = None
        self._body: Final = body
        self._frames: Final = Frames(body, most, compressed=True)
        self._read: Final = read
        self._coding: Final = coding
        self._most: Final = most

    @property
    def trailers(self) -> tuple[()]:
        """None."""
        return ()

    async def read(self) -> bytes:
        """Return the next message; see ``Body``."""
        try:
            data = await self._frames.next()
            if data is None:
                return b""
            if self._frames.flag:
                data = inflated(data, self._coding, self._most)
            return framed(self._read(data))
        except Error as error:
            code = 400 if error.reason == "BAD_GATEWAY" else error.code  # it is no back end's
            self.failure = Error(code, "CODEC", error.message.replace("the back end's ", "the "))
            raise self.failure from error

    def close(self) -> None:
        """Read no more."""
        if not isinstance(self._body, bytes):
            self._body.close()


class Replies:
    """The ``Body`` of an answer: messages as they come, and an end that tells how the call did.

    Args:
        answer: That of the back end.
        form: Of messages for the client.
        most: Bytes of the largest message.
        noted: Told how the call ended; returns that.
    """

    def __init__(
        self, answer: Answer, form: Format, most: int, noted: Callable[[Status], Status]
    ) -> None:
        self._answer: Final = answer
        self._frames: Final = Frames(answer.body, most, compressed=form.write is None)
        self._form: Final = form
        self._noted: Final = noted
        self._over = False

    @property
    def trailers(self) -> tuple[()]:
        """None: the end has them."""
        return ()

    async def read(self) -> bytes:
        """Return the next message, or the end; see ``Body``."""
        if self._over:
            return b""
        write = self._form.write
        try:
            data = await self._frames.next()
            if data is not None:
                return framed(data, self._frames.flag) if write is None else framed(write(data))
        except Error as error:
            return self._end(of_http(error))
        except OSError:
            return self._end(Status(14, "the back end was lost"))
        trailers = trailers_of(self._answer)
        return self._end(self._noted(status_of(self._ended())), trailers)

    def close(self) -> None:
        """Cut it off."""
        self._over = True
        if not isinstance(self._answer.body, bytes):
            self._answer.body.close()

    def _ended(self) -> Answer:
        answer = self._answer
        trailers = answer.trailers if isinstance(answer.body, bytes) else answer.body.trailers
        return Answer(answer.status, answer.headers, trailers=trailers)

    def _end(self, status: Status, trailers: list[tuple[bytes, bytes]] | None = None) -> bytes:
        self.close()
        return end(status, trailers or ())
