"""Turn unexpected exceptions into an error (Go: middleware/recovery)."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

from kratos.errors import Error
from kratos.errors._status import ungrouped
from kratos.log import Level, Logger, StdLogger
from kratos.options import require_callable, require_methods
from kratos.transport.call import Call, Handler
from kratos.transport.chain import Middleware
from kratos.transport.stream import EnoughSent

__all__ = ["recovered_after", "recovery"]

_Handler: TypeAlias = Callable[[Call, Any, Exception], Awaitable[Error]]

_RECOVERED_AFTER: Final[ContextVar[float]] = ContextVar("kratos_recovered_after")


def recovery(
    *,
    handler: _Handler | None = None,
    logger: Logger | logging.Logger | None = None,
) -> Middleware:
    """Log an exception that is no ``Error`` with its trace, and raise an error instead.

    A group that stands for an ``Error`` passes; see ``kratos.errors.from_error``.

    Args:
        handler: Makes the error from the call, the request and the exception; by default
            500 ``UNKNOWN`` without the exception's text, which is the process's own business.
            ``recovered_after`` tells it how long the call took.
        logger: Where to; ``kratos.middleware.recovery`` of the standard library by default.

    Raises:
        ConfigError: The handler is no function, or the logger none.
    """
    require_callable("handler", handler)
    if logger is None or isinstance(logger, logging.Logger):
        logger = StdLogger(logger or logging.getLogger("kratos.middleware.recovery"))
    require_methods("logger", logger, "a logger", "log")
    write = logger.log

    async def recover(call: Call, request: Any, next: Handler, /) -> Any:
        start = time.perf_counter()
        try:
            return await next(call, request)
        except (Error, EnoughSent):
            raise
        except Exception as error:
            if isinstance(ungrouped(error), Error):
                raise  # a group, of which the caller gets the error
            # Nothing here may name what holds the exception, which holds this frame.
            write(
                Level.ERROR,
                "exception recovered",
                {"operation": call.method.operation, "error": error},
            )
            if handler is None:
                raise Error(500, "UNKNOWN", "unknown request error") from error
            seconds = time.perf_counter() - start
            raise await _replaced(handler, call, request, error, seconds) from error

    return recover


async def _replaced(
    handler: _Handler, call: Call, request: Any, error: Exception, seconds: float
) -> Error:
    token = _RECOVERED_AFTER.set(seconds)
    try:
        return await handler(call, request, error)
    finally:
        _RECOVERED_AFTER.reset(token)


def recovered_after() -> float | None:
    """Return the seconds that a call took to fail, within the handler of ``recovery``.

    Elsewhere there is none. (Go: ``recovery.Latency`` of the context.)
    """
    return _RECOVERED_AFTER.get(None)
