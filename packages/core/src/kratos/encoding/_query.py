"""``application/x-www-form-urlencoded`` text: pairs out of it, and into it (Go: ``net/url``)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

from kratos.encoding._codec import CodecError
from kratos_protojson.scalars import show

__all__ = ["format_query", "parse_query"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_query(query: str | bytes) -> list[tuple[str, str]]:
    """Return the pairs of a query string or form, in order; empty pieces are skipped.

    A semicolon is an ordinary character, as in the URL standard; Go drops such pairs.

    Raises:
        CodecError: An escape is malformed, or the text is not UTF-8.
    """
    if isinstance(query, bytes):
        try:
            query = query.decode()
        except UnicodeDecodeError as error:
            raise CodecError(f"the form is not UTF-8 at byte {error.start}") from None
    pairs: list[tuple[str, str]] = []
    for piece in query.split("&"):
        if piece:
            key, _, value = piece.partition("=")
            pairs.append((_unescape(key), _unescape(value)))
    return pairs


def format_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the pairs as text, sorted by key; pairs of one key keep their order."""
    return "&".join(
        f"{_escape(key)}={_escape(value)}" for key, value in sorted(pairs, key=lambda pair: pair[0])
    )


def _escape(text: str) -> str:
    # Most names and values are plain; quote_plus looks at every character in Python.
    return text if _PLAIN.fullmatch(text) else quote_plus(text)


def _unescape(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    if _BROKEN_ESCAPE.search(text):
        raise CodecError(f"{show(text)} has a malformed percent escape")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise CodecError(f"{show(text)} is not UTF-8 when its escapes are decoded") from None
