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
from enum import Enum
from typing import Final
from urllib.parse import quote, unquote_to_bytes

__all__ = [
    "Capture",
    "PathTemplate",
    "PathValueError",
    "Segment",
    "SegmentKind",
    "TemplateError",
    "unescape",
]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LITERAL: Final = re.compile(r"(?:[^/{}*?#%\\\s\x00-\x1f\x7f\ud800-\udfff]|%[0-9A-Fa-f]{2})*")
_VERB: Final = re.compile(r"[A-Za-z0-9._~-]*")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPED_SLASH: Final = re.compile(r"(%2[Ff])")
# Neither '*' nor ':': an escaped literal must not read like a wildcard or a verb.
_PATH_CHARACTERS: Final = "!$&'()+,;=@"


class TemplateError(ValueError):
    """A path template does not follow the grammar.

    Args:
        template: The whole text.
        position: Offset of the offending character, from 0.
        problem: What is wrong there.
        mend: What to write instead.
    """

    def __init__(self, template: str, position: int, problem: str, mend: str) -> None:
        super().__init__(template, position, problem, mend)
        self.template = template
        self.position = position
        self.problem = problem
        self.mend = mend

    def __str__(self) -> str:
        return (
            f"path template {self.template!r}, offset {self.position}: {self.problem}; {self.mend}"
        )


class PathValueError(ValueError):
    """A value cannot stand in the path, where no server would find it again."""

    def __init__(self, template: str, variable: str, problem: str) -> None:
        super().__init__(template, variable, problem)
        self.template = template
        self.variable = variable
        self.problem = problem

    def __str__(self) -> str:
        return f"path variable {self.variable!r} of {self.template!r} {self.problem}"


class SegmentKind(Enum):
    """What one segment of a template accepts."""

    LITERAL = "literal"
    SINGLE = "*"
    REST = "**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment of a template, with the braces of variables taken away.

    Attributes:
        kind: Literal text, any one segment, or the rest of the path.
        text: The literal with its percent escapes decoded; else the wildcard.
    """

    kind: SegmentKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A variable and the segments that it covers.

    Attributes:
        variable: Dotted path of proto field names.
        start: Index of its first segment.
        stop: Index after its last segment.
        multi: It may cover several segments, so a slash is part of the value.
    """

    variable: str
    start: int
    stop: int
    multi: bool


def unescape(text: str, *, keep_slash: bool = False) -> str:
    """Decode the percent escapes of one piece of a path, as UTF-8.

    Args:
        text: Raw text, without its separators.
        keep_slash: Leave ``%2F`` as it is, which ``google.api.http`` asks for in variables
            of several segments.

    Raises:
        ValueError: An escape is malformed, or the bytes are not UTF-8.
    """
    if "%" not in text:
        return text
    broken = _BROKEN_ESCAPE.search(text)
    if broken is not None:
        raise ValueError(f"malformed percent escape at offset {broken.start()} of {text!r}")
    if not keep_slash:
        return unquote_to_bytes(text).decode()
    pieces = _ESCAPED_SLASH.split(text)
    return "".join(
        piece if index % 2 else unquote_to_bytes(piece).decode()
        for index, piece in enumerate(pieces)
    )


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
        return _Parser(text).template()

    @property
    def variables(self) -> tuple[str, ...]:
        """Dotted field paths in the order of the template."""
        return tuple(capture.variable for capture in self.captures)

    @property
    def normalised(self) -> str:
        """The template without variable names: equal for templates of one and the same route."""
        path = "/" + "/".join(
            _escape_literal(segment.text) if segment.kind is SegmentKind.LITERAL else segment.text
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
            escaped = quote(value, safe="/" if capture.multi else "")
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


def _escape_literal(text: str) -> str:
    return quote(text, safe=_PATH_CHARACTERS)


class _Parser:
    """Recursive descent over one template."""

    __slots__ = ("_at", "_captures", "_parts", "_segments", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._segments: list[Segment] = []
        self._captures: list[Capture] = []
        self._parts: list[str | Capture | Segment] = []

    def template(self) -> PathTemplate:
        if self._peek() != "/":
            raise self._error("it must start with '/'", "put '/' in front")
        while self._peek() == "/":
            self._at += 1
            if self._at == len(self._text):
                break
            self._segment()
        verb = self._verb() if self._peek() == ":" else ""
        if self._at < len(self._text):
            raise self._unexpected()
        return PathTemplate(
            text=self._text,
            segments=tuple(self._segments),
            captures=tuple(self._captures),
            verb=verb,
            _parts=tuple(self._parts),
        )

    def _segment(self) -> None:
        if self._peek() == "{":
            self._variable()
            return
        segment = self._plain()
        is_literal = segment.kind is SegmentKind.LITERAL
        self._parts.append("/" + _escape_literal(segment.text) if is_literal else segment)

    def _variable(self) -> None:
        opened = self._at
        self._at += 1
        path = self._field_path()
        if any(path == capture.variable for capture in self._captures):
            raise self._error(f"{path!r} is there twice", "use each field once", at=opened)
        start = len(self._segments)
        if self._peek() == "=":
            self._pattern()
        else:
            self._add(Segment(kind=SegmentKind.SINGLE, text="*"), at=opened)
        if self._peek() == ":":
            raise self._error(
                "a regular expression after ':' is Go's own form",
                f"write {{{path}}} or {{{path}=segments}}",
            )
        if not self._peek():
            raise self._error("the variable is not closed", "end it with '}'", at=opened)
        if self._peek() != "}":
            raise self._unexpected()
        self._at += 1
        covered = self._segments[start:]
        multi = len(covered) > 1 or covered[0].kind is SegmentKind.REST
        capture = Capture(variable=path, start=start, stop=len(self._segments), multi=multi)
        self._captures.append(capture)
        self._parts.append(capture)

    def _pattern(self) -> None:
        self._at += 1
        self._plain(braced=True)
        while self._peek() == "/":
            self._at += 1
            self._plain(braced=True)

    def _field_path(self) -> str:
        start = self._at
        while True:
            name = _NAME.match(self._text, self._at)
            if name is None:
                raise self._error("a field name is missing", "write {field} or {field.path}")
            self._at = name.end()
            if self._peek() != ".":
                return self._text[start : self._at]
            self._at += 1

    def _plain(self, *, braced: bool = False) -> Segment:
        """Read one literal or wildcard; inside braces a colon starts no verb."""
        start = self._at
        if self._text.startswith("**", start):
            self._at += 2
            segment = Segment(kind=SegmentKind.REST, text="**")
        elif self._peek() == "*":
            self._at += 1
            segment = Segment(kind=SegmentKind.SINGLE, text="*")
        else:
            segment = Segment(kind=SegmentKind.LITERAL, text=self._literal(braced=braced))
        self._add(segment, at=start)
        return segment

    def _add(self, segment: Segment, *, at: int) -> None:
        if self._segments and self._segments[-1].kind is SegmentKind.REST:
            raise self._error("nothing may follow '**'", "let '**' be the last segment", at=at)
        self._segments.append(segment)

    def _literal(self, *, braced: bool) -> str:
        start = self._at
        found = _LITERAL.match(self._text, start)
        stop = found.end() if found else start
        colon = self._text.rfind(":", start, stop)
        if colon >= 0 and stop == len(self._text) and not braced:
            stop = colon
        self._at = stop
        if stop == start:
            raise self._no_literal()
        try:
            literal = unescape(self._text[start:stop])
        except ValueError as error:
            mend = "escape the bytes of UTF-8"
            raise self._error("the escapes are not UTF-8", mend, at=start) from error
        if literal in (".", ".."):
            raise self._error("path cleaning removes dot segments", "take it away", at=start)
        return literal

    def _verb(self) -> str:
        self._at += 1
        found = _VERB.match(self._text, self._at)
        verb = found.group() if found else ""
        self._at += len(verb)
        if not verb:
            raise self._error("the verb after ':' is missing", "name it, or take ':' away")
        return verb

    def _no_literal(self) -> TemplateError:
        if self._peek() == ":":
            return self._error("a segment starts with ':'", "write {name} for a variable")
        if self._peek() in ("", "/"):
            return self._error("a segment is empty", "name it, or take the extra '/' away")
        if self._peek() == "{":
            return self._error("variables do not nest", "close the first one with '}'")
        return self._unexpected()

    def _unexpected(self) -> TemplateError:
        found = self._peek()
        if self._text[self._at - 1] == "}":
            return self._error("a variable must be a whole segment", "put '/' after '}'")
        if found == "%":
            return self._error("a percent escape is malformed", "write %25 for a percent sign")
        if found in "{*":
            return self._error(f"{found!r} must be a whole segment", "put '/' in front of it")
        if found == "}":
            return self._error("'}' has no '{'", "take it away or open a variable")
        mend = "escape it" if found.isascii() else "take it away"
        return self._error(f"{found!r} cannot stand here", mend)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _error(self, problem: str, mend: str, *, at: int | None = None) -> TemplateError:
        return TemplateError(self._text, self._at if at is None else at, problem, mend)
