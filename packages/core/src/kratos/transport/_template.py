"""Grammar of path templates: text to segments, variables and verb, or an error with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from kratos.errors import KratosError

__all__ = [
    "Capture",
    "Grammar",
    "Segment",
    "SegmentKind",
    "TemplateError",
    "escape_literal",
    "unescape",
]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LITERAL: Final = re.compile(r"(?:[^/{}*?#%\\\s\x00-\x1f\x7f\ud800-\udfff]|%[0-9A-Fa-f]{2})*")
_VERB: Final = re.compile(r"[A-Za-z0-9._~-]*")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPED_SLASH: Final = re.compile(r"(%2[Ff])")
# Neither '*' nor ':': an escaped literal must not read like a wildcard or a verb.
_PATH_CHARACTERS: Final = "!$&'()+,;=@"


class TemplateError(KratosError, ValueError):
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


def escape_literal(text: str) -> str:
    return quote(text, safe=_PATH_CHARACTERS)


class Grammar:
    """Recursive descent over one template.

    Attributes:
        segments: All segments in order, variables flattened.
        captures: The variables in order.
        parts: What a client writes: escaped literals, variables, wildcards without a name.
        verb: Custom verb; empty if there is none.

    Raises:
        TemplateError: The text does not follow the grammar.
    """

    __slots__ = ("_at", "_text", "captures", "parts", "segments", "verb")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.segments: list[Segment] = []
        self.captures: list[Capture] = []
        self.parts: list[str | Capture | Segment] = []
        if self._peek() != "/":
            raise self._error("it must start with '/'", "put '/' in front")
        while self._peek() == "/":
            self._at += 1
            if self._at == len(text):
                break
            self._segment()
        self.verb = self._verb() if self._peek() == ":" else ""
        if self._at < len(text):
            raise self._unexpected()

    def _segment(self) -> None:
        if self._peek() == "{":
            self._variable()
            return
        segment = self._plain()
        is_literal = segment.kind is SegmentKind.LITERAL
        self.parts.append("/" + escape_literal(segment.text) if is_literal else segment)

    def _variable(self) -> None:
        opened = self._at
        self._at += 1
        path = self._field_path()
        if any(path == capture.variable for capture in self.captures):
            raise self._error(f"{path!r} is there twice", "use each field once", at=opened)
        start = len(self.segments)
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
        covered = self.segments[start:]
        multi = len(covered) > 1 or covered[0].kind is SegmentKind.REST
        capture = Capture(variable=path, start=start, stop=len(self.segments), multi=multi)
        self.captures.append(capture)
        self.parts.append(capture)

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
        if self.segments and self.segments[-1].kind is SegmentKind.REST:
            raise self._error("nothing may follow '**'", "let '**' be the last segment", at=at)
        self.segments.append(segment)

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
