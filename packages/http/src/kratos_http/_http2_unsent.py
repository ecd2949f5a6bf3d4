"""Answers that a peer of HTTP/2 does not take: it gives their streams no window."""

from __future__ import annotations

from kratos_http.limits import Limits
from kratos_http2 import Stream

__all__ = ["Unsent"]


class Unsent:
    """The streams of a connection on which something waits for the peer.

    Args:
        limits: How long it may.

    Attributes:
        size: Bytes that wait, or did when that was last looked at.
    """

    __slots__ = ("_limits", "_streams", "size")

    def __init__(self, limits: Limits) -> None:
        self.size = 0
        self._limits = limits
        self._streams: dict[Stream, tuple[float, int]] = {}  # since when, and how much it was then

    @property
    def full(self) -> bool:
        """Whether so much waits that the peer's next requests wait, too."""
        return self.size > self._limits.max_unsent

    def watch(self, stream: Stream, now: float) -> None:
        """Note that something waits on a stream."""
        if stream not in self._streams:
            self._streams[stream] = (now, stream.pending)
            self.size += stream.pending

    def forget(self, stream: Stream) -> None:
        """Note that nothing does any more."""
        found = self._streams.pop(stream, None)
        if found is not None:
            self.size -= found[1]

    def clear(self) -> None:
        """Forget all."""
        self._streams.clear()
        self.size = 0

    def late(self, now: float) -> list[Stream]:
        """Return the streams whose peer takes less than it has to."""
        limits = self._limits
        enough = limits.min_write_rate * limits.write_timeout
        late: list[Stream] = []
        for stream, (since, before) in tuple(self._streams.items()):
            if now - since <= limits.write_timeout:
                continue
            if before - stream.pending < enough:
                late.append(stream)
            self.forget(stream)
            self.watch(stream, now)
        return late
