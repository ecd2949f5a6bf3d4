"""Building chains, once per operation when a server starts."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from functools import partial
from inspect import isasyncgenfunction, isawaitable, iscoroutinefunction, isroutine, signature
from typing import Any, Protocol, TypeAlias, TypeGuard, TypeVar, cast, runtime_checkable

from kratos.errors import ConfigError, StartupError
from kratos.transport.call import Call, Handler
from kratos.transport.method import Method

__all__ = [
    "AnyMiddleware",
    "ByDefault",
    "Middleware",
    "PerMethod",
    "bind",
    "chain",
    "link",
    "listed",
]


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


@runtime_checkable
class ByDefault(Protocol):
    """A middleware that is there without having been asked for; it finds its place by itself."""

    def place_in(self, chain: Sequence[AnyMiddleware], /) -> int | None:
        """Return before which of the others it stands; ``None`` to be left out of this chain.

        Called when chains are built, with all that were asked for.
        """
        ...


T = TypeVar("T")

AnyMiddleware: TypeAlias = "Middleware | PerMethod"


def listed(elements: Iterable[T], *, option: str = "middleware") -> tuple[T, ...]:
    """Return what an option lists.

    Raises:
        ConfigError: It is one of these, and no list.
    """
    if not isinstance(elements, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"{option} must be a list, not {elements!r}")
    return tuple(elements)


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
    for element in _placed(middleware):
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
        if isasyncgenfunction(_function_of(bound)):
            raise StartupError(
                f"{bound!r} is no middleware: it yields; call next in place of it, and return "
                "what that returns"
            )
        found.append(bound)
    return found


def link(middleware: Sequence[Middleware], handler: Handler) -> Handler:
    """Put what ``bind`` returned around a handler, the first outermost."""
    for element in reversed(middleware):
        handler = _linked(element, handler)
    return handler


def _placed(middleware: Iterable[AnyMiddleware]) -> list[AnyMiddleware]:
    """Return what was asked for, with what is there by default where that wants to stand."""
    placed: list[AnyMiddleware] = []
    defaults: list[ByDefault] = []
    for element in middleware:
        if isinstance(element, ByDefault) and not isinstance(element, type):
            defaults.append(element)
        else:
            placed.append(element)
    for default in defaults:
        index = default.place_in(placed)
        if index is not None:
            placed.insert(index, cast("AnyMiddleware", default))
    return placed


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


def _function_of(middleware: object) -> object:
    """Return the function that a call of a middleware ends up in, as far as one can see."""
    while isinstance(middleware, partial):
        middleware = middleware.func
    if isroutine(middleware):
        return middleware
    return type(middleware).__call__


def _linked(middleware: Middleware, next: Handler) -> Handler:
    if not iscoroutinefunction(_function_of(middleware)):
        return _checked(middleware, next)

    # A plain closure: an async def per link would cost a coroutine per link and call.
    def linked(call: Call, request: Any) -> Awaitable[Any]:
        return middleware(call, request, next)

    return linked


def _checked(middleware: Middleware, next: Handler) -> Handler:
    """Link what is no ``async def``, and may return what ``next`` does, or forget to."""

    def linked(call: Call, request: Any) -> Awaitable[Any]:
        answer: object = middleware(call, request, next)
        if not isawaitable(answer):
            raise TypeError(
                f"the middleware {middleware!r} must be async def, and return await "
                f"next(call, request): it returned {type(answer).__name__}"
            )
        return answer

    return linked
