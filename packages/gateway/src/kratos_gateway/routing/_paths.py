"""The routes of one host, laid out so that a path leads to those that fit it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from kratos_gateway.routing.conditions import Conditions
from kratos_gateway.routing.particulars import Particulars
from kratos_gateway.routing.pattern import SEGMENT, PathPattern

__all__ = ["ConditionalSearch", "Entry", "PathIndex", "Search"]

T = TypeVar("T")

_NONE: Final = sys.maxsize


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A route.

    Attributes:
        at: Its place in the order of declaration.
        methods: That fit; ``None`` for all.
        value: What is found by it.
        redirect: Whether it fits but for the slash at the end.
        conditions: What a request has to fulfil besides; ``None`` for nothing.
    """

    at: int
    methods: frozenset[str] | None
    value: T
    redirect: bool = False
    conditions: Conditions | None = None


class Search(Generic[T]):
    """A request, and the first route that was found for it so far.

    Attributes:
        path: Decoded.
        parts: Its segments.
        best: The route.
        at: Its place; larger than all others while there is none.
        other_method: Whether one fits but for its method.
    """

    __slots__ = ("_method", "at", "best", "other_method", "parts", "path")

    def __init__(self, path: str, method: str) -> None:
        self.path = path
        self.parts: list[str] = []
        self.best: Entry[T] | None = None
        self.at = _NONE
        self.other_method = False
        self._method = method

    def offer(self, entries: list[Entry[T]]) -> None:
        """Take the first of some routes whose path fits, if it is before the best."""
        for entry in entries:
            if entry.at >= self.at:
                return
            if entry.methods is None or self._method in entry.methods:
                self.best, self.at = entry, entry.at
                return
            self.other_method = True

    def relax(self) -> bool:
        """Ask for less after a search that found nothing; tell whether there is less to ask."""
        return False


class ConditionalSearch(Search[T]):
    """A search among routes some of which have conditions.

    A route whose conditions a request does not fulfil is none for it, so the next that fits is
    found, and its method is not told of either. Whether a request is in a share is drawn once for
    each route that it could have, and not for what is of another method.

    Args:
        path: As of ``Search``.
        method: As of ``Search``.
        asked: The request.
    """

    __slots__ = ("_asked",)

    def __init__(self, path: str, method: str, asked: Particulars) -> None:
        super().__init__(path, method)
        self._asked = asked

    def offer(self, entries: list[Entry[T]]) -> None:
        """See ``Search``."""
        method = self._method
        for entry in entries:
            if entry.at >= self.at:
                return
            suits = entry.methods is None or method in entry.methods
            conditions = entry.conditions
            if conditions is not None and not conditions.fulfilled(self._asked, draw=suits):
                continue
            if suits:
                self.best, self.at = entry, entry.at
                return
            self.other_method = True

    def relax(self) -> bool:
        """See ``Search``: a browser that asks whether it may cannot fulfil all conditions."""
        asked = self._asked
        if asked.lenient or not asked.is_preflight:
            return False
        asked.lenient = True
        return True


class _Texts(Generic[T]):
    """Routes by texts that a text may begin with: one look for each length that there is."""

    __slots__ = ("by_length", "least")

    def __init__(self) -> None:
        self.by_length: list[tuple[int, dict[str, list[Entry[T]]]]] = []
        self.least = _NONE

    def add(self, text: str, entry: Entry[T]) -> None:
        self.least = min(self.least, entry.at)
        for length, entries in self.by_length:
            if length == len(text):
                entries.setdefault(text, []).append(entry)
                return
        self.by_length.append((len(text), {text: [entry]}))
        self.by_length.sort(key=lambda each: each[0])

    def find(self, search: Search[T], text: str) -> None:
        longest = len(text)
        for length, entries in self.by_length:
            if length > longest:
                return
            found = entries.get(text[:length])
            if found is not None:
                search.offer(found)


class _Node(Generic[T]):
    """What patterns with ``{name}`` have at one place, after so many segments."""

    __slots__ = ("any", "beyond", "children", "ends", "least", "starts")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.any: _Node[T] | None = None
        self.ends: list[Entry[T]] = []
        self.beyond: list[Entry[T]] = []  # of prefixes that end with {name}
        self.starts: _Texts[T] | None = None  # of those that end within a segment, or before it
        self.least = _NONE

    def child(self, segment: str) -> _Node[T]:
        if segment != SEGMENT:
            return self.children.setdefault(segment, _Node())
        if self.any is None:
            self.any = _Node()
        return self.any

    def find(self, search: Search[T], depth: int) -> None:
        if self.least >= search.at:
            return
        parts = search.parts
        if depth == len(parts):
            search.offer(self.ends)
            return
        part = parts[depth]
        if self.starts is not None:
            self.starts.find(search, part)
        child = self.children.get(part)
        if child is not None:
            child.find(search, depth + 1)
        if part:
            if self.beyond:
                search.offer(self.beyond)
            if self.any is not None:
                self.any.find(search, depth + 1)


class PathIndex(Generic[T]):
    """Routes by their paths.

    Attributes:
        least: Place of the first of them.
    """

    def __init__(self) -> None:
        self.least = _NONE
        self._literals: dict[str, list[Entry[T]]] = {}
        self._prefixes: _Texts[T] = _Texts()
        self._root: _Node[T] | None = None
        self._others: _Texts[tuple[PathPattern, Entry[T]]] = _Texts()

    def add(self, pattern: PathPattern, entry: Entry[T]) -> None:
        """Add a route; places grow."""
        self.least = min(self.least, entry.at)
        if pattern.literal and pattern.prefix:
            self._prefixes.add(pattern.head, entry)
        elif pattern.literal:
            self._literals.setdefault(pattern.head, []).append(entry)
        elif pattern.segments is not None:
            self._add_segments(pattern.segments, entry, prefix=pattern.prefix)
        else:
            other = Entry(entry.at, None, (pattern, entry))
            self._others.add(pattern.head, other)

    def find(self, search: Search[T]) -> None:
        """Find the first that fits, if it is before what was found already."""
        if self.least >= search.at:
            return
        found = self._literals.get(search.path)
        if found is not None:
            search.offer(found)
        if self._prefixes.least < search.at:
            self._prefixes.find(search, search.path)
        if self._root is not None and self._root.least < search.at:
            search.parts = search.path.split("/")[1:]
            self._root.find(search, 0)
        if self._others.least < search.at:
            self._find_others(search)

    def _add_segments(self, segments: tuple[str, ...], entry: Entry[T], *, prefix: bool) -> None:
        if self._root is None:
            self._root = _Node()
        node = self._root
        node.least = min(node.least, entry.at)
        for segment in segments[:-1] if prefix else segments:
            node = node.child(segment)
            node.least = min(node.least, entry.at)
        if not prefix:
            node.ends.append(entry)
        elif segments[-1] == SEGMENT:
            node.beyond.append(entry)
        else:
            if node.starts is None:
                node.starts = _Texts()
            node.starts.add(segments[-1], entry)

    def _find_others(self, search: Search[T]) -> None:
        path = search.path
        for length, by_head in self._others.by_length:
            if length > len(path):
                return
            for other in by_head.get(path[:length], ()):
                if other.at >= search.at:
                    break
                pattern, entry = other.value
                if pattern.matches(path):
                    search.offer([entry])
