"""The sending half of a server's connection: answers in turn, and the end."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from kratos.errors import Error
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, Streamed, Upgraded, WireHeaders
from kratos_http._format import CONTINUE, render
from kratos_http._handshake import switching
from kratos_http._link import Link
from kratos_http._refusal import refusal
from kratos_http._wire import ServerWire

if TYPE_CHECKING:
    from kratos_http._server_socket import ServerSocket
    from kratos_http.engine import Engine

__all__ = ["Answer", "Answering"]

_log = logging.getLogger("kratos.http")

Answer: TypeAlias = Callable[[Head, bytes], Awaitable[Reply]]


class Answering(Link):
    """Answers requests in the order in which they came.

    A request's turn comes when the answer before it was handed to the transport; until then it
    waits in a queue.
    """

    __slots__ = (
        "_answered",
        "_begun",
        "_current",
        "_queue",
        "_queued",
        "_task",
        "_waiter",
    )

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._queue: deque[tuple[Callable[[], None], int]] = deque()
        self._queued = 0  # bytes of bodies in the queue
        self._task: asyncio.Task[None] | None = None
        self._begun = False  # whether the task has run at all
        self._current: Head | None = None  # of the request that is being answered
        self._answered: ServerWire | None = None  # what it is answered through, in pieces
        self._waiter: asyncio.Future[None] | None = None

    @abstractmethod
    def after_turn(self) -> None:
        """Ask for more, now that there may be room."""

    @abstractmethod
    def stop_reading(self) -> bool:
        """Drop whatever still comes; tell whether the peer is midway through something."""

    # Called by the transport.

    def resume_writing(self) -> None:
        """Go on: the peer has taken enough."""
        self._stalled = None
        self._wake()
        if self._task is None:
            self._advance()

    # Called by wires and by the engine.

    @property
    def date(self) -> bytes:
        """The Date header."""
        return self._engine.date

    def keeps(self, keep: bool, /) -> bool:  # noqa: FBT001
        """Tell whether the present answer may announce that the connection goes on."""
        return keep and (not self._engine.leaving or bool(self._queue))

    def send(self, data: bytes) -> None:
        """Write, if there still is somebody to write to."""
        if self._transport is not None and data:
            self._transport.write(data)

    def send_continue(self) -> None:
        """Ask for the body."""
        self.send(CONTINUE)

    async def room(self) -> None:
        """Wait while the peer is slow.

        Raises:
            Error: The peer has gone.
        """
        while self._stalled is not None and self._transport is not None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        # A broken transport says so to us in the loop's next turn only, which a writer that
        # never has to wait would not let come.
        if self._is_gone:
            raise Cause.PEER_GONE.error()

    @property
    def _is_gone(self) -> bool:
        """Whether the peer has."""
        return self._transport is None or self._transport.is_closing()

    def accept(self, head: Head, headers: WireHeaders) -> None:
        """Answer a handshake well.

        Raises:
            ValueError: A header cannot be sent.
        """
        self.send(switching(head, headers, self.date))

    def say_refusal(self, head: Head, reply: Reply) -> None:
        """Answer a handshake that is not accepted, and close."""
        self._say(head.method, head.version, reply, keep=False)

    def cut(self) -> None:
        """End at once, whatever is going on."""
        self._cancel(Cause.DRAINING)
        self.abort()

    # Turns.

    def _give_turn(self, turn: Callable[[], None], size: int = 0) -> None:
        """Queue something that answers, or starts a task that does."""
        self._queue.append((turn, size))
        self._queued += size
        self._advance()

    def _advance(self) -> None:
        """Start what is next in line."""
        queue = self._queue
        while queue and self._task is None and self._stalled is None and self._abort_at is None:
            turn, size = queue.popleft()
            self._queued -= size
            turn()
        self.after_turn()

    def _start(self, answer: Answer, head: Head, body: bytes, keep: bool) -> None:  # noqa: FBT001
        self._current = head
        self._begun = False
        self._task = self._engine.spawn(self._serve(answer, head, body, keep))

    def _start_stream(self, endpoint: Streamed, head: Head, wire: ServerWire) -> None:
        self._current = head
        self._answered = wire
        self._begun = False
        self._task = self._engine.spawn(self._converse(endpoint, head, wire))

    async def _serve(self, answer: Answer, head: Head, body: bytes, keep: bool) -> None:  # noqa: FBT001
        self._begun = True
        transport = self._transport
        if transport is None:
            self._end_badly()
            return
        try:
            reply = await answer(head, body)
        except asyncio.CancelledError:
            self._end_badly()
            raise
        except Exception:
            _log.exception("%s failed outside of its call", head)
            reply = refusal(internal())
        self._task = self._current = None
        if self._transport is None:
            self._engine.forget(self)
            return
        self._say(head.method, head.version, reply, keep)
        if self._queue:
            self._advance()
        else:
            self.after_turn()

    async def _converse(self, endpoint: Streamed, head: Head, wire: ServerWire) -> None:
        if not self._begin():
            return
        try:
            await endpoint.converse(head, wire)
        except asyncio.CancelledError:
            self._end_badly()
            raise
        except Exception as error:
            if not (isinstance(error, Error) and self._is_gone):
                _log.exception("%s failed outside of its call", head)
            # Else its peer has gone, which is no failure: peers could fill the log with them.
        if not self._finish():
            return
        if not wire.started:
            wire.keep = False
            self._say(head.method, head.version, refusal(internal()), keep=False)
        elif not wire.finished:
            self.abort()
        elif not wire.keep:
            self._close()
        else:
            wire.detach()
            self._advance()

    def _start_talk(self, endpoint: Upgraded, head: Head, socket: ServerSocket) -> None:
        self._current = head
        self._begun = False
        self._task = self._engine.spawn(self._talk(endpoint, head, socket))

    async def _talk(self, endpoint: Upgraded, head: Head, socket: ServerSocket) -> None:
        if not self._begin():
            return
        try:
            await endpoint.talk(head, socket)
        except asyncio.CancelledError:
            self._end_badly()
            raise
        except Exception:
            _log.exception("%s failed outside of its call", head)
        if not self._finish():
            return
        if not socket.answered:
            self.say_refusal(head, refusal(internal()))
        elif not socket.closed:
            self.abort()
        self._close()

    def _begin(self) -> bool:
        """Note that a task runs, and tell whether anybody is there for its answer."""
        self._begun = True
        if self._transport is None:
            self._end_badly()
            return False
        return True

    def _finish(self) -> bool:
        """Note that a task has ended, and tell whether anybody is there for its answer."""
        self._task = self._current = self._answered = None
        if self._transport is None:
            self._engine.forget(self)
            return False
        return True

    def _end_badly(self) -> None:
        """Clean up after an endpoint that was cancelled: there is no answer to send."""
        if self._finish():
            self.abort()

    def _say(self, method: str, version: str, reply: Reply, keep: bool) -> None:  # noqa: FBT001
        """Write a whole answer, and close after the last one."""
        transport = self._transport
        if transport is None:
            return
        engine = self._engine
        if engine.leaving and not self._queue:
            keep = False
        date = engine.date
        try:
            pieces = render(reply, method, version=version, keep=keep, date=date)
        except ValueError:
            _log.exception("an answer with status %d could not be sent", reply.status)
            substitute = refusal(internal())
            pieces = render(substitute, method, version=version, keep=keep, date=date)
        for piece in pieces:
            transport.write(piece)
        if not keep:
            self._close()

    def _say_last(self, head: Head | None, reply: Reply) -> None:
        """Queue an answer after which nothing is read any more."""
        method, version = (head.method, head.version) if head is not None else ("", "1.1")
        self._give_turn(partial(self._say, method, version, reply, keep=False))

    # Ending.

    def _close(self) -> None:
        """Close once everything is sent; wait a little for a peer that still sends itself."""
        transport = self._transport
        if transport is None or self._abort_at is not None:
            return
        self._queue.clear()
        self._hang_up(transport, midway=self.stop_reading())

    def _lose(self) -> None:
        """Cancel what nobody waits for any more."""
        self._transport = None
        self._queue.clear()
        self._wake()
        if self._task is None:
            self._engine.forget(self)
        else:
            self._cancel(Cause.PEER_GONE)

    def _cancel(self, cause: Cause) -> None:
        if self._task is None or self._current is None:
            return
        if cause is Cause.PEER_GONE and self._answered is not None and self._answered.whole:
            return  # it has all that it asked for; what the endpoint still does is its own business
        running = self._current.running
        if running is not None:
            running.cancel(cause)
        elif self._begun:  # a task that is cancelled before it runs could not clean up
            self._task.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def internal() -> Error:
    """Return what a peer is told of a failure that is nobody's business but ours."""
    return Error(500, "UNKNOWN", "unknown request error")
