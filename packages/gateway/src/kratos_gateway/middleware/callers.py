"""Who calls, as middleware further out has found: for limits, and for back ends to be told."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Final
from urllib.parse import unquote_plus

from kratos.principal import Principal
from kratos_gateway.exchange import Request
from kratos_gateway.headers import hyphenated
from kratos_gateway.middleware.requests import with_headers

__all__ = [
    "UNSEEN",
    "called_by",
    "caller_of",
    "not_for_others",
    "parameter",
    "sendable",
    "times_not_for_others",
    "without_cookie",
    "without_header",
    "without_parameter",
]

UNSEEN: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands for what a header cannot say."""

_LONGEST: Final = 16_384  # characters
_KEY: Final = object()
_OWN: Final = object()


def caller_of(request: Request, /) -> Principal | None:
    """Return who calls; ``None`` if nobody has proved to be anybody."""
    found: Principal | None = request.options.values.get(_KEY)
    return found


def called_by(request: Request, principal: Principal | None, /, *, header: bytes = b"") -> Request:
    """Return a request with its caller noted.

    Args:
        request: It.
        principal: The caller; ``None`` for nobody, which takes no caller back who was found before.
        header: Tells back ends its subject; what the client has sent of that is dropped, with
            underscores in its name or hyphens. Empty for none.
    """
    if principal is not None:
        request.options.values[_KEY] = principal
    if not header:
        return request
    wanted = hyphenated(header)
    headers = [pair for pair in request.headers if hyphenated(pair[0]) != wanted]
    if principal is not None:
        headers.append((header, sendable(principal.subject)))
    return with_headers(request, headers)


def not_for_others(request: Request, /) -> None:
    """Note that others who ask the same may get another answer, or none.

    Middleware says so that lets only some in, or answers by itself: a cache further out, which
    does not ask it about others, keeps no such answer.
    """
    values = request.options.values
    values[_OWN] = values.get(_OWN, 0) + 1


def times_not_for_others(request: Request, /) -> int:
    """Return how often that was noted, over all attempts."""
    found: int = request.options.values.get(_OWN, 0)
    return found


def sendable(text: str, /) -> bytes:
    """Return a text as the value of a header.

    What cannot be sent, or would not be seen, becomes U+FFFD: were it left out, who may call
    himself ``admin`` and something invisible would be taken for ``admin``.
    """
    shown = "".join(each if each.isprintable() else UNSEEN for each in text)
    inner = shown.strip(" ")
    before = len(shown) - len(shown.lstrip(" "))
    after = len(shown) - before - len(inner)
    return (UNSEEN * before + inner + UNSEEN * after).encode()


def without_header(request: Request, name: bytes, /) -> Request:
    """Return a request without a header."""
    headers = [pair for pair in request.headers if pair[0] != name]
    return request if len(headers) == len(request.headers) else with_headers(request, headers)


def without_cookie(request: Request, name: bytes, /) -> Request:
    """Return a request without a cookie; the others stay as they were written."""
    if not name or not request.header(b"cookie"):
        return request
    headers: list[tuple[bytes, bytes]] = []
    for key, value in request.headers:
        if key == b"cookie":
            parts = value.split(b";")
            kept = [part for part in parts if part.partition(b"=")[0].strip() != name]
            if len(kept) < len(parts):
                value = b";".join(kept).strip()
            if not value:
                continue
        headers.append((key, value))
    return with_headers(request, headers)


def parameter(request: Request, name: str, /) -> list[str]:
    """Return the values of a parameter of the query, of many the first two: they are too many."""
    if not name or not request.query:
        return []
    pairs = (part.partition("=") for part in request.query.split("&"))
    values = (value for key, _, value in pairs if _is_named(key, name))
    # Nothing that proves anything is longer, and decoding takes long.
    found = (unquote_plus(each) if len(each) <= _LONGEST else each for each in values)
    return list(islice(found, 2))


def without_parameter(request: Request, name: str, /) -> Request:
    """Return a request without a parameter of its query; the rest stays as it was written."""
    if not name or not request.query:
        return request
    parts = request.query.split("&")
    kept = [part for part in parts if not _is_named(part.partition("=")[0], name)]
    return request if len(kept) == len(parts) else replace(request, query="&".join(kept))


def _is_named(key: str, name: str) -> bool:
    # Few keys are encoded, and clients may send thousands.
    return (unquote_plus(key) if "%" in key or "+" in key else key) == name
