"""Routes by the segments of their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from kratos.transport.http import Endpoint
from kratos.transport.rule import PathTemplate, Segment, SegmentKind, unescape
from kratos_http._choice import Choosing

__all__ = ["ANY", "Extract", "Leaf", "Route", "Tree"]

ANY: Final = "*"  # verb that stands for every method
_DOTS: Final = frozenset((".", ".."))

Extract: TypeAlias = Callable[[Sequence[str]], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One endpoint at one verb and path.

    Attributes:
        verb: HTTP method; ``*`` for every one.
        template: The path.
        endpoint: What answers.
        extract: Returns the values of the template's variables from a path's segments.
    """

    verb: str
    template: PathTemplate
    endpoint: Endpoint | Choosing
    extract: Extract = field(repr=False)

    @classmethod
    def of(cls, verb: str, template: PathTemplate, endpoint: Endpoint | Choosing) -> Route:
        """Make a route."""
        return cls(verb=verb, template=template, endpoint=endpoint, extract=_extractor(template))


class Leaf:
    """The routes of one path, by method."""

    __slots__ = ("_derived", "routes")

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self._derived = False

    def add(self, route: Route) -> None:
        """Add a route, unless there is one already; GET serves HEAD too."""
        verb = route.verb
        if verb == "HEAD" and self._derived:
            self._derived = False
            self.routes[verb] = route
            return
        self.routes.setdefault(verb, route)
        if verb == "GET" and "HEAD" not in self.routes:
            self._derived = True
            self.routes["HEAD"] = route

    def find(self, method: str) -> Route | None:
        """Return the route of a method."""
        return self.routes.get(method) or self.routes.get(ANY)


class Tree:
    """A segment: what may follow it, literals first, then one of any kind, then the rest."""

    __slots__ = ("_leaf", "_literals", "_rest", "_single")

    def __init__(self) -> None:
        self._literals: dict[str, Tree] = {}
        self._single: Tree | None = None
        self._rest: Leaf | None = None
        self._leaf: Leaf | None = None

    def leaf(self, segments: Sequence[Segment]) -> Leaf:
        """Return the leaf that segments of a template lead to, made if there is none."""
        if not segments:
            self._leaf = self._leaf or Leaf()
            return self._leaf
        first = segments[0]
        if first.kind is SegmentKind.REST:
            self._rest = self._rest or Leaf()
            return self._rest
        if first.kind is SegmentKind.SINGLE:
            tree = self._single = self._single or Tree()
        else:
            tree = self._literals.setdefault(first.text, Tree())
        return tree.leaf(segments[1:])

    def find(self, segments: Sequence[str], method: str, start: int = 0) -> Route | None:
        """Return the best route of a method for raw segments.

        Raises:
            ValueError: A segment has a malformed escape.
        """
        tree = self
        for at in range(start, len(segments)):
            raw = segments[at]
            text = unescape(raw) if "%" in raw else raw
            if text in _DOTS:
                return None  # the path is to be cleaned first
            literal = tree._literals.get(text) if raw else None
            single = tree._single if raw else None
            if tree._rest is None and (literal is None) is not (single is None):
                tree = literal or single or tree  # the one way on, as nearly always
                continue
            if literal is None and single is None:
                return tree.through_rest(segments, method, at)
            return tree.choose(segments, method, at, literal, single)
        return tree.at_end(method)

    def choose(
        self,
        segments: Sequence[str],
        method: str,
        at: int,
        literal: Tree | None,
        single: Tree | None,
    ) -> Route | None:
        """Try the ways on from here, the best first."""
        for tree in (literal, single):
            if tree is not None:
                found = tree.find(segments, method, at + 1)
                if found is not None:
                    return found
        return self.through_rest(segments, method, at)

    def through_rest(self, segments: Sequence[str], method: str, at: int) -> Route | None:
        """Return the route that takes all the rest."""
        if self._rest is None or _has_dots(segments, at):
            return None
        return self._rest.find(method)

    def at_end(self, method: str) -> Route | None:
        """Return the route of a path that ends here."""
        found, leaf = None, self._leaf
        if leaf is not None:
            found = leaf.routes.get(method) or leaf.find(method)
        if found is None and self._rest is not None:
            found = self._rest.find(method)
        return found

    def leaves(self, segments: Sequence[str], at: int = 0) -> Iterator[Leaf]:
        """Iterate over all leaves that raw segments lead to, whatever their methods.

        Raises:
            ValueError: A segment has a malformed escape.
        """
        if at < len(segments):
            text = unescape(segments[at])
            if text in _DOTS:
                return
            if segments[at]:
                for tree in (self._literals.get(text), self._single):
                    if tree is not None:
                        yield from tree.leaves(segments, at + 1)
        elif self._leaf is not None:
            yield self._leaf
        if self._rest is not None and not _has_dots(segments, at):
            yield self._rest


def _has_dots(segments: Sequence[str], start: int) -> bool:
    return any(unescape(segment) in _DOTS for segment in segments[start:])


def _extractor(template: PathTemplate) -> Extract:
    captures = template.captures
    if not captures:
        return lambda _segments: ()
    if len(captures) == 1 and not captures[0].multi:
        index = captures[0].start

        def one(segments: Sequence[str]) -> tuple[str, ...]:
            raw = segments[index]
            return (unescape(raw) if "%" in raw else raw,)

        return one
    ranges = tuple(
        (
            capture.start,
            None if template.segments[capture.stop - 1].kind is SegmentKind.REST else capture.stop,
            capture.multi,
        )
        for capture in captures
    )

    def several(segments: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            "/".join(unescape(raw, keep_slash=multi) for raw in segments[start:stop])
            for start, stop, multi in ranges
        )

    return several
