"""Texts with places that a request fills."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from kratos.errors import ConfigError
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.callers import caller_of, parameter
from kratos_gateway.middleware.names import header_name

__all__ = ["Template"]

Filler: TypeAlias = Callable[[Request, Answer | None], str]

_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|.", re.DOTALL)
_PLAIN: Final[Mapping[str, Filler]] = {
    "method": lambda request, _answer: request.method,
    "path": lambda request, _answer: request.path,
    "host": lambda request, _answer: request.host,
    "caller": lambda request, _answer: _caller(request),
    "status": lambda _request, answer: "" if answer is None else str(answer.status),
}


class Template:
    """A text with ``{header:<name>}``, ``{query:<name>}`` and the like.

    What a request has not is empty; of a header or parameter that it has several times, the first
    one counts. ``{{`` and ``}}`` stand for braces.

    Args:
        text: It.
        name: Of the option, for errors.
        answers: Whether there will be an answer, whose ``{status}`` is known.

    Raises:
        ConfigError: A brace is left over, or nobody knows what is in one.
    """

    __slots__ = ("_parts",)

    def __init__(self, text: str, *, name: str, answers: bool) -> None:
        self._parts: Final = [
            _part(found[0], found[1], name=name, answers=answers) for found in _PART.finditer(text)
        ]

    def fill(self, request: Request, answer: Answer | None = None, /) -> str:
        """Return the text for a request, and for its answer if there is one."""
        return "".join(
            part if isinstance(part, str) else part(request, answer) for part in self._parts
        )


def _part(text: str, place: str | None, *, name: str, answers: bool) -> str | Filler:
    if place is None:
        if text in ("{", "}"):
            raise ConfigError(f"{name}: a {text} has no other; write {text}{text} for one as such")
        return text[0] if text in ("{{", "}}") else text
    kind, colon, key = place.partition(":")
    if colon and kind == "header":
        header = header_name(key)
        return lambda request, _answer: request.header(header).decode("utf-8", "replace")
    if colon and kind == "query" and key:
        return lambda request, _answer: next(iter(parameter(request, key)), "")
    if place in _PLAIN and (answers or place != "status"):
        return _PLAIN[place]
    known = ["header:<name>", "query:<name>", *_PLAIN][: None if answers else -1]
    raise ConfigError(f"{name}: {{{place}}} is none of {', '.join(known)}")


def _caller(request: Request) -> str:
    who = caller_of(request)
    return "" if who is None else who.subject
