"""Patterns of paths and hosts, in the syntax of Go's gateway.

Text stands for itself, ``{name}`` for a segment of a path or a label of a host, and
``{name:expression}`` for whatever the expression matches. A path that ends with ``*`` is matched
by all paths that begin with what is before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from kratos.errors import ConfigError
from kratos_gateway.expressions import Expression, NoExpressionError, compiled
from kratos_gateway.routing._gaps import Gapped

__all__ = ["SEGMENT", "HostPattern", "PathPattern"]

SEGMENT: Final = "\0"
"""Stands for ``{name}`` among the segments of a pattern; no text of a pattern holds it."""

_WHOLE_SEGMENT: Final = "[^/]+"
_LABEL: Final = r"[^.]+"


@dataclass(frozen=True, slots=True)
class _Variable:
    """What stands in braces; no expression for the usual one."""

    expression: str | None


_Piece: TypeAlias = "str | _Variable"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern of paths.

    Attributes:
        text: As it was written.
        prefix: Whether a path may go on after it.
        head: Its text before the first variable; all of it where there is none.
        literal: Whether there is none.
        segments: What is between its slashes, each a text or ``SEGMENT``; ``None`` where a variable
            is more or less than a segment.
        gaps: Matches all of a path, or its beginning if ``prefix``, however long a path takes;
            ``None`` if a variable has an expression.
        expression: Does that then, else ``None``: making it takes longer than all the rest.
    """

    text: str
    prefix: bool
    head: str
    literal: bool
    segments: tuple[str, ...] | None
    gaps: Gapped | None
    expression: Expression | None

    @classmethod
    def parse(cls, text: str) -> PathPattern:
        """Understand a pattern.

        Raises:
            ConfigError: It is none; says what is wrong.
        """
        written = text.rstrip("*")
        prefix = written != text
        if not written.startswith("/") and not (prefix and not written):
            raise ConfigError(f"path {text!r} must start with a slash")
        what = f"path {text!r}"
        pieces = _pieces(written, what=what)
        gaps = _gapped(pieces, "/", prefix=prefix)
        return cls(
            text=text,
            prefix=prefix,
            head=_head(pieces),
            literal=all(isinstance(piece, str) for piece in pieces),
            segments=_segments(pieces),
            gaps=gaps,
            expression=_path_expression(pieces, what, prefix=prefix) if gaps is None else None,
        )

    def matches(self, path: str) -> bool:
        """Tell whether a decoded path is one of it."""
        if self.gaps is not None:
            return self.gaps.matches(path)
        assert self.expression is not None, "there is one or the other"
        if self.prefix:
            return self.expression.taken(path) is not None
        return self.expression.fits(path)

    def taken(self, path: str) -> int | None:
        """Return the length of what a prefix takes of a decoded path; ``None`` if it is not one."""
        if self.gaps is not None:
            return self.gaps.taken(path)
        assert self.expression is not None, "there is one or the other"
        return self.expression.taken(path)

    def toggled(self) -> PathPattern | None:
        """Return the pattern of the same paths with or without a slash at their end.

        ``None`` if there is none: for prefixes, and for the root.
        """
        if self.prefix or self.text == "/":
            return None
        return PathPattern.parse(self.text[:-1] if self.text.endswith("/") else f"{self.text}/")


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A pattern of hosts, in which upper and lower case are the same.

    Attributes:
        text: As it was written.
        literal: The host, lower case, if there is no variable; else ``None``.
        with_port: Whether the port counts, as the pattern has one.
        gaps: Matches a host, lower case, however long it takes; ``None`` if a variable has an
            expression.
        expression: Matches a host in any case then, else ``None``.
    """

    text: str
    literal: str | None
    with_port: bool
    gaps: Gapped | None
    expression: Expression | None

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Understand a pattern.

        Raises:
            ConfigError: It is none; says what is wrong.
        """
        what = f"host {text!r}"
        pieces = _pieces(text, what=what)
        plain = [piece for piece in pieces if isinstance(piece, str)]
        gaps = _gapped([each.lower() if isinstance(each, str) else each for each in pieces], ".")
        return cls(
            text=text,
            literal=text.lower() if len(plain) == len(pieces) else None,
            with_port=":" in "".join(plain),
            gaps=gaps,
            expression=_host_expression(pieces, what) if gaps is None else None,
        )

    def matches(self, host: str) -> bool:
        """Tell whether a host, with its port if it has one, is one of it."""
        wanted = host if self.with_port else without_port(host)
        if self.gaps is not None:
            return self.gaps.matches(wanted.lower())
        assert self.expression is not None, "there is one or the other"
        return self.expression.fits(wanted)


def without_port(host: str) -> str:
    """Return a host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and "]" not in port else host


def _pieces(text: str, *, what: str) -> Sequence[_Piece]:
    """Return the texts and the variables of a pattern in their order."""
    pieces: list[_Piece] = []
    names: set[str] = set()
    depth = begin = 0
    for at, char in enumerate(text):
        if char == "{":
            depth += 1
            if depth == 1:
                pieces.append(text[begin:at])
                begin = at + 1
        elif char == "}":
            depth -= 1
            if depth < 0:
                break
            if depth == 0:
                pieces.append(_variable(text[begin:at], names, what=what))
                begin = at + 1
    if depth:
        raise ConfigError(f"{what} has a brace without its partner")
    if "\0" in text:
        raise ConfigError(f"{what} holds a zero byte, which no path or host does")
    pieces.append(text[begin:])
    return [piece for piece in pieces if piece != ""]


def _variable(text: str, names: set[str], *, what: str) -> _Variable:
    name, colon, expression = text.partition(":")
    if not name or (colon and not expression):
        raise ConfigError(
            f"{what}: {{{text}}} lacks a name or an expression; write {{name}} or "
            "{name:expression}"
        )
    if name in names:
        raise ConfigError(f"{what}: {name!r} stands for two variables; give each a name of its own")
    names.add(name)
    if not colon:
        return _Variable(None)
    try:
        groups = compiled(expression).groups
    except NoExpressionError as error:
        raise ConfigError(f"{what}: the expression of {name!r} is none: {error}") from error
    if groups:
        raise ConfigError(f"{what}: the expression of {name!r} has a group; write it as (?:...)")
    return _Variable(expression)


def _source(pieces: Sequence[_Piece], *, usual: str) -> str:
    return "".join(
        re.escape(piece) if isinstance(piece, str) else f"(?:{piece.expression or usual})"
        for piece in pieces
    )


def _path_expression(pieces: Sequence[_Piece], what: str, *, prefix: bool) -> Expression:
    return _compiled(_source(pieces, usual=_WHOLE_SEGMENT), what, whole=not prefix)


def _host_expression(pieces: Sequence[_Piece], what: str) -> Expression:
    return _compiled(f"(?i){_source(pieces, usual=_LABEL)}", what)


def _compiled(source: str, what: str, *, whole: bool = True) -> Expression:
    try:
        return compiled(source, whole=whole)
    except NoExpressionError as error:  # each expression of it is one
        raise ConfigError(f"{what}: with its expressions it is none: {error}") from error


def _gapped(pieces: Sequence[_Piece], separator: str, *, prefix: bool = False) -> Gapped | None:
    if any(not isinstance(piece, str) and piece.expression is not None for piece in pieces):
        return None
    joined = "".join(piece if isinstance(piece, str) else SEGMENT for piece in pieces)
    segments = [each.split(SEGMENT) for each in joined.split(separator)]
    return Gapped(segments, separator=separator, prefix=prefix)


def _head(pieces: Sequence[_Piece]) -> str:
    first = pieces[0] if pieces else ""
    return first if isinstance(first, str) else ""


def _segments(pieces: Sequence[_Piece]) -> tuple[str, ...] | None:
    if any(not isinstance(piece, str) and piece.expression is not None for piece in pieces):
        return None
    joined = "".join(piece if isinstance(piece, str) else SEGMENT for piece in pieces)
    segments = joined.split("/")
    if any(SEGMENT in segment and segment != SEGMENT for segment in segments):
        return None
    return tuple(segments[1:])
