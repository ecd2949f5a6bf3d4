"""Bring deadlines forward, and refuse calls that come too late, per operation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kratos.options import require_number
from kratos.transport.call import Call, Handler
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.floor import by_operation, checked_floor, checked_floors, require_time
from kratos.transport.method import Method

__all__ = ["timeout"]


def timeout(
    seconds: float | None = None,
    *,
    operations: Mapping[str, float] | None = None,
    floor: float | None = None,
    floors: Mapping[str, float] | None = None,
) -> PerMethod:
    """Limit calls to some seconds from here on; a nearer deadline stays.

    With a floor, a call that has less time left is refused at once, with 504
    ``BUDGET_TOO_SMALL``, which says nothing to limiters and breakers. Place it inside of
    ``logging``, which tells it.

    Args:
        seconds: For unary methods that ``operations`` does not name; ``None`` for no limit.
            Streams are limited only by name.
        operations: Seconds by operation name, for instance ``/helloworld.Greeter/SayHello``.
        floor: Seconds that unary methods take at least which ``floors`` does not name; ``None``
            for no floor. Calls without a deadline pass.
        floors: Such seconds by operation name.

    Raises:
        ConfigError: A limit or a floor is not positive, or not finite, or a floor is more than
            the limit of its operation.
    """
    named = by_operation("operations", operations)
    for name, value in (("timeout", seconds), *named.items()):
        require_number(f"seconds of {name}", value, above=0, finite=True, optional=True)
    if floor is not None:
        checked_floor("timeout", floor, limit=seconds)
    least = checked_floors(floors)
    for name, value in least.items():
        checked_floor(name, value, limit=named.get(name))
    return _Timeout(seconds, named, floor, least)


class _Timeout:
    def __init__(
        self,
        seconds: float | None,
        operations: Mapping[str, float],
        floor: float | None,
        floors: Mapping[str, float],
    ) -> None:
        self._seconds = seconds
        self._operations = operations
        self._floor = floor
        self._floors = floors

    @property
    def operation_names(self) -> Collection[str]:
        return {*self._operations, *self._floors}

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        limit = _of(method, self._operations, self._seconds)
        floor = _of(method, self._floors, self._floor)
        if limit is None and floor is None:
            return None
        if floor is not None:
            checked_floor(method.operation, floor, limit=limit)

        async def limited(call: Call, request: Any, next: Handler, /) -> Any:
            if limit is not None:
                call.limit(limit)
            return await next(call, request)

        if floor is None:
            return limited
        least = floor

        async def guarded(call: Call, request: Any, next: Handler, /) -> Any:
            if limit is not None:
                call.limit(limit)
            require_time(call, least)
            return await next(call, request)

        return guarded


def _of(method: Method[Any, Any], named: Mapping[str, float], others: float | None) -> float | None:
    seconds = named.get(method.operation)
    if seconds is None and not (method.arity.client_streams or method.arity.server_streams):
        return others
    return seconds
