"""What conditions look at: headers, query and cookies of a request, each read once if at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import unquote_plus

from kratos.transport.http import Head
from kratos_http.cookies import parse_cookies

__all__ = ["Particulars", "SchemeOf", "scheme_of_connection"]

SchemeOf: TypeAlias = Callable[[Head], str]
"""Tells by which scheme a client came."""

_OF_PREFLIGHT: Final = frozenset((b"origin", b"access-control-request-method"))


def scheme_of_connection(head: Head, /) -> str:
    """Return the scheme of the connection, which may be that of a proxy."""
    return head.scheme


class Particulars:
    """A request as conditions see it. Bytes that are no UTF-8 are surrogates.

    Args:
        head: The request.
        scheme_of: Tells the scheme of the client.

    Attributes:
        lenient: Whether it is let off conditions on what a browser does not send before it asks
            whether it may, and off shares.
    """

    __slots__ = ("_cookies", "_head", "_query", "_scheme_of", "lenient")

    def __init__(self, head: Head, scheme_of: SchemeOf = scheme_of_connection) -> None:
        self.lenient = False
        self._head = head
        self._scheme_of = scheme_of
        self._cookies: Mapping[str, str] | None = None
        self._query: list[tuple[str, str]] | None = None

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return self._scheme_of(self._head)

    @property
    def is_preflight(self) -> bool:
        """Whether a browser asks whether a page may send a request (CORS)."""
        head = self._head
        return head.method == "OPTIONS" and _OF_PREFLIGHT.issubset(name for name, _ in head.headers)

    def header(self, name: bytes) -> Sequence[str]:
        """Return all values of a header, by its lower-case name."""
        return [_text(value) for key, value in self._head.headers if key == name]

    def query(self, name: str) -> Sequence[str]:
        """Return all values of a parameter of the query, decoded."""
        if self._query is None:
            parts = _text(self._head.query).split("&")
            self._query = [
                (key, value) for key, _, value in (each.partition("=") for each in parts)
            ]
        # Clients may send thousands, few of which are encoded, or asked for.
        return [
            _decoded(value)
            for key, value in self._query
            if (_decoded(key) if "%" in key or "+" in key else key) == name
        ]

    def cookie(self, name: str) -> Sequence[str]:
        """Return the value of a cookie, if it is there; of two with one name the first."""
        if self._cookies is None:
            self._cookies = parse_cookies(self.header(b"cookie"))
        value = self._cookies.get(name)
        return () if value is None else (value,)


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
