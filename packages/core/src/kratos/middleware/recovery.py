"""Turn unexpected exceptions into an error (Go: middleware/recovery)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from kratos.errors import Error
from kratos.transport.call import Call, Handler
from kratos.transport.chain import Middleware

__all__ = ["recovery"]

_log = logging.getLogger("kratos.middleware.recovery")


def recovery(
    *, handler: Callable[[Call, Any, Exception], Awaitable[Error]] | None = None
) -> Middleware:
    """Log an exception that is no ``Error`` with its trace, and raise an error instead.

    Args:
        handler: Makes the error from the call, the request and the exception; by default
            500 ``UNKNOWN`` without the exception's text, which is the process's own business.
    """

    async def recover(call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        except Error:
            raise
        except Exception as error:
            _log.exception("exception recovered in %s", call.method.operation)
            if handler is None:
                raise Error(500, "UNKNOWN", "unknown request error") from error
            raise await handler(call, request, error) from error

    return recover
