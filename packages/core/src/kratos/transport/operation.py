"""The RPC seam: every engine hands its calls to an ``Operation`` (edge, chain, handler)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from asyncio import current_task, get_running_loop
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from kratos.errors import Error, StartupError
from kratos.errors._status import ungrouped
from kratos.transport.call import SERVER_CALL, Call, Handler
from kratos.transport.cause import Cause
from kratos.transport.chain import AnyMiddleware, chain, listed
from kratos.transport.floor import by_operation, checked_floor, checked_floors, floored
from kratos.transport.handlers import handler_for
from kratos.transport.method import Method, Service
from kratos.transport.naming import require_known, require_served
from kratos.transport.stream import EnoughSent, Requests
from kratos.transport.wheel import Wheel, time_limit

__all__ = ["Dispatcher", "Missing", "Operation"]

_log = logging.getLogger("kratos.transport")

DEFAULT_TIMEOUT: Final = 1.0  # seconds, unary calls, as Go Kratos
CANCEL_GRACE: Final = 1.0  # seconds between cancelling a handler and letting it go


class Missing(Enum):
    """What to do with a method that a service does not implement."""

    REFUSE = "refuse"
    UNIMPLEMENTED = "unimplemented"


class Operation:
    """One method on one server: edge, chain and handler, linked once at start."""

    __slots__ = (
        "_calls",
        "_dispatcher",
        "_handler",
        "_streams_requests",
        "_timeout",
        "_wheel",
        "method",
    )

    def __init__(
        self,
        method: Method[Any, Any],
        handler: Handler,
        *,
        dispatcher: Dispatcher,
        timeout: float | None,
    ) -> None:
        self.method = method
        self._handler = handler
        self._dispatcher = dispatcher
        self._timeout = timeout
        self._streams_requests = method.arity.client_streams
        self._calls = dispatcher.calls
        self._wheel = dispatcher.wheel

    async def run(self, call: Call, request: Any, /) -> Any:
        """Run the call in the current task.

        Args:
            call: Made by the engine for this call alone, with the peer's deadline if any.
            request: The message, or the transport's iterator of them. The iterator ends only
                at the peer's clean half-close.

        Returns:
            The reply; ``None`` when replies are streamed.

        Raises:
            Error: Whatever failed, translated: unknown exceptions become 500 UNKNOWN,
                a cancellation with a cause the error of that cause; groups as ``from_error`` says.
            asyncio.CancelledError: Somebody else cancelled the task. That the handler awaited
                something which was cancelled is an ``Error``.
        """
        dispatcher = self._dispatcher
        if dispatcher.draining:
            raise Cause.DRAINING.error()
        loop = get_running_loop()
        now = loop.time()
        timeout, deadline = self._timeout, call.deadline
        if timeout is not None and (deadline is None or now + timeout < deadline):
            call.deadline = deadline = now + timeout
        cause = call.cause
        if cause is not None or (deadline is not None and deadline <= now):
            raise (cause or Cause.DEADLINE).error()
        task = current_task(loop)
        assert task is not None, "a call runs in a task"
        cancelling = task.cancelling()
        if self._streams_requests:
            request = Requests(call, request)
        token = SERVER_CALL.set(call)
        call.arm(task, self._wheel, loop)
        calls = self._calls
        calls.add(call)
        failure: BaseException | None = None
        reply: Any = None
        try:
            reply = await self._handler(call, request)
        except EnoughSent:  # out of a send of the chain's own; the handler's ends in the handler
            pass
        except BaseException as error:
            failure = error
        call.release()
        call.reconsider(failure)
        calls.discard(call)
        if not calls and self._dispatcher.draining:
            dispatcher.idle()
        SERVER_CALL.reset(token)
        deadline = call.deadline  # which the chain may have brought forward
        if deadline is not None and loop.time() >= deadline and call.cause is None:
            call.cause = Cause.DEADLINE  # the reply is ready, but too late
        if failure is None and call.cause is None:
            return reply
        try:
            raise self._ending(call, task, cancelling, failure)
        finally:
            del failure, task  # they hold the traceback, which holds this frame

    def _ending(
        self, call: Call, task: asyncio.Task[Any], cancelling: int, failure: BaseException | None
    ) -> BaseException:
        """Return what may leave the process for a call that did not end well."""
        end = call.settle(task, cancelling, failure)
        assert end is not None, "a call without a cause ended well or with a failure"
        replacement = Error(500, "UNKNOWN", "unknown request error")
        if isinstance(end, asyncio.CancelledError):
            if task.cancelling() > cancelling:
                return end
            # Nobody cancelled this task: the handler awaited something that was cancelled.
            replacement = Cause.CALLER.error()
        elif isinstance(sole := ungrouped(end), Error) or not isinstance(end, Exception):
            return sole
        _log.error("%s failed", self.method.operation, exc_info=end)
        return replacement.with_cause(end)


class Dispatcher:
    """The operations of one server and the calls in flight.

    Args:
        transport: Name of the transport, for ``Call.transport``.
        middleware: The chain, outermost first.
        timeout: Seconds for a unary call; ``None`` or not positive for no limit.
        timeouts: Seconds by operation name, streams included, over ``timeout`` and over what
            definitions say.
        floors: Seconds that operations take at least, by name: a call that has less left is
            refused before its chain begins.
        missing: What to do with methods that a service leaves out.
        cancel_grace: Seconds that a cancelled handler gets to clean up.

    Raises:
        ConfigError: A time is none, or an option is no list or no mapping.
    """

    def __init__(
        self,
        *,
        transport: str,
        middleware: Sequence[AnyMiddleware] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        timeouts: Mapping[str, float] | None = None,
        floors: Mapping[str, float] | None = None,
        missing: Missing = Missing.REFUSE,
        cancel_grace: float = CANCEL_GRACE,
    ) -> None:
        self.transport = transport
        self.operations: dict[str, Operation] = {}
        self.calls: set[Call] = set()
        self.wheel = Wheel()
        self.draining = False
        self._middleware = listed(middleware)
        self._timeout = time_limit(timeout)
        self._timeouts = by_operation("timeouts", timeouts)
        self._floors = checked_floors(floors)
        self._names: set[str] = set()
        self._missing = missing
        self._cancel_grace = cancel_grace
        self._idle: asyncio.Event | None = None

    def add(self, service: Service, /) -> None:
        """Link the chain of every method of a service.

        Raises:
            StartupError: The service is incomplete, a method has the wrong shape, or an
                operation is already there.
        """
        for method in _methods(service):
            if method.operation in self.operations:
                raise StartupError(
                    f"{method.operation} is served twice on one server: "
                    f"{type(service).__name__} brings it again"
                )
            handler = handler_for(service, method, missing=self._missing is Missing.UNIMPLEMENTED)
            self.operations[method.operation] = self.link(method, handler)

    @property
    def names(self) -> frozenset[str]:
        """Of all operations that were linked."""
        return frozenset(self._names)

    def check_names(self) -> None:
        """Refuse options that name no operation; to be called when all are linked.

        Raises:
            StartupError: There is one; the text has the nearest operation.
        """
        require_known("timeouts", self._timeouts, self._names)
        require_known("floors", self._floors, self._names)
        require_served(self._middleware, self._names)

    def link(
        self,
        method: Method[Any, Any],
        handler: Handler,
        *,
        middleware: Sequence[AnyMiddleware] = (),
        timeout: float | None = None,
    ) -> Operation:
        """Return an operation around a handler that belongs to no service.

        It shares limits, middleware and drain with the others, but is not in ``operations``,
        so that several may have one name.

        Args:
            method: What chains, logs and metrics see of it.
            handler: The innermost; it has to call ``Call.seal``.
            middleware: Follows the dispatcher's own.
            timeout: Seconds; not positive or infinite for no limit, ``None`` for that of the
                dispatcher.

        Raises:
            StartupError: An element of the middleware is none.
            ConfigError: The operation takes longer than it is given.
        """
        self._names.add(method.operation)
        limit = self._timeout_of(method) if timeout is None else time_limit(timeout)
        linked = chain((*self._middleware, *middleware), method, handler)
        floor = self._floors.get(method.operation)
        if floor is not None:
            linked = floored(linked, checked_floor(method.operation, floor, limit=limit))
        return Operation(method, linked, dispatcher=self, timeout=limit)

    def cancel(self, cause: Cause, /) -> None:
        """Cancel every call in flight."""
        for call in tuple(self.calls):
            call.cancel(cause)

    async def drain(self, timeout: float | None = None) -> int:
        """Refuse new calls, wait for those in flight, cancel what is left.

        Args:
            timeout: Seconds to wait before the rest is cancelled with ``Cause.DRAINING``;
                ``None`` waits for all.

        Returns:
            How many calls did not even end when they were cancelled; each is logged.

        Cancellation: cancels the calls at once and lets the cancellation pass.
        """
        self.draining = True
        try:
            if await self._wait_idle(timeout):
                return 0
        except asyncio.CancelledError:
            self.cancel(Cause.DRAINING)
            raise
        self.cancel(Cause.DRAINING)
        if await self._wait_idle(self._cancel_grace):
            return 0
        for call in self.calls:
            _log.error("%s ignored its cancellation and was left behind", call.method.operation)
        return len(self.calls)

    def idle(self) -> None:
        """Note that no call is in flight (for ``Operation``)."""
        if self._idle is not None:
            self._idle.set()

    async def _wait_idle(self, timeout: float | None) -> bool:
        if not self.calls:
            return True
        if self._idle is None:  # else somebody waits already; no new call can come in between
            self._idle = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        return not self.calls

    def _timeout_of(self, method: Method[Any, Any]) -> float | None:
        named = self._timeouts.get(method.operation)
        if named is not None:
            return time_limit(named)
        if method.http_options is not None:
            declared = method.http_options.timeout_over(self.transport)
            if declared is not None:
                return time_limit(declared)
        streams = method.arity.client_streams or method.arity.server_streams
        return None if streams else self._timeout


def _methods(service: Service) -> Sequence[Method[Any, Any]]:
    methods: object = getattr(service, "METHODS", None)
    if isinstance(service, type) or not isinstance(methods, tuple) or not methods:
        raise StartupError(
            f"{service!r} is no service: pass an instance of a class that derives from a "
            "generated service class"
        )
    return service.METHODS
