"""Answers of plain handlers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from kratos.transport.http import Reply, WireHeaders
from kratos_http.redirect import Redirect

__all__ = ["StreamReply", "json_reply", "redirect_reply", "text_reply"]

_JSON: Final = ((b"content-type", b"application/json"),)
_TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"),)


@dataclass(slots=True, kw_only=True)
class StreamReply:
    """An answer whose body is made while it is sent; for routes with ``streamed=True``.

    Attributes:
        pieces: The body; asked for the next piece when the peer has taken the last one. Not
            iterated for ``HEAD``.
        status: Status of the answer.
        headers: Lower-case names and values.
        length: Bytes of the body, if they are known: the answer is broken off if it turns out
            to have others.
        close: Called once when the answer has ended, well or not.
    """

    pieces: AsyncIterable[bytes]
    status: int = 200
    headers: WireHeaders = ()
    length: int | None = None
    close: Callable[[], object] | None = None


def json_reply(value: Any, *, status: int = 200) -> Reply:
    """Return a value as JSON.

    Raises:
        TypeError: It has a part that JSON does not know.
        ValueError: It holds NaN or an infinity, or contains itself.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Reply(status, _JSON, text.encode())


def text_reply(text: str, *, status: int = 200) -> Reply:
    """Return plain text."""
    return Reply(status, _TEXT, text.encode())


def redirect_reply(location: str, code: int = HTTPStatus.FOUND) -> Reply:
    """Send the caller elsewhere; ``raise Redirect(...)`` does so from anywhere in a call.

    Args:
        location: URL or absolute path. From input, it can lead to any other host.
        code: 301, 302, 303, 307 or 308.

    Raises:
        ConfigError: As ``Redirect``.
    """
    redirect = Redirect(location, code)
    return Reply(redirect.code, ((b"location", redirect.location.encode()),))
