"""Bring deadlines forward, per operation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kratos.errors import ConfigError
from kratos.transport.call import Call, Handler
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Method

__all__ = ["timeout"]


def timeout(
    seconds: float | None = None, *, operations: Mapping[str, float] | None = None
) -> PerMethod:
    """Limit calls to some seconds from here on; a nearer deadline stays.

    Args:
        seconds: For unary methods that ``operations`` does not name; ``None`` for no limit.
            Streams are limited only by name.
        operations: Seconds by operation name, for instance ``/helloworld.Greeter/SayHello``.

    Raises:
        ConfigError: A limit is not positive, or not finite.
    """
    named = dict(operations or {})
    for name, value in (("timeout", seconds), *named.items()):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(
                f"{name}: {value} seconds is no time limit; use a positive, finite one"
            )
    return _Timeout(seconds, named)


class _Timeout:
    def __init__(self, seconds: float | None, operations: Mapping[str, float]) -> None:
        self._seconds = seconds
        self._operations = operations

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        seconds = self._operations.get(method.operation)
        if seconds is None:
            streams = method.arity.client_streams or method.arity.server_streams
            seconds = None if streams else self._seconds
        if seconds is None:
            return None
        limit = seconds

        async def limited(call: Call, request: Any, next: Handler, /) -> Any:
            call.limit(limit)
            return await next(call, request)

        return limited
