"""One name for all that is done for a request, in every log and on every hop."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from kratos.log import context_fields
from kratos.middleware._header_name import header_name
from kratos.options import require_count
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware

__all__ = ["REQUEST_ID", "current_request_id", "request_id"]

REQUEST_ID: Final = "x-request-id"
"""The header, by the name that proxies use."""

_CLIENT: Final = Side.CLIENT  # members of enumerations are slow to look up
_ID: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]+")
_LONGEST: Final = 128
_FIELD: Final = "request_id"

_CURRENT: Final[ContextVar[str]] = ContextVar("kratos_request_id", default="")


def current_request_id() -> str:
    """Return the id of the request that this code runs for; empty outside of one."""
    return _CURRENT.get()


def request_id(
    *,
    header: str = REQUEST_ID,
    trust: bool = True,
    max_length: int = _LONGEST,
    make: Callable[[], str] | None = None,
) -> Middleware:
    """Give each call an id, for logs and for people who ask what became of it; all arities.

    On a server it is the caller's own, if that is an id, or a new one. It goes into the field
    ``request_id`` of all log records that are written for the call, and into the reply's headers,
    also with an error. On a client, it goes along with each call; one that the caller gave in the
    headers stays.

    Stands outermost on servers, so that everything sees it. An id is up to the caller: nothing
    may be decided by it.

    Args:
        header: The header, of requests and replies.
        trust: Whether a server takes the id of its caller; not where strangers call directly.
        max_length: Characters of an id; a longer one is not taken, nor one with others than
            letters, digits and ``._~:/+=@-``.
        make: Makes an id, 128 random bits by default.

    Raises:
        ConfigError: The length is not positive, or the header none.
    """
    require_count("max_length", max_length)
    name = header_name(header)
    new = make or _random_id

    async def identified(call: Call, request: Any, next: Handler, /) -> Any:
        if call.side is _CLIENT:
            if name not in call.headers:
                call.headers.set(name, _CURRENT.get() or new())
            return await next(call, request)
        given = call.headers.get(name) if trust else ""
        if not given or len(given) > max_length or not _ID.fullmatch(given):
            given = new()
        token = _CURRENT.set(given)
        try:
            with context_fields(**{_FIELD: given}):
                call.reply_headers.set(name, given)
                return await next(call, request)
        finally:
            _CURRENT.reset(token)

    return identified


def _random_id() -> str:
    return secrets.token_hex(16)
