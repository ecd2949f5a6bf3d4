"""What a generated client needs of a transport, and the chain that every client runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from google.protobuf.message import Message

from kratos.transport.call import Call, Handler, Side, inherited_deadline
from kratos.transport.cause import Cause
from kratos.transport.chain import AnyMiddleware, chain
from kratos.transport.client_stream import StreamOpening
from kratos.transport.floor import checked_floors, floored
from kratos.transport.method import Method
from kratos.transport.stream import Duplexed, Incoming, Messages, Opening
from kratos.transport.wheel import Wheel, time_limit

if TYPE_CHECKING:
    from kratos.selector import NodeFilter

__all__ = ["CallOptions", "Caller", "ChainCaller"]

_log = logging.getLogger("kratos.transport")

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

DEFAULT_TIMEOUT: Final = 2.0  # seconds, unary calls, as Go Kratos


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What one call does differently from its client.

    Attributes:
        timeout: Seconds for the whole call; zero, less or infinity for no limit, ``None`` for
            the client's own.
        headers: Request headers to add; a sequence of values, or one.
        filters: Node filters that this call adds to the client's.
        avoid: Addresses to pick only when nothing else is left, as a retry wants it.
        key: What the call is about, for selectors that keep calls of one key on one node;
            ``None`` for no key.
        fail_fast: Raise at once when no node is ready, or wait for one; ``None`` for what the
            client does.
        compression: Coding of the requests over gRPC: ``gzip``, ``deflate``, or empty for none;
            ``None`` for the client's own. Other transports pass over it.
        on_end: Told when the call has ended, with reply headers and trailers; not told of
            calls that failed before they had begun. What it raises is logged, and changes
            nothing.
    """

    timeout: float | None = None
    headers: Mapping[str, str | Sequence[str]] | None = None
    filters: Sequence[NodeFilter] = ()
    avoid: Collection[str] = ()
    key: str | None = None
    fail_fast: bool | None = None
    compression: str | None = None
    on_end: Callable[[Call], None] | None = None


class Caller(Protocol):
    """What a client class needs: any transport, or in-process."""

    async def unary(self, m: Method[Q, R], request: Q, o: CallOptions | None, /) -> R:
        """Call a method with one request and one reply."""
        ...

    async def client_stream(
        self, m: Method[Q, R], requests: Messages[Q], o: CallOptions | None, /
    ) -> R:
        """Call a method with many requests and one reply."""
        ...

    def server_stream(
        self, m: Method[Q, R], request: Q, o: CallOptions | None, /
    ) -> Opening[Incoming[R]]:
        """Open a method with one request and many replies."""
        ...

    def bidi_stream(self, m: Method[Q, R], o: CallOptions | None, /) -> Opening[Duplexed[Q, R]]:
        """Open a method with many requests and many replies."""
        ...


class ChainCaller:
    """A ``Caller`` over one innermost handler: chains, deadlines, streams.

    Args:
        invoke: The innermost handler: the transport, or the pick of a node above it. It
            returns when the call has ended. For streamed replies it opens the transport's
            stream and awaits ``converse(call, stream)`` from ``kratos.transport``.
        transport: For ``Call.transport``.
        endpoint: For ``Call.endpoint``: what the user pointed this client at.
        middleware: The chain, outermost first.
        timeout: Seconds for a unary call; ``None`` or not positive for no limit. Streams have
            none unless their options say so. What a definition says of a method goes first.
        floors: Seconds that operations take at least, by name: a call that has less left fails
            before its chain begins, and is not sent.

    Raises:
        ConfigError: A time is none.
    """

    def __init__(
        self,
        invoke: Handler,
        *,
        transport: str,
        endpoint: str = "",
        middleware: Sequence[AnyMiddleware] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        floors: Mapping[str, float] | None = None,
    ) -> None:
        self._invoke = invoke
        self._transport = transport
        self._endpoint = endpoint
        self._middleware = tuple(middleware)
        self._timeout = time_limit(timeout)
        self._floors = checked_floors(floors)
        self._chains: dict[str, Handler] = {}
        self._wheel = Wheel()

    async def unary(self, m: Method[Q, R], request: Q, o: CallOptions | None = None, /) -> R:
        """Call a method with one request and one reply.

        Raises:
            Error: What the service answered, or the framework on its behalf.

        Cancellation: cancels the call at the peer.
        """
        _require_type(m, request)
        call = self._new_call(m, o, self._timeout)
        reply: R = await self._run(call, request)
        return reply

    async def client_stream(
        self, m: Method[Q, R], requests: Messages[Q], o: CallOptions | None = None, /
    ) -> R:
        """Call a method with many requests and one reply; see ``unary``."""
        call = self._new_call(m, o, None)
        reply: R = await self._run(call, requests)
        return reply

    def server_stream(
        self, m: Method[Q, R], request: Q, o: CallOptions | None = None, /
    ) -> Opening[Incoming[R]]:
        """Open a method with one request and many replies, as an async context manager."""
        _require_type(m, request)
        opening: StreamOpening[Q, R] = StreamOpening(
            m, self._run, lambda: self._new_call(m, o, None), request
        )
        return opening

    def bidi_stream(
        self, m: Method[Q, R], o: CallOptions | None = None, /
    ) -> Opening[Duplexed[Q, R]]:
        """Open a method with many requests and many replies, as an async context manager."""
        opening: StreamOpening[Q, R] = StreamOpening(
            m, self._run, lambda: self._new_call(m, o, None), None
        )
        return opening

    def _new_call(
        self, method: Method[Any, Any], options: CallOptions | None, timeout: float | None
    ) -> Call:
        deadline = inherited_deadline()
        if method.http_options is not None:
            declared = method.http_options.timeout_over(self._transport)
            timeout = timeout if declared is None else time_limit(declared)
        if options is not None and options.timeout is not None:
            timeout = time_limit(options.timeout)
        if timeout is not None:
            own = asyncio.get_running_loop().time() + timeout
            deadline = own if deadline is None else min(own, deadline)
        call = Call(
            method,
            side=Side.CLIENT,
            transport=self._transport,
            endpoint=self._endpoint,
            deadline=deadline,
        )
        if options is not None:
            call.options = options
            for name, value in (options.headers or {}).items():
                for one in (value,) if isinstance(value, str) else value:
                    call.headers.add(name, one)
        return call

    async def _run(self, call: Call, request: Any) -> Any:
        """Run the chain in the current task, under the call's deadline."""
        handler = self._chains.get(call.method.operation)
        if handler is None:
            handler = self._link(call.method)
        try:
            return await self._guard(handler, call, request)
        finally:
            call.opening = None  # which holds the call
            if call.options is not None and call.options.on_end is not None:
                _tell(call.options.on_end, call)

    async def _guard(self, handler: Handler, call: Call, request: Any) -> Any:
        """Run a handler in the current task, under the deadline of a call or of an attempt."""
        if call.cause is not None:
            raise call.cause.error()
        if call.deadline is not None and call.deadline <= asyncio.get_running_loop().time():
            raise Cause.DEADLINE.error()
        task = asyncio.current_task()
        assert task is not None, "a call runs in a task"
        cancelling = task.cancelling()
        call.arm(task, self._wheel)
        failure: BaseException | None = None
        reply: Any = None
        try:
            reply = await handler(call, request)
        except BaseException as error:
            failure = error
        call.release()
        failure = call.settle(task, cancelling, failure)
        if failure is None:
            return reply
        try:
            raise failure
        finally:
            del failure, task  # they hold the traceback, which holds this frame

    def _link(self, method: Method[Any, Any]) -> Handler:
        invoke = self._invoke

        def core(call: Call, request: Any) -> Awaitable[Any]:
            call.seal()
            if call.running:
                return invoke(call, request)
            return self._guard(invoke, call, request)  # an attempt, which has its own deadline

        linked = chain(self._middleware, method, core)
        floor = self._floors.get(method.operation)
        if floor is not None:
            linked = floored(linked, floor)
        self._chains[method.operation] = linked
        return linked


def _tell(on_end: Callable[[Call], None], call: Call) -> None:
    try:
        on_end(call)
    except Exception:
        _log.exception("on_end of a call of %s failed", call.method.operation)


def _require_type(method: Method[Any, Any], request: object) -> None:
    if not isinstance(request, method.request):
        raise TypeError(
            f"{method.operation} takes {method.request.__name__}, not {type(request).__name__}"
        )
