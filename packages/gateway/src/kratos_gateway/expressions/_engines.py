"""What expressions are run by: Python's ``re``, or RE2, whose time grows with the text alone."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final, Protocol, TypeAlias

__all__ = ["Expression", "NoExpressionError", "OfPython", "OfRe2", "Replace", "re2_module"]

Replace: TypeAlias = Callable[[str], str]
"""Returns a text with all that an expression fits in it replaced."""

# RE2 takes them for something else: for octal numbers, and for a byte, maybe of half a character.
_NOT_ALIKE: Final = frozenset("123456789C")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_UNPAIRED: Final = re.compile("[\ud800-\udfff]")
_UNKNOWN: Final = "\ufffd"


class NoExpressionError(ValueError):
    """An expression that whoever was to run it does not know; says why."""


class Expression(Protocol):
    """An expression, ready to be used.

    Attributes:
        groups: How many it has.
        slow: What may happen, and what to do, where its time grows with more than the text; else,
            or where that is not known, ``None``.
    """

    groups: int
    slow: str | None

    def fits(self, text: str, /) -> bool:
        """Tell whether it fits the whole of a text."""
        ...

    def taken(self, text: str, /) -> int | None:
        """Return the length of the beginning of a text that it fits; ``None`` if it fits none."""
        ...

    def replacing(self, template: str, /) -> Replace:
        r"""Return what puts a text in the place of all that it fits.

        Args:
            template: The text, with ``\1`` or ``\g<name>`` for groups, as ``re.sub`` takes it.

        Raises:
            NoExpressionError: It names a group that there is not, or has a bad escape.
        """
        ...


class OfPython:
    """One that is run by ``re``.

    Raises:
        NoExpressionError: ``re`` does not know it.
    """

    __slots__ = ("_pattern", "groups", "slow")

    def __init__(self, source: str, *, slow: str | None = None) -> None:
        try:
            self._pattern: Final = re.compile(source)
        except (re.error, OverflowError, RecursionError) as error:
            raise NoExpressionError(str(error)) from error
        self.groups: int = self._pattern.groups
        self.slow = slow

    def fits(self, text: str, /) -> bool:
        """See ``Expression``."""
        return self._pattern.fullmatch(text) is not None

    def taken(self, text: str, /) -> int | None:
        """See ``Expression``."""
        found = self._pattern.match(text)
        return None if found is None else found.end()

    def replacing(self, template: str, /) -> Replace:
        """See ``Expression``."""
        return _replacing(self._pattern, template, str)


class OfRe2:
    """One that is run by RE2, in a time that grows with the length of the text alone.

    Bytes of a path that are no UTF-8, which texts hold as unpaired surrogates, are each one
    character that no expression names, as in Go.

    Args:
        text: The expression.
        module: ``re2``.

    Raises:
        NoExpressionError: RE2 does not know it, or takes it for something else than ``re`` does.
    """

    __slots__ = ("_pattern", "groups", "slow")

    def __init__(self, text: str, module: Any, /) -> None:
        if any(found[1] in _NOT_ALIKE for found in _ESCAPED.finditer(text)):
            raise NoExpressionError("RE2 takes an escape for something else")
        options = module.Options()
        options.log_errors = False  # on standard error
        try:
            self._pattern: Final = module.compile(_ESCAPED.sub(_of_re2, text), options)
        except (module.error, UnicodeEncodeError) as error:
            told = error.args[0]
            raise NoExpressionError(told.decode() if isinstance(told, bytes) else told) from error
        self.groups: int = self._pattern.groups
        self.slow: str | None = None

    def fits(self, text: str, /) -> bool:
        """See ``Expression``."""
        return self._pattern.fullmatch(_encoded(text)) is not None

    def taken(self, text: str, /) -> int | None:
        """See ``Expression``."""
        data = _encoded(text)
        found = self._pattern.match(data)
        return None if found is None else len(data[: found.end()].decode())

    def replacing(self, template: str, /) -> Replace:
        """See ``Expression``."""
        return _replacing(self._pattern, template, _encoded)


def _replacing(pattern: Any, template: str, held_of: Callable[[str], str | bytes]) -> Replace:
    """Return what replaces; an engine holds a text as itself or as bytes."""
    pieces = _pieces(pattern.groups, pattern.groupindex, template)

    def replace(text: str) -> str:
        return "".join(_replaced(pattern, text, held_of(text), pieces))

    return replace


def _replaced(pattern: Any, text: str, held: str | bytes, pieces: list[str | int]) -> Iterator[str]:
    place = _places(text, held)
    done = 0
    for found in _all(pattern, held):
        begin, end = (place(each) for each in found.span())
        yield text[done:begin]
        for piece in pieces:
            if isinstance(piece, str):
                yield piece
            elif found.start(piece) >= 0:
                yield text[place(found.start(piece)) : place(found.end(piece))]
        done = end
    yield text[done:]


def _all(pattern: Any, held: str | bytes) -> Iterator[Any]:
    """Yield all that fits in its order.

    As in Go, none that is empty right after another, and after an empty one what fits from the next
    character on.
    """
    at, done = 0, -1
    while at <= len(held) and (found := pattern.search(held, at)) is not None:
        begin, end = found.span()
        is_new = begin < end or begin != done
        if is_new and not _is_within(held, begin):  # as what is between two letters is for bytes
            yield found
        at = done = end
        if begin == end:
            at += 1
            while _is_within(held, at):
                at += 1


def _is_within(held: str | bytes, at: int) -> bool:
    """Tell whether a place is within a character, which may be several bytes."""
    if isinstance(held, str):
        return False
    return held[at : at + 1] >= b"\x80" and held[at] & 0xC0 == 0x80


def re2_module() -> Any | None:
    """Return ``re2`` of google-re2; ``None`` if it is not installed."""
    try:
        module = import_module("re2")
    except ImportError:
        return None
    return module if hasattr(module, "Options") else None  # other distributions have that name, too


def _of_re2(escape: re.Match[str]) -> str:
    return r"\z" if escape[1] == "Z" else escape[0]


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _UNPAIRED.sub(_UNKNOWN, text).encode()


def _places(text: str, held: str | bytes) -> Callable[[int], int]:
    """Return what tells the place in a text for one in what an engine holds."""
    if isinstance(held, str) or len(text) == len(held):
        return lambda at: at
    begins = [at for at, byte in enumerate(held) if byte & 0xC0 != 0x80]
    return lambda at: bisect_left(begins, at)


def _checked(pattern: re.Pattern[str], template: str) -> None:
    try:
        pattern.sub(template, "")
    except (re.error, IndexError) as error:
        raise NoExpressionError(str(error)) from error


def _pieces(groups: int, names: Mapping[str, int], template: str) -> list[str | int]:
    """Return the texts and the groups of a template.

    ``re`` reads it: it is asked to replace a text of as many groups, each a character that no
    template holds, and what comes of it tells where they are.
    """
    # RE2 knows names such as 1st, which no template can have.
    named = {at: f"?P<{name}>" for name, at in names.items() if name.isidentifier()}
    marks = [chr(0xD800 + at) for at in range(groups + 1)]
    all_marks = f"{marks[0]}{''.join(marks[1:])}{marks[0]}"
    inner = "".join(f"({named.get(at, '')}{marks[at]})" for at in range(1, groups + 1))
    pattern = re.compile(f"{marks[0]}{inner}{marks[0]}")
    _checked(pattern, template)
    parts = re.split(f"({all_marks}|[{marks[0]}-{marks[-1]}])", pattern.sub(template, all_marks))
    return [
        part if at % 2 == 0 else 0 if part == all_marks else marks.index(part)
        for at, part in enumerate(parts)
    ]
