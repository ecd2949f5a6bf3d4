"""Calls of one key on one node: a consistent hash, with bounded loads if wanted."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from math import ceil
from typing import TYPE_CHECKING, Final, TypeAlias

from aegis.ring import Ring
from kratos.errors import ConfigError
from kratos.selector._candidates import narrow, no_available_node, unique
from kratos.selector._pick import Counter, SinglePick
from kratos.selector.node import Node, NodeFilter
from kratos.selector.outcome import Outcome
from kratos.selector.selector import Pick, Selector

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["ConsistentHash", "HashKey", "build", "key_of_call"]

HashKey: TypeAlias = "Callable[[Call], str | None]"
"""Tells the key of a call; ``None`` for none."""

_REPLICAS: Final = 160  # points of a node on the ring: loads differ by about a tenth
_STEPS: Final = 4  # of a walk along the ring, that are remembered
_REMEMBERED: Final = 10_000  # keys whose node is kept, until the set changes


def key_of_call(call: Call) -> str | None:
    """Return the ``key`` that the caller gave in its ``CallOptions``; ``None`` for none."""
    options = call.options
    return None if options is None else options.key


class ConsistentHash:
    """Sends calls of one key to one node, for what that node then holds: caches, sessions.

    When one of N nodes comes or goes, about one key in N moves; all clients with the same set of
    nodes agree. So give it all nodes, by ``subset=0`` of the client, or callers of one key will
    use different ones. A key's calls go to its next node on the ring while filters leave its own
    out, or it is one to avoid. A call without key goes to any node.

    With ``bound``, no node has more calls in flight from this client than ``bound`` times the
    mean, rounded up; what is above goes on to the next node on the ring. It keeps a hot key from
    taking its node down, at the price that the key then has several nodes.

    Making the ring takes about 0.1 ms for each node of a set, at the first pick after a change.

    Source: Karger et al., "Consistent Hashing and Random Trees", STOC 1997; for the bound,
    Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018.

    Args:
        key: Tells the key of a call: by default what the caller gave as ``CallOptions.key``;
            ``kratos.middleware.by_header("x-user")`` goes too.
        bound: More than 1, 1.25 for instance; ``None`` for no bound.
        random: Gives numbers of [0, 1), for calls without key.

    Raises:
        ConfigError: ``bound`` is not more than 1.
    """

    __slots__ = (
        "_bound", "_counter", "_in_flight", "_key", "_list", "_nodes", "_owners", "_random",
        "_ring", "_walks",
    )  # fmt: skip

    def __init__(
        self,
        key: HashKey = key_of_call,
        *,
        bound: float | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        if bound is not None and not bound > 1:
            raise ConfigError(f"a bound of loads is more than 1, or None for no bound; not {bound}")
        self._key = key
        self._bound = bound
        self._random = random
        self._counter = Counter()
        self._nodes: dict[str, Node] = {}
        self._list: list[Node] = []
        self._ring: Ring | None = None
        self._owners: dict[str, Node] = {}
        self._walks: dict[str, tuple[str, ...]] = {}
        self._in_flight = _InFlight()

    @property
    def late_reports(self) -> int:
        """How many reports came after the first of their pick."""
        return self._counter.late

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes; see ``Selector``."""
        known = self._nodes.keys()
        self._nodes = unique(nodes)
        self._list = list(self._nodes.values())
        self._owners.clear()
        self._walks.clear()
        if self._nodes.keys() != known:
            self._ring = None

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick the node of the call's key; see ``Selector``."""
        key = self._key(call)
        if not self._list:
            raise no_available_node()
        if filters or avoid:
            addresses = narrow(call, self._nodes, filters=filters, avoid=avoid)
            node = self._among(addresses, key)
        elif self._bound is not None:
            node = self._among(self._nodes, key)
        elif key is None:
            node = self._list[int(self._random() * len(self._list))]
        else:
            node = self._owners.get(key) or self._owner(key)
        if self._bound is None:
            return SinglePick(node, self._counter)
        return _CountedPick(node, self._counter, self._in_flight)

    def _owner(self, key: str) -> Node:
        """Find the node of a key and remember it."""
        if len(self._owners) >= _REMEMBERED:
            self._owners.clear()
        node = self._owners[key] = self._nodes[self._around().get(key)]
        return node

    def _walk(self, key: str) -> tuple[str, ...]:
        """Find the first nodes on the ring from a key on and remember them."""
        if len(self._walks) >= _REMEMBERED:
            self._walks.clear()
        walk = self._walks[key] = self._around().get_n(key, _STEPS)
        return walk

    def _among(self, addresses: Collection[str], key: str | None) -> Node:
        """Walk the ring from a key to the first node of some that has room."""
        if key is None:
            key = str(int(self._random() * _REMEMBERED))
        allowed = addresses if addresses is self._nodes else frozenset(addresses)
        most = self._most(len(allowed))
        in_flight, walk, seen = self._in_flight.of, self._walks.get(key) or self._walk(key), 0
        while len(walk) > seen:
            for address in walk[seen:] if seen else walk:
                if address in allowed and in_flight(address) < most:
                    return self._nodes[address]
            seen = len(walk)
            walk = self._around().get_n(key, seen * 4)
        # One of them is below the bound, as their mean is. It has no point on the ring, then.
        return self._nodes[min(allowed, key=self._in_flight.of)]

    def _most(self, nodes: int) -> float:
        """Return how many calls a node may have in flight, with the one that is to come."""
        if self._bound is None:
            return float("inf")
        return ceil(self._bound * (self._in_flight.total + 1) / nodes)

    def _around(self) -> Ring:
        if self._ring is None:
            # Sorted, so that clients agree where two nodes meet in one point.
            self._ring = Ring(sorted(self._nodes), replicas=_REPLICAS, algorithm="fnv1a")
        return self._ring


class _InFlight:
    """Calls under way, by address and in all."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.total = 0

    def of(self, address: str) -> int:
        return self._counts.get(address, 0)

    def enter(self, address: str) -> None:
        self.total += 1
        self._counts[address] = self.of(address) + 1

    def leave(self, address: str) -> None:
        self.total -= 1
        left = self._counts[address] - 1
        if left:
            self._counts[address] = left
        else:
            del self._counts[address]


class _CountedPick(SinglePick):
    __slots__ = ("_in_flight",)

    def __init__(self, node: Node, counter: Counter, in_flight: _InFlight) -> None:
        super().__init__(node, counter)
        self._in_flight = in_flight
        in_flight.enter(node.address)

    def _end(self, outcome: Outcome) -> None:
        self._in_flight.leave(self.node.address)


def build() -> Selector:
    """Return a fresh selector (the plug-in ``hash``)."""
    return ConsistentHash()
