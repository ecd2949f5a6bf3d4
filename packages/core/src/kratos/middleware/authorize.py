"""Who may call what: a decision before the handler runs, on every arity.

The caller is ``kratos.principal.current_principal()``, so whatever authenticates has to be
further out in the chain.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from kratos.errors import ConfigError, Error, StartupError
from kratos.middleware.selector import Matcher
from kratos.principal import require_principal
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Method

__all__ = [
    "Decide",
    "Decision",
    "Denied",
    "all_of",
    "any_of",
    "authenticated",
    "authorize",
    "public",
    "roles",
    "scopes",
]

_REASON: Final = "FORBIDDEN"
_MESSAGE: Final = "the caller may not do this"


@dataclass(frozen=True, slots=True)
class Denied:
    """A refusal that says more than ``False`` does.

    Attributes:
        message: What the caller is told.
        reason: Reason of the error.
    """

    message: str = _MESSAGE
    reason: str = _REASON


Decision: TypeAlias = "bool | Denied"
Decide: TypeAlias = "Callable[[Call, Any], Decision | Awaitable[Decision]]"


def authorize(
    decide: Decide | Mapping[str, Decide], /, *, strict: bool = True, messages: bool = False
) -> PerMethod:
    """Make the middleware that lets calls through for which a decision says so.

        authorize({
            "/shop.v1.Orders/*": scopes("orders:read"),
            "/shop.v1.Orders/Cancel": all_of(scopes("orders:write"), roles("clerk")),
            "/shop.v1.Catalog/*": public,
        })

    Anything but ``True`` refuses the call: ``False`` and ``Denied`` with 403, an ``Error`` that is
    raised with itself. What is no decision at all, such as the ``None`` of a forgotten ``return``,
    and any other exception, fail the call with 500.

    On clients it does nothing.

    Args:
        decide: ``decide(call, request)``, plain or ``async``, for all operations; or decisions by
            operation, where a key that ends in ``*`` is the beginning of some and the longest one
            counts. ``request`` is ``None`` where requests are a stream.
        strict: Refuse to start a server that has an operation without a decision; else such
            operations are refused to everybody.
        messages: Decide about each message of a stream of requests too, when it comes.

    Raises:
        ConfigError: There is no decision, a decision is no function, or a key is like no
            operation.
    """
    table = cast("Mapping[str, object]", decide if isinstance(decide, Mapping) else {"*": decide})
    if not table:
        raise ConfigError("authorize({}) would refuse everything: give it decisions")
    rules = Matcher()
    for selector, decision in table.items():
        if not callable(decision) or isinstance(decision, type):
            raise ConfigError(
                f"the decision of {selector!r} is {decision!r}; it has to be a function of call "
                "and request, such as public or scopes('orders:read')"
            )
        rules.add(selector, [_Deciding(cast("Decide", decision), messages=messages)])
    return _Authorize(rules, strict=strict)


def public(_call: Call, _request: Any, /) -> bool:
    """Decide that everybody may call."""
    return True


def authenticated(_call: Call, _request: Any, /) -> bool:
    """Decide that whoever proved to be somebody may call; 401 else."""
    require_principal()
    return True


def scopes(*needed: str) -> Decide:
    """Decide that callers with all of some scopes may call; 401 without a caller.

    Raises:
        ConfigError: There is none.
    """
    return _Holding("scopes", needed)


def roles(*needed: str) -> Decide:
    """Decide that callers with all of some roles may call; 401 without a caller.

    Raises:
        ConfigError: There is none.
    """
    return _Holding("roles", needed)


def all_of(*decisions: Decide) -> Decide:
    """Decide by several: the first that does not say ``True`` counts."""

    async def decide(call: Call, request: Any, /) -> Decision:
        for decision in decisions:
            said: Decision = await _said(decision, call, request)
            if said is not True:
                return said
        return True

    return _some(decisions, decide)


def any_of(*decisions: Decide) -> Decide:
    """Decide by several: one ``True`` suffices, else the last one counts.

    An ``Error`` of one, such as the 401 of a caller who is not known, does not keep the others
    from saying ``True``.
    """

    async def decide(call: Call, request: Any, /) -> Decision:
        said: Decision = False
        failure: Error | None = None
        for decision in decisions:
            try:
                said = await _said(decision, call, request)
            except Error as error:
                failure = error
            else:
                if said is True:
                    return True
                failure = None
        if failure is not None:
            raise failure
        return said

    return _some(decisions, decide)


def _some(decisions: tuple[Decide, ...], decide: Decide) -> Decide:
    if not decisions:
        raise ConfigError("all_of() and any_of() need decisions")
    return decide


class _Holding:
    """Asks the caller for what it has to hold."""

    __slots__ = ("_kind", "_needed")

    def __init__(self, kind: str, needed: tuple[str, ...]) -> None:
        if not needed:
            raise ConfigError(f"{kind}() without a name would let everybody through: give it one")
        for name in needed:
            if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"{kind} are texts: {kind}('a', 'b'), not {name!r}")
        self._kind = kind
        self._needed = frozenset(needed)

    def __call__(self, _call: Call, _request: Any, /) -> bool:
        held: frozenset[str] = getattr(require_principal(), self._kind)
        return self._needed <= held

    def __repr__(self) -> str:
        return f"{self._kind}({', '.join(map(repr, sorted(self._needed)))})"


class _Authorize:
    def __init__(self, rules: Matcher, *, strict: bool) -> None:
        self._rules = rules
        self._strict = strict

    @property
    def operation_names(self) -> Collection[str]:
        """What decisions were given for; see ``NamesOperations``.

        Without routes and beginnings of packages: those may be another server's.
        """
        return [name for name in self._rules.selectors if name.count("/") > 1]

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        """Return the middleware of a method; see ``PerMethod``.

        Raises:
            StartupError: The method has no decision, and ``strict`` asks for one.
        """
        bound = self._rules.bind(method)
        if bound is not None:
            return bound
        if self._strict:
            raise StartupError(
                f"authorize(...) has no decision for {method.operation}: add one, public for "
                "everybody, or say strict=False to refuse it to all"
            )
        return _Deciding(_nobody, messages=False).bind(method)


def _nobody(_call: Call, _request: Any, /) -> bool:
    return False


class _Deciding:
    def __init__(self, decide: Decide, *, messages: bool) -> None:
        self._decide = decide
        self._messages = messages

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        return self._stream if method.arity.client_streams else self._single

    async def _single(self, call: Call, request: Any, next: Handler, /) -> Any:
        if call.side is Side.SERVER:
            await _require(self._decide, call, request)
        return await next(call, request)

    async def _stream(self, call: Call, request: Any, next: Handler, /) -> Any:
        if call.side is Side.SERVER:
            await _require(self._decide, call, None)
            if self._messages:
                call.on_receive(self._hook(call))
        return await next(call, request)

    def _hook(self, call: Call) -> Callable[[Any], Awaitable[Any]]:
        async def hook(message: Any) -> Any:
            await _require(self._decide, call, message)
            return message

        return hook


async def _require(decide: Decide, call: Call, request: Any) -> None:
    said = await _said(decide, call, request)
    if said is True:
        return
    if said is False:
        raise Error(403, _REASON, _MESSAGE)
    if isinstance(said, Denied):
        raise Error(403, said.reason, said.message)
    raise TypeError(
        f"{call.method.operation}: the decision {decide!r} returned {type(said).__name__}; "
        "it has to return True, False or Denied"
    )


async def _said(decide: Decide, call: Call, request: Any) -> Any:
    said = decide(call, request)
    return await said if inspect.isawaitable(said) else said
