"""What middleware that finds out who calls has in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from kratos.errors import Error
from kratos.principal import Principal, acting_as
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware

__all__ = ["Prove", "proving", "unauthorized"]

Prove: TypeAlias = "Callable[[Call], Awaitable[Principal | None]]"


def unauthorized(message: str) -> Error:
    """Make the error of a caller who did not prove to be anybody."""
    return Error(401, "UNAUTHORIZED", message)


def proving(prove: Prove) -> Middleware:
    """Make the middleware of a function that returns who calls, ``None`` for nobody."""

    async def authenticate(call: Call, request: Any, next: Handler, /) -> Any:
        if call.side is not Side.SERVER:
            return await next(call, request)
        principal = await prove(call)
        if principal is None:
            return await next(call, request)
        with acting_as(principal):
            return await next(call, request)

    return authenticate
