"""A stream of messages as lines of JSON, or as events."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from kratos.encoding import CodecError
from kratos.encoding.json import JsonCodec
from kratos.errors import Error
from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Answer, Body
from kratos_gateway.middleware.frames import Frames
from kratos_gateway.middleware.rules import Rule
from kratos_gateway.middleware.statuses import error_json, error_of, status_of

__all__ = ["Lines"]


class Lines:
    """Messages of gRPC as they come, each as a line; an error is the last line.

    That is ``{"error":{"code":...}}``, and an event of type ``error`` to those who want events.

    Args:
        body: Of the answer.
        rule: By which it was asked for.
        json: Writes messages.
        most: Bytes of the largest one.
        events: Whether events are written.
    """

    def __init__(self, body: Body, rule: Rule, json: JsonCodec, most: int, *, events: bool) -> None:
        self._body: Final = body
        self._rule: Final = rule
        self._json: Final = json
        self._frames: Final = Frames(body, most)
        self._events: Final = events
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
        status = status_of(Answer(200, trailers=self._body.trailers))
        if status.code:
            return self._end(error_of(status))
        self._over = True
        return b""

    def close(self) -> None:
        """Cut it off."""
        self._over = True
        self._body.close()

    def _end(self, error: Error) -> bytes:
        self.close()
        text = error_json(error)
        if self._events:
            return b"event: error\ndata: %b\n\n" % text
        return b'{"error":%b}\n' % text
