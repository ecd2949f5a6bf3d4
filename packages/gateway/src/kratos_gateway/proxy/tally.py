"""What the requests to an endpoint came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.backend import NodeRecords
from kratos_gateway.config.reach import matches_of

__all__ = ["Tallies", "Tally"]

_OWN_FAULT: Final = 500

_Key: TypeAlias = tuple[object, ...]


@dataclass(slots=True, weakref_slot=True)
class Tally:
    """Counts requests to an endpoint, for people; what is scraped is counted by metrics.

    Attributes:
        requests: That have ended.
        failures: Those of them that were answered with a status of 500 or more.
        seconds: Of all of them, from head to end.
        nodes: What became of the attempts at its nodes.
    """

    requests: int = 0
    failures: int = 0
    seconds: float = 0.0
    nodes: NodeRecords = field(default_factory=NodeRecords)

    def add(self, code: int, seconds: float) -> None:
        """Count one.

        Args:
            code: Status of its answer.
            seconds: From its head to its end.
        """
        self.requests += 1
        self.seconds += seconds
        if code >= _OWN_FAULT:
            self.failures += 1


class Tallies:
    """Those of all routes, which go on where another configuration has the same one.

    A route is what has its method, host, path and conditions, whoever answers it. One is forgotten
    when nothing serves it any more.
    """

    def __init__(self) -> None:
        self._kept: WeakValueDictionary[_Key, Tally] = WeakValueDictionary()

    def begin(self) -> Callable[[Endpoint], Tally]:
        """Return what tells the tally of each endpoint of a configuration, in their order."""
        alike: Counter[_Key] = Counter()

        def of(endpoint: Endpoint) -> Tally:
            route = _route(endpoint)
            key = (*route, alike[route])
            alike[route] += 1
            found = self._kept.get(key)
            if found is None:
                found = self._kept[key] = Tally()
            return found

        return of


def _route(endpoint: Endpoint) -> _Key:
    method = endpoint.method.upper()
    return (
        "" if method == "*" else method,
        endpoint.host,
        endpoint.path,
        matches_of(endpoint),
        endpoint.HasField("percentage"),
    )
