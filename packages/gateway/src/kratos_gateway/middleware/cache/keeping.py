"""Answers on their way to a shelf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kratos.clock import Clock
from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Answer, Body, Request
from kratos_gateway.middleware.cache.freshness import Lifetimes, may_be_kept
from kratos_gateway.middleware.cache.kept import Kept, Shelf
from kratos_gateway.middleware.callers import caller_of

__all__ = ["Keeper", "announced", "is_of_somebody"]

_CHANGED: Final = frozenset((b"content-encoding", b"content-type", b"content-range", b"set-cookie"))


class Keeper:
    """Puts answers on a shelf.

    Args:
        shelf: It.
        largest: Bytes of the largest answer that is kept.
        lifetimes: How long they are.
        clock: Time.
    """

    def __init__(self, shelf: Shelf, largest: int, lifetimes: Lifetimes, clock: Clock) -> None:
        self.largest: Final = largest
        self._shelf: Final = shelf
        self._lifetimes: Final = lifetimes
        self._clock: Final = clock

    def keep(
        self, request: Request, key: str, answer: Answer, serial: int, *, by: object = None
    ) -> bool:
        """Keep an answer, as it passes if it is in pieces; tell whether it may be kept.

        Args:
            request: What was asked.
            key: What it is kept for.
            answer: What came.
            serial: That of the shelf when it was asked for.
            by: See ``Kept``.
        """
        lifetime = self._lifetimes.of(answer, self._clock.wall())
        if lifetime is None or not may_be_kept(answer, shared=not is_of_somebody(request)):
            return False
        kept = Kept.of(request, answer, lifetime, self._clock.time(), by=by)

        def put(body: bytes) -> None:
            self._shelf.put(key, kept.with_body(body), asked=serial)

        if isinstance(answer.body, bytes):
            if len(answer.body) > self.largest or answer.trailers:
                return False
            put(answer.body)
        elif announced(answer) > self.largest:
            return False
        else:
            answer.body = _Recorder(answer.body, self.largest, put)
        return True

    def freshen(self, key: str, found: Kept, answer: Answer, serial: int) -> Kept | None:
        """Keep what a back end has said to be still good, with what it has said besides.

        Returns:
            It; ``None`` where it may be kept no more.
        """
        told = {name for name, _ in answer.headers} - _CHANGED - {b"content-length"}
        headers = [pair for pair in found.headers if pair[0] not in told]
        headers += [pair for pair in answer.headers if pair[0] in told]
        merged = Answer(found.status, headers)
        lifetime = self._lifetimes.of(merged, self._clock.wall())
        if lifetime is None or not may_be_kept(merged, shared=True):
            self._shelf.lose(key, found)
            return None
        kept = found.freshened(headers, lifetime, self._clock.time())
        self._shelf.put(key, kept, asked=serial)
        return kept


class _Recorder:
    """A body that is kept as it passes, if it is not too large.

    Args:
        body: It.
        most: Bytes that are kept.
        put: Takes it, once it has ended well and without trailers.
    """

    __slots__ = ("_body", "_left", "_pieces", "_put")

    def __init__(self, body: Body, most: int, put: Callable[[bytes], None]) -> None:
        self._body: Final = body
        self._put: Final = put
        self._left = most
        self._pieces: list[bytes] | None = []

    @property
    def trailers(self) -> WireHeaders:
        return self._body.trailers

    async def read(self) -> bytes:
        piece = await self._body.read()
        pieces = self._pieces
        if pieces is None:
            return piece
        if not piece:
            self._pieces = None
            if not self._body.trailers:
                self._put(b"".join(pieces))
            return piece
        self._left -= len(piece)
        if self._left < 0:
            self._pieces = None
        else:
            pieces.append(piece)
        return piece

    def close(self) -> None:
        self._pieces = None
        self._body.close()


def announced(answer: Answer, /) -> int:
    """Return the bytes that an answer says its body has; 0 where it does not say."""
    text = answer.header(b"content-length")
    return int(text) if text.isdigit() and len(text) < 20 else 0


def is_of_somebody(request: Request, /) -> bool:
    """Tell whether a request is of somebody who is known, or may be."""
    return bool(request.header(b"cookie")) or caller_of(request) is not None
