"""Requests of HTTP/2 that were answered before all of their bodies had come."""

from __future__ import annotations

from kratos_http.limits import Limits
from kratos_http2 import ErrorCode, ServerConnection, Stream

__all__ = ["Lingering"]


class Lingering:
    """Streams whose peers may send on for a while, to nobody.

    RFC 9113 (8.1) lets a server reset such a stream at once. A peer that is about to send when it
    hears of that may report the reset and not the answer, as curl 7.88 does. So it is left to end
    what it began, as over HTTP/1.1, and cut off only when it does not.

    Args:
        h2: The connection that has them.
        limits: How long they may.
    """

    __slots__ = ("_h2", "_limits", "_until")

    def __init__(self, h2: ServerConnection, limits: Limits) -> None:
        self._h2 = h2
        self._limits = limits
        self._until: dict[Stream, float] = {}  # the one that began first comes first

    def add(self, stream: Stream, now: float) -> None:
        """Let a stream end by itself."""
        self._until[stream] = now + self._limits.linger
        self._h2.consumed(stream, stream.unread)

    def take(self, stream: Stream) -> None:
        """Drop what came on a stream; nothing if it is none of these."""
        if stream not in self._until:
            return
        if stream.received_end:
            del self._until[stream]
        else:
            self._h2.consumed(stream, stream.unread)

    def forget(self, stream: Stream) -> None:
        """Note that a stream has ended."""
        self._until.pop(stream, None)

    def check(self, now: float) -> None:
        """Reset the streams whose time is over."""
        for stream, until in tuple(self._until.items()):
            if now <= until:
                return
            del self._until[stream]
            self._h2.reset(stream, ErrorCode.NO_ERROR)

    def clear(self) -> None:
        """Forget all."""
        self._until.clear()
