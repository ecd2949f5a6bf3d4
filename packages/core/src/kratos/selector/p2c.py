"""The better of two random choices (Go: selector/p2c; Mitzenmacher, 2001)."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.selector._candidates import narrow, no_available_node, unique
from kratos.selector._pick import Counter, SinglePick
from kratos.selector.ewma import Ewma
from kratos.selector.node import Node, NodeFilter
from kratos.selector.outcome import Outcome
from kratos.selector.selector import Pick, Selector

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["PowerOfTwoChoices", "build"]

_FORGOTTEN: Final = 3_000_000_000  # ns without a pick, after which a node gets one


class PowerOfTwoChoices:
    """Draws two nodes and takes the one with the better record of latency, success and load.

    A node that lost is taken all the same when it was not picked for three seconds, so that a
    recovery is noticed. Published weights are not used, as in Go.

    Args:
        clock: Time for latencies.
        random: Gives numbers of [0, 1).
    """

    __slots__ = ("_clock", "_counter", "_list", "_nodes", "_random", "_records")

    def __init__(
        self, *, clock: Clock = SYSTEM_CLOCK, random: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._random = random
        self._counter = Counter()
        self._nodes: dict[str, Node] = {}
        self._list: list[str] = []
        self._records: dict[str, Ewma] = {}

    @property
    def late_reports(self) -> int:
        """How many reports came after the first of their pick."""
        return self._counter.late

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes; see ``Selector``."""
        self._nodes = unique(nodes)
        self._list = list(self._nodes)
        records = self._records
        self._records = {
            address: records[address] if address in records else Ewma() for address in self._nodes
        }

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick the better of two; see ``Selector``."""
        addresses = self._list
        if filters or avoid:
            addresses = narrow(call, self._nodes, filters=filters, avoid=avoid)
        elif not addresses:
            raise no_available_node()
        now = _nanoseconds(self._clock)
        address = addresses[0] if len(addresses) == 1 else self._better(addresses, now)
        pick = _TimedPick(self._nodes[address], self._counter)
        pick.begin(self._records[address], self._clock, now)
        return pick

    def _better(self, addresses: Sequence[str], now: int) -> str:
        first = int(self._random() * len(addresses))
        second = int(self._random() * (len(addresses) - 1))
        if second >= first:
            second += 1
        winner, loser = addresses[first], addresses[second]
        if self._records[loser].weight(now) > self._records[winner].weight(now):
            winner, loser = loser, winner
        picked_at = self._records[loser].picked_at
        if picked_at is None or now - picked_at > _FORGOTTEN:
            return loser
        return winner


class _TimedPick(SinglePick):
    __slots__ = ("_clock", "_record", "_start")

    _record: Ewma
    _clock: Clock
    _start: int

    def begin(self, record: Ewma, clock: Clock, now: int) -> None:
        self._record = record
        self._clock = clock
        self._start = now
        record.begin(self, now)

    def _end(self, outcome: Outcome) -> None:
        self._record.end(self, self._start, _nanoseconds(self._clock), outcome)


def build() -> Selector:
    """Return a fresh selector (the plug-in ``p2c``)."""
    return PowerOfTwoChoices()


def _nanoseconds(clock: Clock) -> int:
    return int(clock.time() * 1e9)
