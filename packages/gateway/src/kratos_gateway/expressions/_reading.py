r"""Expressions read: what they are made of, and how Python's ``re`` has to be told.

The syntax is that of Go. Where ``re`` knows it by another name or takes it for something else, its
text is changed: ``\d``, ``\w``, ``\s`` and ``\b`` are of ASCII, ``$`` is the very end, ``(?i)``
may stand anywhere and is of those letters that Go knows, ``{,3}`` and ``{03}`` are texts, and
``[[:alpha:]]`` and ``\z`` are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = [
    "LAST",
    "Chars",
    "Choice",
    "End",
    "Node",
    "NotReadError",
    "Ranges",
    "Reading",
    "Repeat",
    "Row",
    "read",
]

Ranges: TypeAlias = "tuple[tuple[int, int], ...]"
"""Code points, both ends of each range included."""

LAST: Final = 0x10FFFF
_DEEPEST: Final = 50  # groups within groups
_DIGITS_OF_COUNT: Final = 5

_DIGITS: Final[Ranges] = ((48, 57),)
_LOWER: Final[Ranges] = ((97, 122),)
_UPPER: Final[Ranges] = ((65, 90),)
_LETTERS: Final[Ranges] = (*_UPPER, *_LOWER)
_WORD: Final[Ranges] = (*_DIGITS, *_LETTERS, (95, 95))
_CLASSES: Final[dict[str, Ranges]] = {
    "d": _DIGITS,
    "s": ((9, 10), (12, 13), (32, 32)),
    "w": _WORD,
}
_POSIX: Final[dict[str, Ranges]] = {
    "alnum": (*_DIGITS, *_LETTERS),
    "alpha": _LETTERS,
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGITS,
    "graph": ((33, 126),),
    "lower": _LOWER,
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGITS, (65, 70), (97, 102)),
}
_ANCHORS: Final = {
    "A": r"\A",
    "B": r"(?a:(?!\b))",  # r"\B" fits the empty text from Python 3.14 on
    "Z": r"\Z",
    "b": r"(?a:\b)",
    "z": r"\Z",
}
# Letters, and how far the other case is; a long s is an s, and the sign of kelvin a k.
_CASES: Final = (
    *((65, 90, 32), (97, 122, -32)),
    *((75, 75, 0x20DF), (107, 107, 0x20BF), (83, 83, 0x12C), (115, 115, 0x10C)),
    *((0x212A, 0x212A, -0x20DF), (0x212A, 0x212A, -0x20BF)),
    *((0x17F, 0x17F, -0x12C), (0x17F, 0x17F, -0x10C)),
)
# Where case does not count, ``re`` takes each of these four for the others, and Go only I and i.
_OF_I: Final[Ranges] = ((73, 73), (105, 105), (0x130, 0x131))
_OWN: Final[Ranges] = ((0, 127), (0x130, 0x131), (0x17F, 0x17F), (0x212A, 0x212A))
_FEW_CASES: Final = 300  # characters of a range whose other case is looked at
_CONTROLS: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}

_NOT_REPEATED: Final = ("^", "$", r"\A", r"\Z")  # ``re`` asks what there is to repeat

_FLAGS: Final = re.compile(r"\(\?([ims]*)(?:-([ims]+))?([:)])")
_NAMED: Final = re.compile(r"\(\?P?<([A-Za-z_]\w*)>")
_OF_PYTHON: Final = re.compile(r"\(\?(?:<?[=!]|>|\(\w+\))")  # groups that RE2 does not know
_REFERENCE: Final = re.compile(r"\(\?P=\w+\)|\(\?#[^)]*\)")
_QUANTIFIER: Final = re.compile(r"(?:([*+?])|\{(0|[1-9][0-9]*)(?:(,)(0|[1-9][0-9]*|))?\})([?+]?)")
_NUMBER: Final = re.compile(
    r"x([0-9A-Fa-f]{2})|x\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})"
)
_OCTAL: Final = re.compile("0[0-7]{0,2}")
_NAMED_CLASS: Final = re.compile(r"\[:(\^?)([a-z]+):\]")


class NotReadError(Exception):
    """An expression that is none, or not one that is understood here."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of some."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class End:
    """The end of the text."""


@dataclass(frozen=True, slots=True)
class Row:
    """One after the other; no part is the empty text."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """One again and again, ``most`` times or without bound."""

    part: Node
    least: int
    most: int | None


Node: TypeAlias = "Chars | End | Row | Choice | Repeat"

_EMPTY: Final = Row()


@dataclass(frozen=True, slots=True)
class Reading:
    """An expression, understood.

    Attributes:
        tree: What it is made of, but for its anchors; ``None`` if it holds what only ``re`` knows,
            such as looking ahead, references to groups and repetitions that give nothing back.
        source: What ``re`` has to be told.
        begins: Whether it fits at the beginning of a text alone.
        sure: Whether no anchor but the end stands after a repetition, which may turn out to be of
            no use there.
    """

    tree: Node | None
    source: str
    begins: bool
    sure: bool


def read(text: str, /) -> Reading:
    r"""Understand an expression.

    Raises:
        NotReadError: It is none, or has what is not understood here: classes of Unicode
            (``\pN``), quotations (``\Q``), and flags but ``i``, ``m`` and ``s``.
    """
    reader = _Reader(text)
    tree, source = reader.choice()
    if reader.at != len(text):
        raise NotReadError
    several = isinstance(tree, Choice)
    begins = not several and re.match(r"(?:\(\?[is]+\))?(?:\^|\\A)(?![*?{])", text) is not None
    return Reading(None if reader.strange else tree, source, begins, reader.sure)


class _Reader:
    """Goes through an expression once.

    Attributes:
        at: The place.
        strange: Whether there was anything that only ``re`` knows.
        sure: Whether there was no anchor but the end after a repetition.
    """

    def __init__(self, text: str) -> None:
        self.at: int = 0
        self.strange: bool = False
        self.sure: bool = True
        self._has_repeated = False
        self._text: Final = text
        self._flags: frozenset[str] = frozenset()
        self._depth = 0

    def choice(self) -> tuple[Node, str]:
        """Read up to the end of a group, or of the whole."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotReadError
        outer = self._flags
        read = [self._row(outer)]
        while self._takes("|"):
            read.append(self._row(outer))
        self._flags = outer
        self._depth -= 1
        nodes = tuple(node for node, _ in read)
        tree = nodes[0] if len(nodes) == 1 else Choice(nodes)
        return tree, "|".join(source for _, source in read)

    def _row(self, outer: frozenset[str]) -> tuple[Node, str]:
        nodes: list[Node] = []
        sources: list[str] = []
        scopes = 0
        if self._flags != outer:  # flags hold for the alternatives that follow, too
            sources.append(_scope(self._flags - outer, outer - self._flags))
            scopes += 1
        while self.at < len(self._text) and self._text[self.at] not in "|)":
            flags = _FLAGS.match(self._text, self.at)
            if flags is not None and flags[3] == ")":
                sources.append(self._set(flags))
                scopes += 1
                continue
            node, source = self._atom()
            node, times = self._repeated(node)
            nodes.append(node)
            if times and source in _NOT_REPEATED:
                source = f"(?:{source})"
            sources.append(source + times)
        return Row(tuple(nodes)), "".join((*sources, ")" * scopes))

    def _set(self, flags: re.Match[str]) -> str:
        """Take flags over; return how a group with them begins."""
        self.at = flags.end()
        on, off = frozenset(flags[1]), frozenset(flags[2] or "")
        self._flags = (self._flags | on) - off
        return _scope(on, off)

    def _repeated(self, node: Node) -> tuple[Node, str]:
        found = _QUANTIFIER.match(self._text, self.at)
        if found is None:
            return node, ""
        self.at = found.end()
        self._has_repeated = True
        sign, least, comma, most, way = found.groups()
        self.strange = self.strange or way == "+"
        if sign is not None:
            bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            if max(len(least), len(most or "")) > _DIGITS_OF_COUNT:
                raise NotReadError
            bounds = int(least), int(most) if most else None if comma else int(least)
        return Repeat(node, *bounds), found[0]

    def _atom(self) -> tuple[Node, str]:
        char = self._text[self.at]
        if char == "(":
            return self._group()
        self.at += 1
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escaped()
        if char == ".":
            return Chars(((0, LAST),) if "s" in self._flags else _without(((10, 10),))), "."
        if char == "^" or (char == "$" and "m" in self._flags):
            return self._anchor(), char
        if char == "$":
            return End(), r"\Z"
        if char in "*+?":
            raise NotReadError
        return self._literal(ord(char))

    def _anchor(self) -> Node:
        self.sure = self.sure and not self._has_repeated
        return _EMPTY

    def _literal(self, char: int) -> tuple[Node, str]:
        return self._one_of(((char, char),), inverse=False)

    def _group(self) -> tuple[Node, str]:
        text = self._text
        outer = self._flags
        if (whole := _REFERENCE.match(text, self.at)) is not None:
            self.at, self.strange = whole.end(), True
            return _EMPTY, whole[0]
        if (flags := _FLAGS.match(text, self.at)) is not None:
            opening = self._set(flags)
        elif (name := _NAMED.match(text, self.at)) is not None:
            self.at, opening = name.end(), f"(?P<{name[1]}>"
        elif (strange := _OF_PYTHON.match(text, self.at)) is not None:
            self.at, opening, self.strange = strange.end(), strange[0], True
        elif text.startswith("(?", self.at):
            raise NotReadError
        else:
            self.at, opening = self.at + 1, "("
        tree, source = self.choice()
        self._flags = outer
        if not self._takes(")"):
            raise NotReadError
        return tree, f"{opening}{source})"

    def _escaped(self) -> tuple[Node, str]:
        char = self._text[self.at : self.at + 1]
        if char.lower() in _CLASSES:
            self.at += 1
            ranges, inverse = _CLASSES[char.lower()], char.isupper()
            return self._one_of(ranges, inverse=inverse)
        if char in _ANCHORS:
            self.at += 1
            return End() if char in "zZ" else self._anchor(), _ANCHORS[char]
        if char in tuple("123456789"):
            self.at, self.strange = self.at + 1, True
            return _EMPTY, f"\\{char}"
        return self._literal(self._number())

    def _number(self) -> int:
        """Return the character that an escape stands for, in or out of a class."""
        char = self._text[self.at : self.at + 1]
        if (found := _NUMBER.match(self._text, self.at)) is not None:
            number = int(next(filter(None, found.groups())), 16)
        elif (found := _OCTAL.match(self._text, self.at)) is not None:
            number = int(found[0], 8)
        else:
            if not char or (char not in _CONTROLS and char.isascii() and char.isalnum()):
                raise NotReadError
            self.at += 1
            return _CONTROLS.get(char, ord(char))
        self.at = found.end()
        if number > LAST:
            raise NotReadError
        return number

    def _class(self) -> tuple[Node, str]:
        inverse = self._takes("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._takes("]"):
            first = False
            ranges += self._item()
        return self._one_of(ranges, inverse=inverse)

    def _item(self) -> Iterable[tuple[int, int]]:
        """Return what is at this place of a class: a class again, a range or a character."""
        text = self._text
        if (named := _NAMED_CLASS.match(text, self.at)) is not None:
            self.at = named.end()
            if named[2] not in _POSIX:
                raise NotReadError
            ranges = _POSIX[named[2]]
            return _without(self._folded(ranges)) if named[1] else ranges
        kind = text[self.at + 1 : self.at + 2]
        if text[self.at : self.at + 1] == "\\" and kind.lower() in _CLASSES:
            self.at += 2
            ranges = _CLASSES[kind.lower()]
            return _without(self._folded(ranges)) if kind.isupper() else ranges
        begin = end = self._member()
        if text[self.at : self.at + 1] == "-" and text[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            end = self._member()
        if end < begin:
            raise NotReadError
        return ((begin, end),)

    def _member(self) -> int:
        if self._takes("\\"):
            return self._number()
        if self.at >= len(self._text):
            raise NotReadError
        self.at += 1
        return ord(self._text[self.at - 1])

    def _one_of(self, ranges: Iterable[tuple[int, int]], *, inverse: bool) -> tuple[Node, str]:
        ranges = tuple(ranges)
        folded = self._folded(ranges)
        node = Chars(_without(folded) if inverse else folded)
        if "i" in self._flags and _within(ranges, _OF_I):
            return node, _of_own_case(folded, _within(ranges, _REST), inverse=inverse)
        return node, _listed(ranges, inverse=inverse)

    def _folded(self, ranges: Ranges) -> Ranges:
        """Return characters with those of the other case, where case does not count.

        But for long ranges that are not of ASCII.
        """
        if "i" not in self._flags:
            return ranges
        moved = [
            (max(begin, low) + by, min(end, high) + by)
            for begin, end in ranges
            for low, high, by in _CASES
            if max(begin, low) <= min(end, high)
        ]
        others = _of_other_case(_within(ranges, _REST))
        return (*ranges, *moved, *((each, each) for each in others))

    def _takes(self, char: str) -> bool:
        found = self._text.startswith(char, self.at)
        self.at += found
        return found


def _scope(on: Iterable[str], off: Iterable[str]) -> str:
    negative = "".join(sorted(off))
    return f"(?{''.join(sorted(on))}{f'-{negative}' if negative else ''}:"


def _listed(ranges: Ranges, *, inverse: bool = False) -> str:
    if not inverse and len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return re.escape(chr(ranges[0][0]))
    parts = (
        re.escape(chr(begin)) + (f"-{re.escape(chr(end))}" if end > begin else "")
        for begin, end in ranges
    )
    return f"[{'^' if inverse else ''}{''.join(parts)}]"


def _of_own_case(folded: Ranges, rest: Ranges, *, inverse: bool) -> str:
    """Return what leaves to ``re`` the case of but those whose other case it sees otherwise.

    Args:
        folded: The characters, with the other case of those.
        rest: The others among them, in one case.
        inverse: Whether all but they are meant.
    """
    own = _within(folded, _OWN)
    if not rest:
        return f"(?-i:{_listed(own, inverse=inverse)})"
    either = f"(?-i:{_listed(own)})|{_listed(rest)}"
    return f"(?:(?!{either})(?s:.))" if inverse else f"(?:{either})"


def _of_other_case(ranges: Ranges) -> Iterator[int]:
    for begin, end in ranges:
        if end - begin < _FEW_CASES:
            for char in map(chr, range(begin, end + 1)):
                cases = {char.lower(), char.upper()}
                yield from (ord(each) for each in cases if len(each) == 1 and each != char)


def _within(ranges: Ranges, others: Ranges) -> Ranges:
    """Return the characters that are in both."""
    return tuple(
        (max(begin, low), min(end, high))
        for begin, end in ranges
        for low, high in others
        if max(begin, low) <= min(end, high)
    )


def _without(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """Return all other characters."""
    left: list[tuple[int, int]] = []
    at = 0
    for begin, end in sorted(ranges):
        if begin > at:
            left.append((at, begin - 1))
        at = max(at, end + 1)
    if at <= LAST:
        left.append((at, LAST))
    return tuple(left)


_REST: Final = _without(_OWN)
