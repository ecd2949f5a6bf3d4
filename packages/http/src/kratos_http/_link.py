"""A connection's transport: how slow the peer is in taking things, and how it is left."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from kratos_http._unsent import unsent

if TYPE_CHECKING:
    from kratos_http.engine import Engine

__all__ = ["SLACK", "Link"]

SLACK: Final = 1.0  # seconds by which the engine's notion of now may lag behind


class Link(asyncio.Protocol, ABC):
    """A connection of an ``Engine``, whatever it speaks.

    Attributes:
        offended: Whether a log tells of a limit that its peer exceeded.
    """

    __slots__ = (
        "_abort_at",
        "_engine",
        "_limits",
        "_stalled",
        "_transport",
        "_unsent",
        "offended",
    )

    def __init__(self, engine: Engine) -> None:
        self.offended = False
        self._engine = engine
        self._limits = engine.limits
        self._transport: asyncio.Transport | None = None
        self._abort_at: float | None = None  # set when the connection is being closed
        self._stalled: float | None = None  # since when the peer takes nothing
        self._unsent = 0

    @property
    def writable(self) -> bool:
        """Whether the peer takes what is sent to it."""
        return self._stalled is None

    def pause_writing(self) -> None:
        """Note that the peer is slow."""
        self._stalled = self._engine.now
        self._unsent = self._buffered()

    # Called by the engine.

    @property
    @abstractmethod
    def idle_since(self) -> float | None:
        """The loop's time since when nothing happens; ``None`` if something does."""

    @abstractmethod
    def check(self, now: float) -> None:
        """Act on a peer that takes too long."""

    @abstractmethod
    def drain(self) -> None:
        """Begin with nothing more, and close as soon as nothing is under way."""

    @abstractmethod
    def close_idle(self) -> None:
        """Close if nothing is under way."""

    @abstractmethod
    def cut(self) -> None:
        """End at once, whatever is going on."""

    def abort(self) -> None:
        """Cut the connection off; nothing more is sent."""
        if self._transport is not None:
            self._transport.abort()

    def _hang_up(self, transport: asyncio.Transport, *, midway: bool) -> None:
        """Close once everything is sent; wait a little for a peer that still sends itself.

        Args:
            transport: What is closed.
            midway: Whether the peer is sending something.
        """
        self._unsent = self._buffered()
        if not midway:
            self._abort_at = self._engine.now + self._limits.write_timeout
            transport.close()
            return
        # Closing with unread input resets the connection, and the peer may lose the answer.
        self._abort_at = self._engine.now + self._limits.linger + SLACK
        if transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:  # the peer has gone, which reading alone would have told
                transport.abort()

    def _is_late(self, now: float) -> bool:
        """Tell whether the peer took too long to take what is sent to it, or to go."""
        if self._abort_at is not None:
            if now > self._abort_at and self._takes_enough():
                self._abort_at = now + self._limits.write_timeout
            return now > self._abort_at
        if self._stalled is None or now - self._stalled <= self._limits.write_timeout:
            return False
        if not self._takes_enough():
            return True
        self._stalled = now
        return False

    def _takes_enough(self) -> bool:
        """Tell whether the peer took its part since this was asked last, and has not got all."""
        limits, unsent = self._limits, self._unsent
        self._unsent = self._buffered()
        return 0 < self._unsent <= unsent - limits.min_write_rate * limits.write_timeout

    def _buffered(self) -> int:
        return 0 if self._transport is None else unsent(self._transport)
