"""Refuse requests that are not as they should be (Go: middleware/validate)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from kratos.errors import Error, FieldViolation, StartupError
from kratos.middleware._checks import every_request
from kratos.transport.call import Call
from kratos.transport.chain import Middleware, PerMethod
from kratos.transport.method import Method

__all__ = [
    "AnyCheck",
    "Check",
    "CheckPerType",
    "Checked",
    "ValidationError",
    "validate",
    "validator",
]

M = TypeVar("M")

Checked: TypeAlias = "FieldViolation | Iterable[FieldViolation] | None"
"""What a check returns: what is wrong, nothing or ``None`` if all is well."""

Check: TypeAlias = "Callable[[Any], Checked | Awaitable[Checked]]"
"""A check of a request, a function or a coroutine function."""

_REASON: Final = "VALIDATOR"


class ValidationError(ValueError):
    """What a check may raise that has a text of its own besides the violations.

    Args:
        text: For people; the message of the error that the caller gets.
        violations: What is wrong with which field.
    """

    def __init__(self, text: str, violations: Iterable[FieldViolation] = ()) -> None:
        super().__init__(text)
        self.violations = tuple(violations)


@runtime_checkable
class CheckPerType(Protocol):
    """A check that specialises for each type of requests when chains are built."""

    def for_type(self, message_type: type[Any], /) -> Check | None:
        """Return the check for requests of one type; ``None`` if there is nothing to check."""
        ...


AnyCheck: TypeAlias = "Check | CheckPerType"


def validate(*checks: AnyCheck, before: Sequence[AnyCheck] = ()) -> PerMethod:
    """Refuse requests that do not pass their checks; their handler is not called.

    A request that has a method ``validate()`` is asked first, then each check in turn; the first
    that fails ends the call with 400 ``VALIDATOR``, over all arities: of a stream of requests
    each message is checked when it is read. On a client nothing is sent. Whether there is
    something to check is found out per method, when chains are built.

    A check takes the request and fails by returning violations or by raising ``ValueError``,
    whose text becomes the message and which is the cause. An ``Error`` that it raises is what
    the caller gets, unchanged. Any other exception is a fault of the check and no refusal.

    Args:
        checks: Functions or coroutine functions; ``validator(type, check)`` for one type alone.
        before: Checks that run before the request's own ``validate()``.

    Raises:
        TypeError: A check cannot be called.
    """
    for check in (*before, *checks):
        if not isinstance(check, CheckPerType) and not callable(check):
            raise TypeError(f"a check takes a request, {check!r} cannot be called")
    return _Validate((*before, _OwnMethod(), *checks))


def validator(
    message_type: type[M], check: Callable[[M], Checked | Awaitable[Checked]]
) -> CheckPerType:
    """Make a check of requests of one type, for ``validate``.

    Args:
        message_type: Exactly this type; methods with requests of others are left alone.
        check: As of ``validate``.
    """
    return _OfType(message_type, check)


class _OwnMethod:
    def for_type(self, message_type: type[Any], /) -> Check | None:
        # A field of that name is no method: of a class it cannot be called.
        return _validate_itself if callable(getattr(message_type, "validate", None)) else None


def _validate_itself(request: Any) -> Checked | Awaitable[Checked]:
    found: Checked | Awaitable[Checked] = request.validate()
    return found


class _OfType:
    def __init__(self, message_type: type[Any], check: Check) -> None:
        self._type = message_type
        self._check = check

    def for_type(self, message_type: type[Any], /) -> Check | None:
        return self._check if message_type is self._type else None


class _Validate:
    def __init__(self, checks: Sequence[AnyCheck]) -> None:
        self._checks = checks

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        checks = tuple(_for_type(self._checks, method))
        if not checks:
            return None

        async def run(_call: Call, request: Any) -> None:
            for check in checks:
                try:
                    found = check(request)
                    if found is None:
                        continue
                    violations = _listed(check, await found if isawaitable(found) else found)
                except ValidationError as error:
                    raise _refusal(str(error), error.violations) from error
                except ValueError as error:
                    raise _refusal(str(error), ()) from error
                if violations:
                    raise _refusal("; ".join(map(_shown, violations)), violations)

        return every_request(run).bind(method)


def _for_type(checks: Iterable[AnyCheck], method: Method[Any, Any]) -> Iterable[Check]:
    for check in checks:
        if not isinstance(check, CheckPerType):
            yield check
            continue
        try:
            found = check.for_type(method.request)
        except ValueError as error:
            raise StartupError(f"rules of the requests of {method.operation}: {error}") from error
        if found is not None:
            yield found


def _listed(check: Check, found: object) -> list[FieldViolation]:
    """Return the violations that a check has found.

    Raises:
        TypeError: It returned something else, ``False`` for instance.
    """
    if found is None:
        return []
    if isinstance(found, FieldViolation):
        return [found]
    given = list(cast("Iterable[object]", found)) if isinstance(found, Iterable) else [found]
    violations = [each for each in given if isinstance(each, FieldViolation)]
    if len(violations) < len(given):
        raise TypeError(f"{check!r} returned {found!r}; a check returns violations or None")
    return violations


def _refusal(text: str, violations: Sequence[FieldViolation]) -> Error:
    error = Error(400, _REASON, text)
    return error.with_field_violations(*violations) if violations else error


def _shown(violation: FieldViolation) -> str:
    told = violation.description or violation.reason or "is not accepted"
    return f"{violation.field}: {told}" if violation.field else told
