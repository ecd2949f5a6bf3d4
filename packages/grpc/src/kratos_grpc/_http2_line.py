"""A line on HTTP/2 of our own: what ``GrpcConnector(engine="kratos")`` calls on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kratos.errors import Error
from kratos.transport import Arity, Call
from kratos_grpc._asking import Asking
from kratos_grpc._codec import encode
from kratos_grpc._codings import Coding, coding_named
from kratos_grpc._http2_attempt import Http2Attempt
from kratos_grpc._http2_stream import collect_over, converse_over
from kratos_grpc._sizes import request_not_sent
from kratos_http.http2 import Http2Channel

if TYPE_CHECKING:
    from kratos_grpc._line import Line

__all__ = ["Http2Line", "LineOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """What the calls of a client have in common.

    Attributes:
        max_receive: Bytes of the largest reply.
        max_send: Bytes of the largest request; ``None`` for no limit.
        coding: Of requests, unless a call says otherwise; ``None`` for none.
    """

    max_receive: int
    max_send: int | None
    coding: Coding | None


class Http2Line:
    """A connection to a node, and the calls on it; see ``Line``.

    Args:
        channel: The connection; the line closes it.
        asking: Writes header blocks.
        options: What its calls have in common with those of other nodes.

    Attributes:
        channel: As given.
        asking: As given.
        options: As given.
        attempts: The calls on it.
        cut: Whether the calls that are left were cut off.
    """

    __slots__ = ("_idle", "asking", "attempts", "channel", "cut", "options")

    def __init__(self, channel: Http2Channel, asking: Asking, options: LineOptions) -> None:
        self.channel = channel
        self.asking = asking
        self.options = options
        self.attempts: set[Http2Attempt] = set()
        self.cut = False
        self._idle: asyncio.Event | None = None

    @property
    def ready(self) -> bool:
        """Whether the connection stands."""
        return self.channel.ready

    async def connect(self) -> bool:
        """Try once to have the connection stand, and tell whether it does; see ``Line``.

        Raises:
            Error: 503: it does not; says why.
        """
        try:
            await self.channel.connect()
        except OSError as error:
            if self.cut:
                return False
            text = f"no connection to {self.channel.address}: {error}"
            raise Error(503, "UNREACHABLE", text) from None
        return True

    def start(self, call: Call, request: Any, /) -> Http2Attempt:
        """Make the call's bytes; see ``Line``."""
        method, options = call.method, self.options
        coding = options.coding
        if call.options is not None and call.options.compression is not None:
            coding = coding_named(call.options.compression)
        data = None
        if not method.arity.client_streams:
            data = encode(method, method.request, request)
            if options.max_send is not None and len(data) > options.max_send:
                raise request_not_sent(len(data), options.max_send)
        attempt = Http2Attempt(self, call, data, coding)
        self.attempts.add(attempt)
        return attempt

    def carry(self, attempt: Http2Attempt, request: Any, /) -> Coroutine[Any, Any, Any]:
        """Carry a call that was started; see ``Line``."""
        arity = attempt.call.method.arity
        if arity is Arity.UNARY:
            return attempt.single()
        if arity is Arity.CLIENT_STREAM:
            return collect_over(attempt, request)
        return converse_over(attempt)

    def ended(self, attempt: Http2Attempt, /) -> None:
        """Note that a call has ended."""
        self.attempts.discard(attempt)
        if self._idle is not None and not self.attempts:
            self._idle.set()

    async def aclose(self, *, drain: float | None = 0.0) -> None:
        """Let calls end, cut the rest off, close the connection; see ``Line``."""
        try:
            if self.attempts and drain != 0.0:
                self._idle = asyncio.Event()
                with suppress(TimeoutError):
                    async with asyncio.timeout(drain):  # wait_for may swallow a cancellation
                        await self._idle.wait()
        finally:
            self.cut = True
            await self.channel.aclose()


if TYPE_CHECKING:
    _: type[Line[Http2Attempt]] = Http2Line
