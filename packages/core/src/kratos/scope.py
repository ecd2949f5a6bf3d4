"""Resources that live as long as the call they were opened for.

Put ``scope()`` into the middleware, and whatever serves a call may open something for it:

    session = await call_scope().enter(sessions.begin())

It is closed when the handler has ended, streams included, in the call's task and before the
caller gets the reply; so a transaction that cannot be committed fails its call. A context
manager sees how the call ended and may not hide it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeAlias, TypeVar

from kratos.transport.call import Call, Handler, Side

if TYPE_CHECKING:
    from kratos.middleware import Middleware

__all__ = ["Scope", "call_scope", "scope"]

P = ParamSpec("P")
T = TypeVar("T")

_Exit: TypeAlias = "Callable[[Any, Any, Any], object]"  # of a context manager, either kind

_log = logging.getLogger("kratos.scope")


class Scope:
    """What one call has opened; closed, newest first, when the call ends."""

    __slots__ = ("_closed", "_exits", "_operation")

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._exits: list[_Exit] = []
        self._closed = False

    async def enter(
        self, manager: AbstractAsyncContextManager[T] | AbstractContextManager[T], /
    ) -> T:
        """Enter a context manager, ``async`` or plain, and return what it gives.

        Raises:
            RuntimeError: The call has ended.
        """
        self._refuse_if_closed()
        if isinstance(manager, AbstractAsyncContextManager):
            value = await manager.__aenter__()
            self._exits.append(manager.__aexit__)
        else:
            value = manager.__enter__()
            self._exits.append(manager.__exit__)
        return value

    def push(self, callback: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call ``callback``, which may be ``async``, when the call ends, however it ends.

        Raises:
            RuntimeError: The call has ended.
        """
        self._refuse_if_closed()

        def close(*_outcome: object) -> object:
            return callback(*args, **kwargs)

        self._exits.append(close)

    async def unwind(self, error: BaseException | None) -> BaseException | None:
        """Close everything, for an error if there was one; return what went wrong first now.

        It returns the cancellation if the call was cancelled meanwhile.

        Each failure is logged, and those that are closed later see it in place of a success.
        """
        failure: BaseException | None = None
        while self._exits:
            close = self._exits.pop()
            seen = error or failure
            try:
                closing = close(type(seen) if seen else None, seen, seen and seen.__traceback__)
                if inspect.isawaitable(closing):
                    await closing
            except BaseException as raised:
                if raised is seen:
                    continue
                _log.error("%s: closing a resource failed", self._operation, exc_info=raised)
                if failure is None or isinstance(raised, asyncio.CancelledError):
                    failure = raised  # that the call is cancelled must not be lost
        self._closed = True
        return failure

    def close_unused(self) -> bool:
        """Close it if nothing was opened, and tell so: most calls open nothing."""
        self._closed = not self._exits
        return self._closed

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self._operation} has ended, and so has its scope")


_SCOPE: Final[ContextVar[Scope | None]] = ContextVar("kratos.scope", default=None)


def call_scope() -> Scope:
    """Return the scope of the call that this code runs for.

    Raises:
        RuntimeError: No call is being served here, or its chain has no ``scope()``.
    """
    current = _SCOPE.get()
    if current is None:
        raise RuntimeError(
            "there is no call scope here: add kratos.scope.scope() to the middleware, "
            "and ask for the scope only while a call is served"
        )
    return current


def scope() -> Middleware:
    """Make the middleware that gives each served call a scope.

    Put it inside of whatever shall see errors of closing as errors of the call (logging,
    metrics, recovery). On clients it does nothing.
    """
    return _scoped


async def _scoped(call: Call, request: Any, next: Handler, /) -> Any:
    if call.side is Side.CLIENT:
        return await next(call, request)
    current = Scope(call.method.operation)
    token = _SCOPE.set(current)
    try:
        reply = await next(call, request)
    except BaseException as error:
        failure = await current.unwind(error)
        if isinstance(failure, asyncio.CancelledError):
            raise failure from error
        raise
    else:
        if not current.close_unused() and (failure := await current.unwind(None)) is not None:
            raise failure
        return reply
    finally:
        _SCOPE.reset(token)
