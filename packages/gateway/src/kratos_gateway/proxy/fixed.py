"""Answers to requests that lead to no endpoint."""

from __future__ import annotations

import logging
from typing import Final

from kratos.clock import Clock
from kratos.transport.http import Head, Wire, WireHeaders
from kratos_gateway.proxy.location import query_of
from kratos_gateway.proxy.observing import EndpointRecorder

__all__ = ["Fixed", "Itself", "Redirect"]

_log = logging.getLogger("kratos.gateway.accesslog")

_SHOWN: Final = 512  # bytes
_TEXT: Final = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
)


class Fixed:
    """A ``Streamed`` endpoint that reads nothing and says one thing.

    Args:
        status: Of its answers.
        text: Their body.
        recorder: Its series.
        clock: Time for these.
    """

    def __init__(self, status: int, text: str, recorder: EndpointRecorder, clock: Clock) -> None:
        self._status = status
        self._text = text
        self._body = f"{text}\n".encode()
        self._recorder = recorder
        self._clock = clock
        self._headers = (*_TEXT, (b"content-length", b"%d" % len(self._body)))

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Answer, and tell the log."""
        began = self._clock.time()
        _log.error(
            "%s %r of %r: %d %s (%r)",
            head.method,
            _begin(head.path),
            _begin(head.header(b"host")),
            self._status,
            self._text,
            _begin(head.header(b"user-agent")),
        )
        await _say(wire, self._status, self._headers, self._body)
        took = self._clock.time() - began
        self._recorder.of(head.method).answered(self._status, took)


class Itself:
    """A ``Streamed`` endpoint for ``OPTIONS *``, which asks the gateway whether it is there."""

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Say so, as Go's server does."""
        await _say(wire, 200, ((b"content-length", b"0"),), b"")


class Redirect:
    """A ``Streamed`` endpoint that sends requests to the path that differs in its last slash."""

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Answer 301."""
        path = head.params[0]
        path = path[:-1] if path.endswith("/") else f"{path}/"
        place = path + query_of(head.query)
        headers = ((b"location", place.encode()), (b"content-length", b"0"))
        await _say(wire, 301, headers, b"")


def _begin(value: bytes) -> str:
    """Return as much of what a client chose as a log should hold of it."""
    return value[:_SHOWN].decode("latin-1")


async def _say(wire: Wire, status: int, headers: WireHeaders, body: bytes) -> None:
    wire.start(status, headers)
    if body:
        await wire.write(body)
    await wire.finish()
