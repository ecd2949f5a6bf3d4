"""From the methods of a service to handlers, one shape for all four arities."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from kratos.errors import Error, StartupError
from kratos.transport.call import Call, Handler
from kratos.transport.method import Method, Service
from kratos.transport.stream import Duplex, EnoughSent

__all__ = ["handler_for"]

T = TypeVar("T")


def handler_for(service: Service, method: Method[Any, Any], *, missing: bool) -> Handler:
    """Return the innermost handler of a method.

    Args:
        service: The user's object.
        method: Which of its methods.
        missing: Whether a method that is not implemented answers 501 instead of refusing.

    Raises:
        StartupError: The method is missing, or has not the shape that its arity asks for.
    """
    bound: Any = getattr(service, method.name, None)
    where = f"{type(service).__name__}.{method.name}"
    if bound is None or getattr(bound, "__isabstractmethod__", False):
        if missing:
            return _unimplemented(method)
        raise StartupError(
            f"{where} is not implemented, so {method.operation} cannot be served: "
            "implement it, or choose missing=Missing.UNIMPLEMENTED to answer 501"
        )
    if not _is_callable(bound):
        raise StartupError(f"{where} is no method, so {method.operation} cannot be served")
    if method.arity.server_streams:
        return _pump(bound, where)
    return _single(bound, where)


def _single(bound: Callable[[Any], Awaitable[Any]], where: str) -> Handler:
    """Make the handler of a method that returns one reply."""
    if inspect.isasyncgenfunction(bound):
        raise StartupError(f"{where} must return one reply, but it has a yield in it")
    if inspect.iscoroutinefunction(bound):

        def handler(call: Call, request: Any) -> Awaitable[Any]:
            call.seal()
            return bound(request)

        return handler

    async def checked(call: Call, request: Any) -> Any:
        call.seal()
        reply = bound(request)
        if not inspect.isawaitable(reply):
            raise TypeError(f"{where} must be async def: it returned {type(reply).__name__}")
        return await reply

    return checked


def _pump(bound: Callable[[Any], AsyncIterator[Any]], where: str) -> Handler:
    """Make the handler of a method that streams replies: the only code that iterates it."""
    if inspect.iscoroutinefunction(bound):
        raise StartupError(
            f"{where} must stream replies: write async def with yield in it, "
            "or def returning an async iterator"
        )

    async def handler(call: Call, request: Any) -> None:
        call.seal()
        replies = bound(request)
        if isinstance(replies, Duplex):
            await _run(replies, call)
            return
        if not hasattr(replies, "__anext__"):
            _discard(replies)
            raise TypeError(f"{where} must stream replies: it returned {type(replies).__name__}")
        async with _closing(replies):
            try:
                async for message in replies:
                    await call.send(message)
            except EnoughSent:
                return

    return handler


async def _run(body: Duplex[Any], call: Call) -> None:
    try:
        await body.run(call.send)
    except* EnoughSent:  # from within a task group, too
        pass


def _discard(answer: object) -> None:
    """Close a coroutine that nobody is going to await."""
    if inspect.iscoroutine(answer):
        answer.close()


def _is_callable(candidate: object) -> bool:
    return callable(candidate)


@asynccontextmanager
async def _closing(iterator: AsyncIterator[T]) -> AsyncGenerator[None]:
    """Close a generator in this task, whose context its finally blocks belong to."""
    try:
        yield
    finally:
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()


def _unimplemented(method: Method[Any, Any]) -> Handler:
    async def handler(call: Call, _request: Any) -> Any:
        call.seal()
        raise Error(501, "UNIMPLEMENTED", f"{method.operation} is not implemented here")

    return handler
