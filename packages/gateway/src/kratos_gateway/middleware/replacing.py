"""Parts of paths replaced: a prefix, or what an expression fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import quote

from kratos.errors import ConfigError
from kratos_gateway.api.rewrite_pb2 import PrefixRewrite, RegexRewrite
from kratos_gateway.expressions import NoExpressionError, compiled
from kratos_gateway.routing import clean

__all__ = ["Replace", "after", "encoded", "prefix_replaced", "regex_replaced"]

Replace: TypeAlias = Callable[[str], str]
"""Returns a path for a path, both percent-encoded."""

_ESCAPE: Final = re.compile("%(?![0-9a-fA-F]{2})")
_PATH: Final = "/%:@!$&'()*+,;=-._~"
_DECODED: Final = _PATH.replace("%", "")


def encoded(text: str, /) -> str:
    """Return a path as it is sent; what is encoded already stays."""
    return quote(_ESCAPE.sub("%25", text), safe=_PATH)


def after(prefix: str, path: str, /) -> str | None:
    """Return what follows a prefix of a clean path; ``None`` if it does not begin so.

    A prefix that ends within a segment is none where what is left of that would lead elsewhere:
    ``/api`` is no prefix of ``/api../admin``.
    """
    if not path.startswith(prefix):
        return None
    rest = path[len(prefix) :]
    if prefix.endswith("/") or rest[:1] in ("", "/") or _clean(f"/{rest}") == f"/{rest}":
        return rest
    return None


def prefix_replaced(told: PrefixRewrite) -> Replace:
    """Return what puts another text in the place of a prefix.

    The path that comes of it is clean: it has one slash in front, and none of ``..`` in it.

    Raises:
        ConfigError: The prefix or the other text does not begin with a slash.
    """
    for name, text in (("prefix", told.prefix), ("replacement", told.replacement)):
        if not text.startswith("/"):
            raise ConfigError(f"prefixRewrite.{name} must begin with a slash, not {text!r}")
    prefix, replacement = encoded(told.prefix), encoded(told.replacement)

    def replace(path: str) -> str:
        rest = after(prefix, path)
        return path if rest is None else _clean(replacement + rest)

    return replace


def regex_replaced(told: RegexRewrite) -> Replace:
    """Return what replaces all that an expression fits in the decoded path.

    The path that comes of it is encoded and clean, so groups cannot bring in a query or ``..``.

    Raises:
        ConfigError: The expression is none, or the substitution names a group that it lacks.
    """
    if not told.pattern:
        raise ConfigError("regexRewrite.pattern is empty: write an expression")
    try:
        expression = compiled(told.pattern, anywhere=True)
    except NoExpressionError as error:
        raise ConfigError(
            f"regexRewrite.pattern: {told.pattern!r} is no expression: {error}"
        ) from error
    substitution = told.substitution
    try:
        replaced = expression.replacing(substitution)
    except NoExpressionError as error:
        raise ConfigError(f"regexRewrite.substitution: {substitution!r}: {error}") from error

    def replace(path: str) -> str:
        decoded = clean(path.encode("latin-1", "replace")).decoded
        changed = replaced(decoded)
        if changed == decoded:
            return path
        return _clean(quote(changed.encode("utf-8", "surrogateescape"), safe=_DECODED))

    return replace


def _clean(path: str) -> str:
    return clean(path.encode("latin-1", "replace")).wire
