"""Which endpoints no request gets to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple, TypeAlias

from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.routing.order import in_order

__all__ = ["matches_of", "reach_troubles"]

_Way: TypeAlias = tuple[str, str, str]
_ALL: Final = 100.0


class _Taker(NamedTuple):
    """An endpoint that takes all requests of a way that fulfil its conditions."""

    at: int
    matches: frozenset[bytes]


def reach_troubles(endpoints: Sequence[Endpoint]) -> Iterator[tuple[str, Trouble]]:
    """Tell which endpoints an earlier one takes all requests of; the first that fits answers.

    One with a share of the requests takes them all from nobody, but from those who are kept in a
    share that is no larger by the same sign.
    """
    taken: dict[_Way, list[_Taker]] = {}
    shared: dict[tuple[object, ...], tuple[int, float]] = {}
    for at, endpoint in in_order(endpoints):
        method = "" if endpoint.method == "*" else endpoint.method.upper()
        way = f"{endpoint.path.rstrip('*')}*" if endpoint.path.endswith("*") else endpoint.path
        matches = matches_of(endpoint)
        earlier = _taker(taken, (endpoint.host, method, way), matches)
        if earlier is not None:
            text = (
                f"it is never asked: endpoints[{earlier}], {endpoints[earlier].path!r}, comes "
                "before it and takes all of its requests; move this one up"
            )
            yield f"endpoints[{at}].path", Trouble("", text, fatal=False)
        whole = not endpoint.HasField("percentage") or endpoint.percentage >= _ALL
        if whole:
            taken.setdefault((endpoint.host, method, way), []).append(_Taker(at, matches))
        elif endpoint.HasField("sticky"):
            sign = endpoint.sticky.SerializeToString(deterministic=True)
            key = (endpoint.host, method, way, matches, sign)
            first, share = shared.setdefault(key, (at, endpoint.percentage))
            if first != at and endpoint.percentage <= share:
                text = (
                    f"whoever is in this share is in that of endpoints[{first}], which comes "
                    "before it: give it another salt"
                )
                yield f"endpoints[{at}].sticky.salt", Trouble("", text, fatal=False)


def matches_of(endpoint: Endpoint) -> frozenset[bytes]:
    """Return the conditions of an endpoint so that they can be compared."""
    return frozenset(each.SerializeToString(deterministic=True) for each in endpoint.match)


def _taker(
    taken: Mapping[_Way, Sequence[_Taker]], wanted: _Way, matches: frozenset[bytes]
) -> int | None:
    """Return the first endpoint that takes all that this one could."""
    host, method, way = wanted
    bare = way.rstrip("*")
    ways = [way, *(f"{bare[:length]}*" for length in range(len(bare) + 1))]
    found = (
        each.at
        for key in product({"", host}, {"", method}, ways)
        for each in taken.get(key, ())
        if each.matches <= matches
    )
    return min(found, default=None)
