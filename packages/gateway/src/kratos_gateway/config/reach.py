"""Which endpoints no request gets to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final, NamedTuple, TypeAlias

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.routing._paths import Entry, PathIndex, Search
from kratos_gateway.routing.order import in_order
from kratos_gateway.routing.pattern import SEGMENT, PathPattern

__all__ = ["matches_of", "reach_troubles"]

_Matches: TypeAlias = frozenset[bytes]
_Way: TypeAlias = tuple[str, str, str]
_ALL: Final = 100.0


class _Asked(NamedTuple):
    """Which requests an endpoint is for.

    Attributes:
        host: Lower case, if it has no variable.
        method: Upper case; empty for all.
        way: Its path as it is written, with one star at most.
        pattern: Of its path; ``None`` if that has expressions, which may match anything.
        sample: A path of it, with ``SEGMENT`` for variables. Texts of patterns have no such sign,
            so one that matches it matches all of its paths.
        begins: Whether the sample is but the beginning of them.
        matches: Conditions.
        whole: Whether it takes all requests that fulfil these.
    """

    host: str
    method: str
    way: str
    pattern: PathPattern | None
    sample: str
    begins: bool
    matches: _Matches
    whole: bool

    @classmethod
    def by(cls, endpoint: Endpoint) -> _Asked:
        path, host = endpoint.path, endpoint.host
        pattern, sample, begins = _sampled(path)
        return cls(
            host=host if "{" in host else host.lower(),
            method="" if endpoint.method == "*" else endpoint.method.upper(),
            way=f"{path.rstrip('*')}*" if path.endswith("*") else path,
            pattern=pattern,
            sample=sample,
            begins=begins,
            matches=matches_of(endpoint),
            whole=not endpoint.HasField("percentage") or endpoint.percentage >= _ALL,
        )

    def key(self) -> tuple[object, ...]:
        return self.host, self.method, self.way, self.matches


class _Taker(NamedTuple):
    """An endpoint that takes all requests of a way that fulfil its conditions.

    Attributes:
        order: How many are asked before it.
        at: Its place among all.
        matches: Conditions.
    """

    order: int
    at: int
    matches: _Matches


class _Taken:
    """The endpoints that have taken all of their requests."""

    def __init__(self) -> None:
        self._written: dict[_Way, list[_Taker]] = {}
        self._every: dict[tuple[str, str], PathIndex[_Taker]] = {}
        self._prefixes: dict[tuple[str, str], PathIndex[_Taker]] = {}

    def add(self, asked: _Asked, taker: _Taker) -> None:
        """Add one, which is asked after all that there are."""
        self._written.setdefault((asked.host, asked.method, asked.way), []).append(taker)
        pattern = asked.pattern
        if pattern is None:
            return
        for indices in (self._every, self._prefixes) if pattern.prefix else (self._every,):
            index = indices.setdefault((asked.host, asked.method), PathIndex())
            index.add(pattern, Entry(taker.order, None, taker))

    def taker(self, asked: _Asked) -> int | None:
        """Return the first endpoint that takes all that this one could."""
        found = [*self._as_written(asked), *self._as_matched(asked)]
        return min(found).at if found else None

    def _as_written(self, asked: _Asked) -> Iterator[_Taker]:
        bare = asked.way.rstrip("*")
        ways = [asked.way, *(f"{bare[:length]}*" for length in range(len(bare) + 1))]
        for key in product({"", asked.host}, {"", asked.method}, ways):
            yield from (
                each for each in self._written.get(key, ()) if each.matches <= asked.matches
            )

    def _as_matched(self, asked: _Asked) -> Iterator[_Taker]:
        indices = self._prefixes if asked.begins else self._every
        for key in product({"", asked.host}, {"", asked.method}):
            index = indices.get(key)
            if index is None:
                continue
            search = _Search(asked.sample, asked.matches)
            index.find(search)
            if search.best is not None:
                yield search.best.value


class _Search(Search[_Taker]):
    """A search for the first endpoint that asks for no more conditions."""

    __slots__ = ("_matches",)

    def __init__(self, path: str, matches: _Matches) -> None:
        super().__init__(path, "")
        self._matches = matches

    def offer(self, entries: list[Entry[_Taker]]) -> None:
        """See ``Search``."""
        for entry in entries:
            if entry.at >= self.at:
                return
            if entry.value.matches <= self._matches:
                self.best, self.at = entry, entry.at
                return


def reach_troubles(endpoints: Sequence[Endpoint]) -> Iterator[tuple[str, Trouble]]:
    """Tell which endpoints an earlier one takes all requests of; the first that fits answers.

    One with a share of the requests takes them all from nobody, but from those who are kept in a
    share that is no larger by the same sign. Expressions are compared by their texts alone.
    """
    taken = _Taken()
    shared: dict[tuple[object, ...], tuple[int, float]] = {}
    for order, (at, endpoint) in enumerate(in_order(endpoints)):
        asked = _Asked.by(endpoint)
        earlier = taken.taker(asked)
        if earlier is not None:
            alike = _takes_all(asked, _Asked.by(endpoints[earlier]))
            text = (
                f"it is never asked: endpoints[{earlier}], {endpoints[earlier].path!r}, comes "
                "before it and takes all of its requests; "
                f"{'remove one of them' if alike else 'move this one up'}"
            )
            yield f"endpoints[{at}].path", Trouble("", text, fatal=False)
        if asked.whole:
            taken.add(asked, _Taker(order, at, asked.matches))
        elif endpoint.HasField("sticky"):
            sign = endpoint.sticky.SerializeToString(deterministic=True)
            first, share = shared.setdefault((*asked.key(), sign), (at, endpoint.percentage))
            if first != at and endpoint.percentage <= share:
                text = (
                    f"whoever is in this share is in that of endpoints[{first}], which comes "
                    "before it: give it another salt"
                )
                yield f"endpoints[{at}].sticky.salt", Trouble("", text, fatal=False)


def matches_of(endpoint: Endpoint) -> frozenset[bytes]:
    """Return the conditions of an endpoint so that they can be compared."""
    return frozenset(each.SerializeToString(deterministic=True) for each in endpoint.match)


def _takes_all(asked: _Asked, other: _Asked) -> bool:
    """Tell whether an endpoint would take all requests of another, if it came before it."""
    taken = _Taken()
    if asked.whole:
        taken.add(asked, _Taker(0, 0, asked.matches))
    return taken.taker(other) is not None


def _sampled(path: str) -> tuple[PathPattern | None, str, bool]:
    """Return the pattern of a path, if it has no expressions; and a sample, or its beginning."""
    try:
        pattern = PathPattern.parse(path)
    except ConfigError:
        return None, path, False  # which is told of the path itself
    if pattern.gaps is None:
        return None, pattern.head, True
    return pattern, pattern.gaps.sample(SEGMENT) or "/", pattern.prefix
