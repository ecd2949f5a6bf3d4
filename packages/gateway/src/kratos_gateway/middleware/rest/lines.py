"""A stream of messages as lines of JSON, or as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from kratos.encoding import CodecError
from kratos.encoding.json import JsonCodec
from kratos.errors import Error
from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Answer
from kratos_gateway.middleware.frames import Frames
from kratos_gateway.middleware.rest.rules import Rule
from kratos_gateway.middleware.statuses import UNIMPLEMENTED, error_json, error_of, status_of

__all__ = ["Lines"]


class Lines:
    """Messages of gRPC as they come, each as a line; an error is the last line.

    That is ``{"error":{"code":...}}``, and an event of type ``error`` to those who want events.

    Args:
        answer: Whose body they are.
        rule: By which it was asked for.
        json: Writes messages.
        most: Bytes of the largest one.
        events: Whether events are written.
        unknown: Told if the back end did not know the method.
    """

    def __init__(
        self,
        answer: Answer,
        rule: Rule,
        json: JsonCodec,
        most: int,
        *,
        events: bool,
        unknown: Callable[[], None],
    ) -> None:
        self._answer: Final = answer
        self._rule: Final = rule
        self._json: Final = json
        self._frames: Final = Frames(answer.body, most)
        self._events: Final = events
        self._unknown: Final = unknown
        self._over = False

    @property
    def trailers(self) -> WireHeaders:
        """None: those of gRPC are in the last line."""
        return ()

    async def read(self) -> bytes:
        """Return the next line; ``b""`` at the end."""
        if self._over:
            return b""
        try:
            message = await self._frames.next()
            if message is not None:
                _, text = self._rule.write(self._json, message)
                return b"data: %b\n\n" % text if self._events else text + b"\n"
        except (CodecError, DecodeError) as error:
            return self._end(Error(502, "BAD_GATEWAY", f"a message cannot be written: {error}"))
        except Error as error:
            return self._end(error)
        body = self._answer.body
        trailers = self._answer.trailers if isinstance(body, bytes) else body.trailers
        status = status_of(Answer(200, trailers=trailers))
        if status.code:
            if status.code == UNIMPLEMENTED:
                self._unknown()
            return self._end(error_of(status))
        self._over = True
        return b""

    def close(self) -> None:
        """Cut it off."""
        self._over = True
        if not isinstance(self._answer.body, bytes):
            self._answer.body.close()

    def _end(self, error: Error) -> bytes:
        self.close()
        text = error_json(error)
        if self._events:
            return b"event: error\ndata: %b\n\n" % text
        return b'{"error":%b}\n' % text
