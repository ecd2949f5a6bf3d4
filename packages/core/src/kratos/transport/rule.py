"""Path templates of ``google.api.http`` rules: parse, match and expand.

The grammar is that of ``google/api/http.proto``::

    Template  = "/" Segments [ ":" Verb ]
    Segments  = Segment { "/" Segment }
    Segment   = "*" | "**" | Literal | "{" FieldPath [ "=" Segments ] "}"
    FieldPath = Name { "." Name }

``*`` is one segment, ``**`` is the rest of the path (also none) and stands last. Two
things that Go Kratos accepts are accepted here: ``/`` alone, and a slash at the end, which
is dropped as Go's router does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from kratos.errors import KratosError
from kratos.transport._template import (
    Capture,
    Grammar,
    Segment,
    SegmentKind,
    TemplateError,
    escape_literal,
    unescape,
)

__all__ = [
    "Capture",
    "PathTemplate",
    "PathValueError",
    "Segment",
    "SegmentKind",
    "TemplateError",
    "unescape",
]


_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*")


class PathValueError(KratosError, ValueError):
    """A value cannot stand in the path, where no server would find it again."""

    def __init__(self, template: str, variable: str, problem: str) -> None:
        super().__init__(template, variable, problem)
        self.template = template
        self.variable = variable
        self.problem = problem

    def __str__(self) -> str:
        return f"path variable {self.variable!r} of {self.template!r} {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTemplate:
    """A parsed path template; equal texts make equal templates.

    Attributes:
        text: What was parsed.
        segments: All segments in order, variables flattened.
        captures: The variables in order, as ranges of ``segments``.
        verb: Custom verb without its colon; empty if there is none.
    """

    text: str
    segments: tuple[Segment, ...] = field(compare=False, repr=False)
    captures: tuple[Capture, ...] = field(compare=False, repr=False)
    verb: str = field(compare=False, repr=False)
    _parts: tuple[str | Capture | Segment, ...] = field(compare=False, repr=False)

    @staticmethod
    def parse(text: str) -> PathTemplate:
        """Parse ``text``.

        Raises:
            TemplateError: It does not follow the grammar.
        """
        grammar = Grammar(text)
        return PathTemplate(
            text=text,
            segments=tuple(grammar.segments),
            captures=tuple(grammar.captures),
            verb=grammar.verb,
            _parts=tuple(grammar.parts),
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """Dotted field paths in the order of the template."""
        return tuple(capture.variable for capture in self.captures)

    @property
    def normalised(self) -> str:
        """The template without variable names: equal for templates of one and the same route."""
        path = "/" + "/".join(
            escape_literal(segment.text) if segment.kind is SegmentKind.LITERAL else segment.text
            for segment in self.segments
        )
        return f"{path}:{self.verb}" if self.verb else path

    def match(self, path: str) -> dict[str, str] | None:
        """Return the variables of a raw request path, or None where it does not match.

        ``path`` is percent-encoded and has no query. A path with malformed escapes matches
        nothing. An empty segment matches ``**`` only.
        """
        if self.verb:
            if not path.endswith(f":{self.verb}"):
                return None
            path = path[: -len(self.verb) - 1]
        if not path.startswith("/"):
            return None
        raw = path[1:].split("/") if path != "/" else []
        try:
            if not _accepts(self.segments, raw):
                return None
            return {capture.variable: _captured(capture, raw, self) for capture in self.captures}
        except ValueError:
            return None

    def expand(self, values: Callable[[str], str]) -> str:
        """Return the percent-encoded path that carries the variables.

        Args:
            values: Returns the text of a variable by its dotted field path.

        Raises:
            PathValueError: A value is empty, does not fit the variable's own pattern, or
                would be taken away by path cleaning (``.`` and ``..``); or the template
                has a ``*`` without a name, for which there is no value.
        """
        path = ""
        for part in self._parts:
            if isinstance(part, str):
                path += part
            elif isinstance(part, Capture):
                path += self._expanded(part, values(part.variable))
            elif part.kind is SegmentKind.SINGLE:
                raise PathValueError(self.text, part.text, "has no name, so no field can fill it")
        path = path or "/"
        return f"{path}:{self.verb}" if self.verb else path

    def _expanded(self, capture: Capture, value: str) -> str:
        pattern = self.segments[capture.start : capture.stop]
        try:
            plain = _PLAIN.fullmatch(value)
            escaped = value if plain else quote(value, safe="/" if capture.multi else "")
        except UnicodeEncodeError as error:
            raise PathValueError(self.text, capture.variable, "is not valid Unicode") from error
        raw = [escaped] if not capture.multi else escaped.split("/") if escaped else []
        if not _accepts(pattern, raw):
            wanted = "/".join(segment.text for segment in pattern)
            problem = "is empty" if not value else f"is {value!r}, which does not fit {wanted!r}"
            raise PathValueError(self.text, capture.variable, problem)
        if "." in raw or ".." in raw:
            raise PathValueError(
                self.text, capture.variable, f"is {value!r}: dot segments are lost"
            )
        return "".join(f"/{piece}" for piece in raw)


def _accepts(pattern: tuple[Segment, ...], raw: list[str]) -> bool:
    for index, segment in enumerate(pattern):
        if segment.kind is SegmentKind.REST:
            return True
        if index >= len(raw) or not raw[index]:
            return False
        if segment.kind is SegmentKind.LITERAL and unescape(raw[index]) != segment.text:
            return False
    return len(raw) == len(pattern)


def _captured(capture: Capture, raw: list[str], template: PathTemplate) -> str:
    to_the_end = template.segments[capture.stop - 1].kind is SegmentKind.REST
    covered = raw[capture.start :] if to_the_end else raw[capture.start : capture.stop]
    return "/".join(unescape(piece, keep_slash=capture.multi) for piece in covered)
