"""Building chains, once per operation when a server starts."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from inspect import signature
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

from kratos.errors import ConfigError, StartupError
from kratos.transport.call import Call, Handler
from kratos.transport.method import Method

__all__ = ["AnyMiddleware", "Middleware", "PerMethod", "bind", "chain", "link", "listed"]


class Middleware(Protocol):
    """Code around a call."""

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        """Act, and ``return await next(call, request)``; refuse by raising before it."""
        ...


@runtime_checkable
class PerMethod(Protocol):
    """A middleware that specialises for each method when chains are built."""

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        """Return the middleware for one method; ``None`` to be left out of its chain."""
        ...


AnyMiddleware: TypeAlias = "Middleware | PerMethod"


def listed(
    middleware: Iterable[AnyMiddleware], *, option: str = "middleware"
) -> tuple[AnyMiddleware, ...]:
    """Return the middleware of an option.

    Raises:
        ConfigError: It is one, and no list.
    """
    if not isinstance(middleware, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"{option} must be a list, not {middleware!r}")
    return tuple(middleware)


def chain(
    middleware: Iterable[AnyMiddleware], method: Method[Any, Any], handler: Handler
) -> Handler:
    """Link middleware around a handler, the first outermost.

    Raises:
        StartupError: An element is neither callable nor specialises per method.
    """
    return link(bind(middleware, method), handler)


def bind(middleware: Iterable[AnyMiddleware], method: Method[Any, Any]) -> list[Middleware]:
    """Return what a method's chain is made of, the first outermost.

    Raises:
        StartupError: An element is neither callable nor specialises per method.
    """
    found: list[Middleware] = []
    for element in middleware:
        bound: object = element
        if isinstance(element, PerMethod) and not isinstance(element, type):
            bound = element.bind(method)
            if bound is None:
                continue
        if not _is_middleware(bound):
            raise StartupError(
                f"{element!r} is no middleware: pass an async callable (call, request, next), "
                "for example recovery() and not recovery"
            )
        found.append(bound)
    return found


def link(middleware: Sequence[Middleware], handler: Handler) -> Handler:
    """Put what ``bind`` returned around a handler, the first outermost."""
    for element in reversed(middleware):
        handler = _linked(element, handler)
    return handler


def _is_middleware(candidate: object) -> TypeGuard[Middleware]:
    # A factory passed without its parentheses is callable too, with one parameter too few.
    if isinstance(candidate, type) or not callable(candidate):
        return False
    try:
        signature(candidate).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def _linked(middleware: Middleware, next: Handler) -> Handler:
    # A plain closure: an async def per link would cost a coroutine per link and call.
    def linked(call: Call, request: Any) -> Awaitable[Any]:
        return middleware(call, request, next)

    return linked
