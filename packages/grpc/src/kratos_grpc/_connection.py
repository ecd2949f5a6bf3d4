"""The connection to one node: a line, and another when the server leaves."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.selector import Node
from kratos.transport import Arity, Call, Method
from kratos_grpc._failures import closed
from kratos_grpc._line import Attempt, Line
from kratos_grpc._metadata import LEAVING

__all__ = ["GrpcConnection"]

_log = logging.getLogger("kratos.grpc")

# Where every server at an address leaves, moving on helps nobody: so many times, within seconds.
_MOVES: Final = 8
_MOVES_WITHIN: Final = 5.0
_REPEATS: Final = 32  # calls that are carried once more, within
_REPEATS_WITHIN: Final = 5.0  # seconds


class GrpcConnection:
    """Carries the calls to one node; see ``Connection``.

    A server that is about to leave, one of several workers at an address, says so in the
    trailers of its replies: ``kratos-leaving``. New calls then go on another connection, as soon
    as that stands, so that none meets the farewell of gRPC's core: that cancels calls that come
    between its decision to stop and their client's hearing of it.

    Args:
        node: Where it leads to.
        dial: Makes a line, in the event loop.
    """

    def __init__(
        self,
        node: Node,
        dial: Callable[[Node], Line[Any]],
    ) -> None:
        self._node = node
        self._dial = dial
        self._line: Line[Any] | None = None
        self._moves: set[asyncio.Task[None]] = set()
        self._moving = False
        self._moved: deque[float] = deque(maxlen=_MOVES)
        self._repeated: deque[float] = deque(maxlen=_REPEATS)
        self._closing = False

    @property
    def node(self) -> Node:
        """Where it leads to."""
        return self._node

    @property
    def ready(self) -> bool:
        """Whether the connection stands."""
        return self._line is not None and not self._closing and self._line.ready

    async def warm(self) -> None:
        """Connect, and return when the connection stands; see ``Connection``.

        Raises:
            Error: 503: the newest attempt failed, or the connection is closed.
        """
        if not await self._open().connect():
            if self._closing:
                raise closed(self._node.address)
            raise Error(503, "UNREACHABLE", f"no connection to {self._node.address}")

    async def invoke(self, call: Call, request: Any, /) -> Any:
        """Carry one call; see ``Connection``.

        Raises:
            Error: What the service answered, or 503 when it was not reached.
            ValueError: gRPC cannot carry one of the headers, or does not have the coding.

        Cancellation: cancels the call at the peer.
        """
        line = self._open()
        call.peer = self._node.address
        attempt = line.start(call, request)
        try:
            return await line.carry(attempt, request)
        except Error:
            if not (attempt.unanswered and self._may_repeat(call.method)):
                raise
        finally:
            self._end(line, attempt)
        return await self._again(call, request)

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, let those in flight end, close the line; see ``Connection``.

        Args:
            drain: Seconds for calls to end.

        Cancellation: cuts off at once.
        """
        self._closing = True
        line, self._line = self._line, None
        async with asyncio.TaskGroup() as closing:
            if line is not None:
                closing.create_task(line.aclose(drain=drain))
            closing.create_task(self._end_moves(drain))

    def _open(self) -> Line[Any]:
        if self._closing:
            raise closed(self._node.address)
        if self._line is None:
            self._line = self._dial(self._node)
        return self._line

    def _end(self, line: Line[Any], attempt: Attempt) -> None:
        line.ended(attempt)
        attempt.release()  # in case it has not ended; nothing is left open
        trailers = attempt.call.trailers
        if len(trailers) and LEAVING in trailers and line is self._line:
            self._move_on()

    def _may_repeat(self, method: Method[Any, Any]) -> bool:
        """Tell whether a call may be carried once more; few are, so that none adds to an overload.

        A server that is overloaded, of whatever make, may look like one that leaves.
        """
        if not method.idempotent or method.arity is not Arity.UNARY:
            return False
        now = asyncio.get_running_loop().time()
        if len(self._repeated) == _REPEATS and now - self._repeated[0] < _REPEATS_WITHIN:
            return False
        self._repeated.append(now)
        return True

    async def _again(self, call: Call, request: Any) -> Any:
        """Carry a repeatable call once more, of which the server's end told nothing."""
        line = self._open()
        attempt = line.start(call, request)
        try:
            return await line.carry(attempt, request)
        finally:
            self._end(line, attempt)

    def _move_on(self) -> None:
        now = asyncio.get_running_loop().time()
        often = len(self._moved) == _MOVES and now - self._moved[0] < _MOVES_WITHIN
        if not self._moving and not often and not self._closing:
            self._moving = True
            self._moved.append(now)
            moving = asyncio.create_task(self._move(), name=f"kratos move {self._node.address}")
            self._moves.add(moving)
            moving.add_done_callback(self._moves.discard)

    async def _move(self) -> None:
        """Have new calls go on another connection, and close the present one after its calls."""
        try:
            left = self._dial(self._node)
            try:
                if await left.connect() and self._line is not None:
                    self._line, left = left, self._line
            finally:
                self._moving = False  # not when the calls of the other have ended, but now
                await left.aclose(drain=None)
        except Error as error:  # nobody takes its place: ordinary, and told if calls come to it
            _log.debug("%s leaves, and no other comes: %s", self._node.address, error.message)
        except Exception:
            _log.exception("cannot connect anew to %s, which leaves", self._node.address)
        finally:
            self._moving = False

    async def _end_moves(self, drain: float) -> None:
        moves = tuple(self._moves)
        try:
            if moves and drain > 0:
                await asyncio.wait(moves, timeout=drain)
        finally:
            await cancel_and_wait(*moves)
