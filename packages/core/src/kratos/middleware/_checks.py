"""Middleware made of a check on messages, whether they are arguments or come in a stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from kratos.transport.call import Call, Handler
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Method

__all__ = ["every_request", "on_type"]

M = TypeVar("M")


def every_request(check: Callable[[Call, Any], Awaitable[None]]) -> PerMethod:
    """Make a middleware that checks every request message, before the handler sees it.

    Args:
        check: Raises to refuse the message, which ends the call with that error.
    """
    return _EveryRequest(check)


def on_type(message_type: type[M], check: Callable[[Call, M], Awaitable[None]]) -> PerMethod:
    """Make a middleware that checks requests of one type and leaves other methods alone."""
    return _EveryRequest(check, message_type)


class _EveryRequest:
    def __init__(
        self, check: Callable[[Call, Any], Awaitable[None]], only: type | None = None
    ) -> None:
        self._check = check
        self._only = only

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        if self._only is not None and method.request is not self._only:
            return None
        return self._stream if method.arity.client_streams else self._single

    async def _single(self, call: Call, request: Any, next: Handler, /) -> Any:
        await self._check(call, request)
        return await next(call, request)

    async def _stream(self, call: Call, request: Any, next: Handler, /) -> Any:
        async def hook(message: Any) -> Any:
            await self._check(call, message)
            return message

        if call.side is call.side.SERVER:
            call.on_receive(hook)
        else:
            call.on_send(hook)
        return await next(call, request)
