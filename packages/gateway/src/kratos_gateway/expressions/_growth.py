"""How the time of a search that goes back grows with the text.

An expression is laid out as a graph of the places at which a character is taken. Where a text leads
from a place to itself in two ways, a text of so many of them can be taken in as many ways as there
are subsets, and ``re`` tries all before it says that nothing fits: ``(a+)+b``. Where it leads from
a place to itself, from there to another, and from that to itself, as between the two of ``a*a*b``,
there are as many ways as places in the text, for each such pair in a row again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from kratos_gateway.expressions._reading import (
    LAST,
    Chars,
    Choice,
    End,
    Node,
    Ranges,
    Repeat,
    Row,
)

__all__ = ["Growth", "growth_of"]

_MOST_PLACES: Final = 150
_MOST_STEPS: Final = 20_000  # of one look at an expression
_COPIES: Final = 3  # of what is repeated a few times
_FEW: Final = 10  # a group that is repeated less often costs little
_FEW_CHARACTERS: Final = 100
_MUCH: Final = 1_000_000  # ways, which ``re`` tries in some hundredths of a second
_DOUBLINGS: Final = 20  # as many are more than that
_MOST_EDGES: Final = 1_000_000
_AT_END: Final[Ranges] = ((LAST + 1, LAST + 1),)
_DOTS: Final[tuple[Ranges, ...]] = (((0, 9), (11, LAST)), ((0, LAST),))

_Ways: TypeAlias = "dict[int, int]"  # places, and in how many ways they are come to
_State: TypeAlias = "tuple[int, int, int]"
_Steps: TypeAlias = "Callable[[_State], Iterator[tuple[int, _State]]]"


class _TooLargeError(Exception):
    """An expression at which to look would take too long."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How time grows.

    Attributes:
        power: Of the length of the text; infinite where a few characters more double the time.
        before: What such a text begins with.
        again: What follows, as often as one likes; and then what does not fit.
    """

    power: float
    before: str = ""
    again: str = ""


_LINEAR: Final = Growth(1)


def growth_of(
    tree: Node, /, *, whole: bool, anywhere: bool, one_line: bool = False, sure: bool = True
) -> Growth | None:
    """Tell how the time grows that ``re`` takes for an expression; ``None`` if that is not known.

    It is not known for large expressions. What is repeated up to 9 times, or 99 if it is a single
    character, counts as if it were 3 times; more often, as if there were no bound. Where all such
    bounds together leave more than a million ways, so does all that may be repeated more than 3
    times. Of anchors those at the end alone are looked at.

    Args:
        tree: The expression.
        whole: Whether it has to fit a text to its end.
        anywhere: Whether it may fit anywhere in a text.
        one_line: Whether texts are of one line, so that ``.*`` at the end fits whatever comes.
        sure: Whether what has come to the end of the expression fits: no anchor is asked before.
    """
    parts: tuple[Node, ...] = (tree, End()) if whole else (tree,)
    everything = Repeat(Chars(((0, LAST),)), 0, None)
    try:
        row = Row((everything, *parts) if anywhere else parts)
        graph = _Graph(row, one_line=one_line, sure=sure)
        return graph.growth()
    except _TooLargeError:
        return None


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of an expression, laid out.

    Attributes:
        skipped: In how many ways it takes nothing.
        first: Places at which it begins.
        last: Places at which it ends.
    """

    skipped: int
    first: _Ways
    last: _Ways


_NOTHING: Final = _Part(1, {}, {})


class _Graph:
    """The places of an expression, and which follows which."""

    def __init__(self, tree: Node, *, one_line: bool, sure: bool) -> None:
        self._taken: Final[list[Ranges]] = []
        self._next: Final[list[_Ways]] = []
        self._steps = 0
        self._freedoms: Final[dict[int, int]] = {}
        self._is_free: Final = self._freedom(tree) > _MUCH
        whole = self._laid_out(tree)
        self._first: Final = whole.first
        # A search that has come there has found something, and goes back no more.
        self._done: Final = set(whole.last) if sure else set[int]()
        if one_line:
            self._done.update(filter(self._takes_the_rest, range(len(self._taken))))

    def _freedom(self, node: Node) -> int:
        """Return in how many ways its bounded repetitions and choices may go; not all of many."""
        known = self._freedoms.get(id(node))
        if known is None:
            known = self._freedoms[id(node)] = min(self._ways(node), _MUCH + 1)
        return known

    def _ways(self, node: Node) -> int:
        if isinstance(node, Chars | End):
            return 1
        if isinstance(node, Repeat):
            most = node.least if node.most is None else node.most
            once = self._freedom(node.part)
            taken: int = once ** min(most, _DOUBLINGS)
            return (most - node.least + 1) * taken
        if isinstance(node, Choice):
            return sum(map(self._freedom, node.parts))
        ways = 1
        for part in node.parts:
            ways = min(ways * self._freedom(part), _MUCH + 1)
        return ways

    def _laid_out(self, node: Node) -> _Part:
        self._count()
        if isinstance(node, Chars | End):
            return self._place(node.ranges if isinstance(node, Chars) else _AT_END)
        if isinstance(node, Repeat):
            return self._repeated(node)
        if isinstance(node, Row):
            row = _NOTHING
            for part in node.parts:
                row = self._joined(row, self._laid_out(part))
            return row
        parts = [self._laid_out(part) for part in node.parts]
        first: _Ways = {}
        last: _Ways = {}
        for each in parts:
            first.update(each.first)
            last.update(each.last)
        return _Part(min(sum(each.skipped for each in parts), 2), first, last)

    def _count(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _TooLargeError

    def _place(self, ranges: Ranges) -> _Part:
        if not ranges:  # as of [^\s\S]: nobody comes through
            return _Part(0, {}, {})
        at = len(self._taken)
        if at == _MOST_PLACES:
            raise _TooLargeError
        self._taken.append(ranges)
        self._next.append({})
        return _Part(0, {at: 1}, {at: 1})

    def _repeated(self, node: Repeat) -> _Part:
        few = _FEW_CHARACTERS if isinstance(node.part, Chars) else _FEW
        few = _COPIES + 1 if self._is_free else few
        bound = node.most if node.most is not None and node.most < few else None
        row = _NOTHING
        for _ in range(min(node.least, _COPIES) - (bound is None)):
            row = self._joined(row, self._laid_out(node.part))
        if bound is None:
            return self._joined(row, self._again_and_again(node))
        rest = _NOTHING
        for _ in range(min(bound - node.least, _COPIES)):
            one = self._joined(self._laid_out(node.part), rest)
            rest = _Part(min(one.skipped + 1, 2), one.first, one.last)
        return self._joined(row, rest)

    def _again_and_again(self, node: Repeat) -> _Part:
        part = self._laid_out(node.part)
        # Of many that may each be the empty text, ``re`` tries which are: (?:a?){30}.
        tried = part.skipped and self._freedom(node.part) ** min(node.least, _DOUBLINGS) > _MUCH
        self._follow(part.last, _times(part.first, 2 if tried else 1))
        # Nothing may be the empty text once, too, which ``re`` tries apart.
        skipped = min(part.skipped + (not node.least), 2)
        return _Part(skipped, part.first, part.last)

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._follow(one.last, other.first)
        first = {**one.first, **_times(other.first, one.skipped)}
        last = {**other.last, **_times(one.last, other.skipped)}
        return _Part(min(one.skipped * other.skipped, 2), first, last)

    def _follow(self, ends: _Ways, begins: _Ways) -> None:
        for end, ways in ends.items():
            after = self._next[end]
            for begin, more in begins.items():
                after[begin] = after.get(begin, 0) + ways * more

    def _takes_the_rest(self, at: int) -> bool:
        ends = any(self._taken[after] == _AT_END for after in self._next[at])
        return ends and at in self._next[at] and self._taken[at] in _DOTS

    @cached_property
    def _kinds(self) -> Sequence[int]:
        """What is taken at each place, as bits: characters that are together everywhere are one."""
        bounds = self._bounds
        if len(bounds) * sum(map(len, self._taken)) > _MOST_EDGES:
            raise _TooLargeError
        return [
            sum(
                1 << at
                for at, bound in enumerate(bounds)
                if any(begin <= bound <= end for begin, end in ranges)
            )
            for ranges in self._taken
        ]

    @cached_property
    def _bounds(self) -> Sequence[int]:
        edges = {edge for each in self._taken for begin, end in each for edge in (begin, end + 1)}
        return sorted(edges)

    @cached_property
    def _reached(self) -> Sequence[frozenset[int]]:
        """The places after each, itself only if it is come to again."""
        return [frozenset(self._walk(at)) for at in range(len(self._taken))]

    def _walk(self, begin: int, without: Collection[int] = ()) -> Iterator[int]:
        seen = set(without)
        left = [begin]
        while left:
            for at in self._next[left.pop()]:
                if at not in seen:
                    seen.add(at)
                    left.append(at)
                    yield at

    def growth(self) -> Growth:
        """Tell how the time grows."""
        loops = self._loops()
        for loop in loops:
            doubled = self._doubled(loop)
            if doubled is not None:
                return self._told(math.inf, min(loop), doubled)
        best = _LINEAR
        power: list[Growth] = []
        for at, loop in enumerate(loops):
            here = _LINEAR
            for before in range(at):
                if min(loop) not in self._reached[min(loops[before])]:
                    continue
                so_far = power[before]
                overlap = self._overlap(loops[before], loop)
                if overlap is not None:
                    so_far = self._told(so_far.power + 1, *overlap)
                here = max(here, so_far, key=lambda each: each.power)
            power.append(here)
            best = max(best, here, key=lambda each: each.power)
        return best

    def _loops(self) -> list[frozenset[int]]:
        """Return the places that come to each other again, in the order in which they come.

        Without coming to the end, that is: a search may go around in a group that it has found
        already, and goes back no further than to there.
        """
        reached = self._reached
        come_to = set(self._first).union(*(reached[at] for at in self._first))
        found = [frozenset(self._walk(at, self._done)) for at in range(len(reached))]
        loops = {
            frozenset(other for other in after if at in found[other])
            for at, after in enumerate(found)
            if at in after and at in come_to
        }
        return sorted(loops, key=lambda loop: (-len(reached[min(loop)]), min(loop)))

    def _doubled(self, loop: frozenset[int]) -> str | None:
        """Return a text that leads around a loop in two ways; ``None`` if there is none."""
        at = min(loop)
        if len(loop) == 1 and self._next[at][at] == 1:
            return None
        return self._search((at, at, 0), (at, at, 1), self._twice_from(loop))

    def _twice_from(self, loop: frozenset[int]) -> _Steps:
        def steps(state: _State) -> Iterator[tuple[int, _State]]:
            one, other, apart = state
            for left, ways in self._next[one].items():
                for right in self._next[other]:
                    if left in loop and right in loop:
                        split = apart or left != right or (one == other and ways > 1)
                        yield self._kinds[left] & self._kinds[right], (left, right, int(split))

        return steps

    def _overlap(self, loop: frozenset[int], later: frozenset[int]) -> tuple[int, str] | None:
        """Return where and by what a text leads around a loop, around a later, and to it."""
        for begin in sorted(loop):
            for end in sorted(later):
                steps = self._thrice_from(loop, later)
                found = self._search((begin, begin, end), (begin, end, end), steps)
                if found is not None:
                    return begin, found
        return None

    def _thrice_from(self, loop: frozenset[int], later: frozenset[int]) -> _Steps:
        def steps(state: _State) -> Iterator[tuple[int, _State]]:
            here, between, there = state
            for left in self._next[here]:
                for right in self._next[there]:
                    both = self._kinds[left] & self._kinds[right]
                    if left in loop and right in later and both:
                        for middle in self._next[between]:
                            yield both & self._kinds[middle], (left, middle, right)

        return steps

    def _search(self, begin: _State, end: _State, steps: _Steps) -> str | None:
        """Return a text that leads from one state to another; ``None`` if there is none."""
        texts: dict[_State, str] = {}
        left = deque([(begin, "")])
        while left:
            state, text = left.popleft()
            for kinds, after in steps(state):
                self._count()
                if kinds and after not in texts:
                    texts[after] = text + self._char(kinds)
                    left.append((after, texts[after]))
            if end in texts:
                return texts[end]
        return None

    def _char(self, kinds: int) -> str:
        """Return a character of some kinds: one that is seen well, if there is any.

        The end of the text is none.
        """
        ends = [*self._bounds[1:], LAST + 1]
        ranges = [
            (begin, end)
            for at, (begin, end) in enumerate(zip(self._bounds, ends, strict=True))
            if kinds >> at & 1
        ]
        for char in "a0-/. !":
            if any(begin <= ord(char) < end for begin, end in ranges):
                return char
        return chr(ranges[-1][0]) if ranges[-1][0] <= LAST else ""

    def _told(self, power: float, place: int, again: str) -> Growth:
        return Growth(power, self._way_to(place), again)

    def _way_to(self, place: int) -> str:
        """Return a text by which a search comes to a place."""
        texts = {at: self._char(self._kinds[at]) for at in self._first}
        left = deque(texts)
        while place not in texts:
            at = left.popleft()
            for after in self._next[at]:
                if after not in texts:
                    texts[after] = texts[at] + self._char(self._kinds[after])
                    left.append(after)
        return texts[place]


def _times(ways: _Ways, by: int) -> _Ways:
    return {at: count * by for at, count in ways.items()} if by else {}
