"""The claims of the call that runs here."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from kratos.transport import Call, server_call
from kratos_jwt.refusal import MISSING, error
from kratos_jwt.token import TokenHeader

__all__ = ["CURRENT", "Current", "current_claims", "current_header"]

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Current:
    """What ``server`` leaves for the call.

    Attributes:
        call: That call; one that is served in process begins in the context of its caller.
        header: Of the token.
        claims: As they stand in it.
        typed: What ``claims_type`` made of them, the same without it.
    """

    call: Call | None
    header: TokenHeader
    claims: dict[str, Any]
    typed: Any


CURRENT: Final[ContextVar[Current | None]] = ContextVar("kratos_jwt.current", default=None)


@overload
def current_claims() -> dict[str, Any]: ...


@overload
def current_claims(kind: type[C], /) -> C: ...


def current_claims(kind: type[C] | None = None, /) -> dict[str, Any] | C:
    """Return the claims of the call that this code runs for; the call's own object.

    Args:
        kind: The ``claims_type`` of the server; without it they are as they stand in the token.

    Raises:
        Error: 401 ``UNAUTHORIZED``: the call has no token.
        TypeError: The server makes something else of claims.
    """
    current = _current()
    if kind is None:
        return current.claims
    typed = current.typed
    if not isinstance(typed, kind):
        raise TypeError(
            f"claims are {type(typed).__name__} here and not {kind.__name__}: give "
            f"claims_type={kind.__name__} to kratos_jwt.server"
        )
    return typed


def current_header() -> TokenHeader:
    """Return the header of the token of the call that this code runs for.

    Raises:
        Error: 401 ``UNAUTHORIZED``: the call has no token.
    """
    return _current().header


def _current() -> Current:
    current = CURRENT.get()
    if current is None or current.call is not server_call():
        raise error(MISSING)
    return current
