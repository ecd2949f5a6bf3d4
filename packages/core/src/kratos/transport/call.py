"""One call, seen from either side (Go: transport.Transporter)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from kratos.transport.cause import Cause
from kratos.transport.header import Header
from kratos.transport.method import HttpRule, Method
from kratos.transport.wheel import Expiring, Wheel

if TYPE_CHECKING:
    from kratos.tls import PeerCertificate

__all__ = [
    "Call",
    "Handler",
    "MessageHook",
    "Side",
    "detached",
    "inherited_deadline",
    "is_detached",
    "server_call",
]

MessageHook: TypeAlias = "Callable[[Any], Awaitable[Any]]"
Sink: TypeAlias = "Callable[[Any], Awaitable[None]]"


class Side(Enum):
    """Which end of a call this process is."""

    SERVER = "server"
    CLIENT = "client"


class Call:
    """One call, or one attempt of it.

    Attributes:
        method: What is called.
        side: Which end this process is.
        transport: ``http``, ``grpc``, ``local``, ...
        headers: Headers of the request; a client's middleware writes them before ``next``.
        options: What the caller asked for besides, on a client.
        opening: Where a client's stream is handed to, on a client.
        peer: Address of the other end, empty until a client has picked one.
        certificate: Who the client proved to be, on a server that asks for certificates; else
            ``None``.
        endpoint: What a client was pointed at, or the address a server listens on.
        path: Path of the request over HTTP as it was sent, percent-encoded and without the query;
            empty until a client has sent it, and over other transports.
        rule: The binding by which a unary call came over HTTP; ``None`` elsewhere.
        deadline: In ``loop.time()``; ``None`` for none.
        cause: Why it was cancelled, ``None`` while it was not.
        sent: Messages sent so far on a stream.
        received: Messages received so far on a stream.
    """

    __slots__ = (
        "__weakref__",
        "_cancels",
        "_noted",
        "_receive_hooks",
        "_reply_headers",
        "_sealed",
        "_send_hooks",
        "_sink",
        "_slot",
        "_task",
        "_trailers",
        "_wheel",
        "cause",
        "certificate",
        "deadline",
        "endpoint",
        "headers",
        "method",
        "opening",
        "options",
        "path",
        "peer",
        "received",
        "rule",
        "sent",
        "side",
        "transport",
    )

    def __init__(
        self,
        method: Method[Any, Any],
        side: Side,
        transport: str,
        headers: Header | None = None,
        peer: str = "",
        endpoint: str = "",
        deadline: float | None = None,
        sink: Sink | None = None,
    ) -> None:
        # Not by keyword alone: one is made per request, and keywords take half of its time.
        self.method = method
        self.side = side
        self.transport = transport
        self.headers = Header() if headers is None else headers
        # Made when they are asked for: most calls have none.
        self._reply_headers: Header | None = None
        self._trailers: Header | None = None
        self.peer = peer
        self.endpoint = endpoint
        self.deadline = deadline
        self.path = b""
        self.rule: HttpRule | None = None
        self.cause: Cause | None = None
        self.certificate: PeerCertificate | None = None
        self.sent = 0
        self.received = 0
        self.options: Any = None
        self._sink = sink
        self._receive_hooks: list[MessageHook] | None = None
        self._send_hooks: list[MessageHook] | None = None
        self._sealed = False
        self._task: asyncio.Task[Any] | None = None
        self._wheel: Wheel | None = None
        self._slot: set[Expiring] | None = None
        self.opening: Any = None
        self._cancels = 0
        self._noted = False

    @property
    def reply_headers(self) -> Header:
        """Headers of the reply; a server writes them before the first message."""
        if self._reply_headers is None:
            self._reply_headers = Header()
        return self._reply_headers

    @reply_headers.setter
    def reply_headers(self, headers: Header) -> None:
        self._reply_headers = headers

    @property
    def trailers(self) -> Header:
        """Sent after the last message; valid on a client when ``next`` has returned."""
        if self._trailers is None:
            self._trailers = Header()
        return self._trailers

    @trailers.setter
    def trailers(self, trailers: Header) -> None:
        self._trailers = trailers

    @property
    def is_bare(self) -> bool:
        """Whether neither reply headers nor trailers were written (for transports)."""
        # Without making any: an answer with neither is the rule.
        return not self._reply_headers and not self._trailers

    def on_receive(self, hook: MessageHook, /) -> None:
        """See, replace or refuse each message that a stream receives.

        Raises:
            RuntimeError: The call has already reached its handler.
        """
        self._refuse_if_sealed()
        if self._receive_hooks is None:
            self._receive_hooks = []
        self._receive_hooks.append(hook)

    def on_send(self, hook: MessageHook, /) -> None:
        """See, replace or refuse each message that a stream sends.

        Raises:
            RuntimeError: The call has already reached its handler.
        """
        self._refuse_if_sealed()
        if self._send_hooks is None:
            self._send_hooks = []
        self._send_hooks.append(hook)

    async def send(self, message: Any, /) -> None:
        """Send one message of a streaming reply; returns when the transport has room.

        Raises:
            RuntimeError: The method does not stream replies, this is a client's call, or the call
            has ended.
        """
        if self._sink is None:
            raise RuntimeError(f"{self.method.operation} does not stream replies from this side")
        if self._sink is _closed:
            raise RuntimeError(f"{self.method.operation} has ended; nothing more can be sent")
        if self._send_hooks is not None:
            message = await self.outgoing(message)
        if not self.sent:
            self.reply_headers.freeze()
        await self._sink(message)
        self.sent += 1

    async def outgoing(self, message: Any, /) -> Any:
        """Run the hooks for a message on its way out (for transports)."""
        hooks = self._send_hooks
        if hooks is not None:
            # Messages pass the chain as requests and replies do: a server's are replies.
            message = await _through(
                reversed(hooks) if self.side is Side.SERVER else hooks, message
            )
        return message

    async def incoming(self, message: Any, /) -> Any:
        """Run the hooks for a message that came in and count it (for transports)."""
        hooks = self._receive_hooks
        if hooks is not None:
            message = await _through(
                hooks if self.side is Side.SERVER else reversed(hooks), message
            )
        self.received += 1
        return message

    def fork(self) -> Call:
        """Return a fresh attempt: headers copied, reply state empty."""
        fork = Call(
            self.method,
            side=self.side,
            transport=self.transport,
            headers=self.headers.copy(),
            endpoint=self.endpoint,
            deadline=self.deadline,
            sink=self._sink,
        )
        fork.certificate = self.certificate
        fork.options = self.options
        fork.opening = self.opening
        fork._receive_hooks = self._receive_hooks and list(self._receive_hooks)
        fork._send_hooks = self._send_hooks and list(self._send_hooks)
        return fork

    def adopt(self, attempt: Call, /) -> None:
        """Take over what an attempt of this call ended with."""
        self.reply_headers = attempt.reply_headers
        self.trailers = attempt.trailers
        self.peer = attempt.peer
        self.path = attempt.path
        self.sent = attempt.sent
        self.received = attempt.received

    def limit(self, timeout: float, /) -> None:
        """Bring the deadline forward to ``timeout`` seconds from now; never puts it back."""
        if not timeout < math.inf:
            return
        deadline = asyncio.get_running_loop().time() + timeout
        if self.deadline is not None and self.deadline <= deadline:
            return
        self.deadline = deadline
        if self._wheel is not None:
            self._disarm()
            self._slot = self._wheel.enter(self, deadline)

    def remaining(self) -> float | None:
        """Return the seconds left, at least zero; ``None`` without a deadline."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    def cancel(self, cause: Cause, /) -> None:
        """Cancel the task that runs the call; the first cause given stays.

        A call that has not begun to run never will: it ends with the error of its cause.
        """
        if self.cause is None:
            self.cause = cause
        if self._task is None:
            return
        if self._task is asyncio.current_task():
            # A task that cancels itself, and ends the call without waiting for anything, would
            # take the cancellation along to whatever it does next.
            self._task.get_loop().call_soon(self._interrupt)
        else:
            self._interrupt()

    @property
    def running(self) -> bool:
        """Whether a task runs the call, under its deadline (for transports)."""
        return self._task is not None

    def seal(self) -> None:
        """Enter the handler: no further hooks, and not twice (for transports).

        Raises:
            RuntimeError: The handler was already entered with this call.
        """
        if self._sealed:
            raise RuntimeError(
                f"{self.method.operation}: next was called twice with one call; "
                "only a client may try again, with call.fork()"
            )
        self._sealed = True

    def arm(
        self,
        task: asyncio.Task[Any],
        wheel: Wheel,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Bind the call to the task that runs it and start its deadline (for transports).

        Args:
            task: The task.
            wheel: Where the deadline waits.
            loop: The running loop, from whoever knows it already.
        """
        self._task = task
        self._wheel = wheel
        if self.deadline is not None:
            self._slot = wheel.enter(self, self.deadline, loop)

    def release(self) -> None:
        """Undo ``arm``: nothing cancels the task on behalf of this call any more."""
        if self._slot is not None:
            self._slot.discard(self)
            self._slot = None
        self._task = self._wheel = None
        if self._sink is not None:
            self._sink = _closed

    def note(self, cause: Cause, /) -> None:
        """Name the cause of a cancellation of the task that a transport saw coming in."""
        if self.cause is None:
            self.cause, self._noted = cause, True

    def reconsider(self, failure: BaseException | None = None) -> None:
        """Forget a cause that was noted for a cancellation which has been taken back.

        The chain may have cancelled its task by itself, for a time limit say, which a transport
        cannot tell from other cancellations.

        Args:
            failure: What the chain raised, if it has ended.
        """
        if not self._noted or isinstance(failure, asyncio.CancelledError):
            return
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            self.cause, self._noted = None, False

    def settle(
        self, task: asyncio.Task[Any], cancelling: int, failure: BaseException | None
    ) -> BaseException | None:
        """Take this call's own cancellations back and return what the call ends with.

        That is the error of its cause, if it has one. A cancellation that came from elsewhere
        at the same time stays in force.

        Args:
            task: The task that ran the call.
            cancelling: ``task.cancelling()`` when the call began.
            failure: What the chain raised.
        """
        for _ in range(self._cancels):
            task.uncancel()
        self._cancels = 0
        if self.cause is None:
            return failure
        if isinstance(failure, asyncio.CancelledError):
            # It says nothing by itself; who passed it on may have noted a reason.
            cancelled, reason = failure, failure.__cause__
        elif failure is None or isinstance(failure, Exception):
            cancelled, reason = asyncio.CancelledError(), failure
        else:
            return failure
        if task.cancelling() > cancelling:
            return cancelled
        error = self.cause.error()
        error.__cause__ = reason
        return error

    def expire(self) -> None:
        """Cancel the call because its deadline passed (for the wheel)."""
        self._slot = None
        self.cancel(Cause.DEADLINE)

    def __repr__(self) -> str:
        return f"<Call {self.method.operation} {self.side.value} {self.transport} {self.peer}>"

    def _disarm(self) -> None:
        if self._slot is not None:
            self._slot.discard(self)
            self._slot = None

    def _interrupt(self) -> None:
        if self._task is not None:
            self._cancels += 1
            self._task.cancel()

    def _refuse_if_sealed(self) -> None:
        if self._sealed:
            raise RuntimeError("register message hooks before calling next")


async def _closed(_message: Any) -> None:
    """Stand for the sink of a call that has ended."""


async def _through(hooks: Iterable[MessageHook], message: Any) -> Any:
    """Hand a message from hook to hook."""
    try:
        for hook in hooks:
            message = await hook(message)
    except StopAsyncIteration as error:
        # It would look like the end of the stream to whoever iterates.
        raise RuntimeError("a message hook raised StopAsyncIteration") from error
    return message


Handler: TypeAlias = "Callable[[Call, Any], Awaitable[Any]]"

# Read with ``server_call()``; only the edge sets it.
SERVER_CALL: ContextVar[Call | None] = ContextVar("kratos_server_call", default=None)
# The call whose deadline is left behind; another one that is served here later has its own.
_detached: ContextVar[Call | None] = ContextVar("kratos_detached", default=None)


def server_call() -> Call | None:
    """Return the inbound call that this code runs for; ``None`` outside of one."""
    return SERVER_CALL.get()


@contextmanager
def detached() -> Generator[None]:
    """Let what is begun in this block outlive the inbound call.

    Client calls that are made in it, or in tasks started in it, do not inherit the call's
    deadline. A task is not cancelled with the call either; start it by ``App.spawn``, which in
    this block keeps the context variables: metadata, and whatever tracing keeps there, go along.
    What the handler itself awaits still ends with the call.
    """
    token = _detached.set(SERVER_CALL.get())
    try:
        yield
    finally:
        _detached.reset(token)


def is_detached() -> bool:
    """Tell whether this code runs for an inbound call that it may outlive, by ``detached``."""
    call = SERVER_CALL.get()
    return call is not None and _detached.get() is call


def inherited_deadline() -> float | None:
    """Return the deadline that a client call made here has to keep."""
    call = SERVER_CALL.get()
    return None if call is None or _detached.get() is call else call.deadline
