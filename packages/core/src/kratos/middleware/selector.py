"""Middleware for some operations only (Go: middleware/selector, and Server.Use)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from kratos.errors import ConfigError
from kratos.middleware._default_metrics import counts_calls
from kratos.transport.call import Call, Handler
from kratos.transport.chain import AnyMiddleware, Middleware, PerMethod, bind, link, listed
from kratos.transport.method import Method
from kratos.transport.naming import NamesOperations

__all__ = ["Matcher", "selector"]

_STAR: Final = "*"


def selector(
    middleware: Sequence[AnyMiddleware],
    /,
    *,
    paths: Sequence[str] = (),
    prefixes: Sequence[str] = (),
    regexes: Sequence[str] = (),
    match: Callable[[Call], bool] | None = None,
) -> PerMethod:
    """Return middleware that is around those calls for which one of the conditions holds.

    All but ``match`` are decided when a server or client starts, and cost a call nothing.

    Args:
        middleware: What to apply, the first outermost.
        paths: Operations, such as ``/helloworld.Greeter/SayHello``, or path templates of plain
            handlers.
        prefixes: Beginnings of operations, such as ``/helloworld.Greeter/``.
        regexes: Expressions that a whole operation matches.
        match: Decides for each call, for instance by its headers.

    Raises:
        ConfigError: There is no condition, or an expression is none (Go leaves that one out),
            or the middleware is no list.
    """
    if not (paths or prefixes or regexes or match):
        raise ConfigError("selector(...) without a condition would never apply: give it one")
    for text in (paths, prefixes, regexes):
        if isinstance(text, str):
            raise ConfigError(f"selector(...) takes lists of texts, not the text {text!r}")
    patterns: list[re.Pattern[str]] = []
    for regex in regexes:
        try:
            patterns.append(re.compile(regex))
        except re.error as error:
            raise ConfigError(f"selector(regexes=...): {regex!r} is none: {error}") from error
    exact, beginnings = frozenset(paths), tuple(prefixes)

    def applies(operation: str) -> bool:
        if operation in exact or operation.startswith(beginnings):
            return True
        return any(pattern.fullmatch(operation) for pattern in patterns)

    chosen = listed(middleware)
    names = {*paths, *_names_in(chosen)}
    return _Selector(chosen, applies, match, names)


class Matcher:
    """Middleware by selectors, as ``Server.Use`` of Go: the best one decides.

    A selector is an operation, or ends in ``*`` and is the beginning of some. An operation gets
    the middleware of the selector that names it, else that of the longest beginning, not of both.
    """

    def __init__(self) -> None:
        self._exact: dict[str, tuple[AnyMiddleware, ...]] = {}
        self._prefixes: dict[str, tuple[AnyMiddleware, ...]] = {}

    def add(self, selector: str, middleware: Sequence[AnyMiddleware], /) -> None:
        """Give middleware to what a selector selects, in place of what it had.

        Raises:
            ConfigError: The selector is neither an operation nor the beginning of one, or the
                middleware is no list.
        """
        if selector != _STAR and not selector.startswith("/"):
            raise ConfigError(f"the selector {selector!r} is like no operation: /package.Service/*")
        chosen = listed(middleware, option=f"the middleware of {selector}")
        if selector.endswith(_STAR):
            self._prefixes[selector[:-1]] = chosen
        else:
            self._exact[selector] = chosen

    @property
    def selectors(self) -> Collection[str]:
        """What was selected, as it was added."""
        return [*self._exact, *(f"{prefix}{_STAR}" for prefix in self._prefixes)]

    @property
    def operation_names(self) -> Collection[str]:
        """Operations that the middleware was told; see ``NamesOperations``."""
        return set(_names_in(self._chosen()))

    @property
    def counts_calls(self) -> bool:
        """Whether ``metrics`` is in it; see ``CountsCalls``."""
        return any(map(counts_calls, self._chosen()))

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        """Return the middleware of a method; see ``PerMethod``."""
        operation = method.operation
        chosen = self._exact.get(operation)
        if chosen is None:
            fitting = [prefix for prefix in self._prefixes if operation.startswith(prefix)]
            chosen = self._prefixes[max(fitting, key=len)] if fitting else ()
        bound = bind(chosen, method)
        return _Several(bound) if bound else None

    def _chosen(self) -> Iterable[AnyMiddleware]:
        return chain(*self._exact.values(), *self._prefixes.values())


def _names_in(middleware: Iterable[object]) -> Iterator[str]:
    for element in middleware:
        if isinstance(element, NamesOperations) and not isinstance(element, type):
            yield from element.operation_names


class _Selector:
    def __init__(
        self,
        middleware: tuple[AnyMiddleware, ...],
        applies: Callable[[str], bool],
        match: Callable[[Call], bool] | None,
        operation_names: Collection[str],
    ) -> None:
        self._middleware = middleware
        self._applies = applies
        self._match = match
        self.operation_names = operation_names
        self.counts_calls = any(map(counts_calls, middleware))

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        always = self._applies(method.operation)
        match = self._match
        if not always and match is None:
            return None
        bound = bind(self._middleware, method)
        if not bound:
            return None
        several = _Several(bound)
        if always or match is None:
            return several

        async def conditional(call: Call, request: Any, next: Handler, /) -> Any:
            if match(call):
                return await several(call, request, next)
            return await next(call, request)

        return conditional


class _Several:
    """Several middleware as one."""

    def __init__(self, bound: Sequence[Middleware]) -> None:
        self._bound = bound
        self._next: Handler | None = None
        self._linked: Handler | None = None

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        # In a chain, what comes next is the same for all calls, and linked once.
        if self._linked is None or next is not self._next:
            self._next, self._linked = next, link(self._bound, next)
        return await self._linked(call, request)
