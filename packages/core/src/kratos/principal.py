"""Who is calling: what an authenticating middleware found out, for rules and handlers.

``kratos_jwt.server``, ``kratos.middleware.certificate`` and ``kratos.middleware.api_key`` fill it
in; ``kratos.middleware.authorize`` and business code read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, Final

from kratos.errors import Error
from kratos.transport.call import Call, server_call

__all__ = ["Principal", "acting_as", "current_principal", "require_principal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller that has proved who it is.

    Attributes:
        subject: Its name; unique for one ``scheme`` and ``issuer``.
        scheme: How it was proved: ``jwt``, ``certificate``, ``api_key`` or a name of your own.
        issuer: Who vouches for it, empty if that is this service itself.
        scopes: What the credential allows.
        roles: What the caller is.
        claims: Whatever else the credential says.
        expires_at: When the credential ends, in seconds since the epoch; ``None`` for never.
    """

    subject: str
    scheme: str
    issuer: str = ""
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    expires_at: float | None = None


# With the call it was found out for: a call that is served in process begins in the context of
# its caller, and must not pass for it.
_CURRENT: Final[ContextVar[tuple[Call | None, Principal | None]]] = ContextVar(
    "kratos.principal", default=(None, None)
)


def current_principal() -> Principal | None:
    """Return who called; ``None`` if nobody proved to be anybody."""
    call, principal = _CURRENT.get()
    return principal if call is server_call() else None


def require_principal() -> Principal:
    """Return who called.

    Raises:
        Error: 401 ``UNAUTHORIZED``: nobody proved to be anybody.
    """
    principal = current_principal()
    if principal is None:
        raise Error(401, "UNAUTHORIZED", "this call has to be authenticated")
    return principal


class acting_as:  # noqa: N801  read as a phrase: with acting_as(principal)
    """Let a block run for a caller; for authenticating middleware, and for tests.

    It holds for the call that is being served, and for none that the block makes.

    Args:
        principal: The caller; ``None`` for nobody.
    """

    __slots__ = ("_principal", "_token")

    def __init__(self, principal: Principal | None, /) -> None:
        self._principal = principal
        self._token: Token[tuple[Call | None, Principal | None]] | None = None

    def __enter__(self) -> Principal | None:
        self._token = _CURRENT.set((server_call(), self._principal))
        return self._principal

    def __exit__(self, *_outcome: object) -> None:
        assert self._token is not None, "entered before"
        _CURRENT.reset(self._token)
