"""The better of two random choices (Go: selector/p2c; Mitzenmacher, 2001)."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.selector._candidates import narrow, no_available_node, unique
from kratos.selector._pick import Counter
from kratos.selector._time import Now, nanoseconds
from kratos.selector.ewma import TRACKED, Ewma
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

    __slots__ = ("_list", "_nodes", "_now", "_random", "_records", "_reports")

    def __init__(
        self, *, clock: Clock = SYSTEM_CLOCK, random: Callable[[], float] = random.random
    ) -> None:
        self._now = nanoseconds(clock)
        self._random = random
        self._reports = _Reports(self._now)
        self._nodes: dict[str, Node] = {}
        self._list: list[_Record] = []
        self._records: dict[str, _Record] = {}

    @property
    def late_reports(self) -> int:
        """How many reports came after the first of their pick."""
        return self._reports.late

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes; see ``Selector``."""
        self._nodes = unique(nodes)
        old, self._records = self._records, {}
        for address, node in self._nodes.items():
            record = old[address] if address in old else _Record(self._reports)
            record.node = node
            self._records[address] = record
        self._list = list(self._records.values())

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick the better of two; see ``Selector``."""
        choices = self._list
        if filters or avoid:
            addresses = narrow(call, self._nodes, filters=filters, avoid=avoid)
            choices = [self._records[address] for address in addresses]
        others = len(choices) - 1
        now = self._now()
        if others > 0:
            # One number draws both: it costs half of two.
            draw = int(self._random() * (others * (others + 1)))
            first = draw // others
            second = draw - first * others
            chosen, loser = choices[first], choices[second if second < first else second + 1]
            if loser.weight(now) > chosen.weight(now):
                chosen, loser = loser, chosen
            if now - loser.picked_at > _FORGOTTEN:
                chosen = loser
        elif choices:
            chosen = choices[0]
        else:
            raise no_available_node()
        # As Ewma.begin, and as a pick would begin itself: calls are most of what a pick costs.
        pick = _TimedPick()
        pick.node = chosen.node
        pick.record = chosen
        pick.start = now
        chosen.picked_at = now
        chosen.in_flight += 1
        if len(chosen.starts) < TRACKED:
            chosen.starts[pick] = now
        return pick


class _Record(Ewma):
    """What is known of a node, the node, and what all picks have in common."""

    __slots__ = ("node", "reports")

    node: Node

    def __init__(self, reports: _Reports) -> None:
        super().__init__()
        self.reports = reports


class _Reports(Counter):
    """The time, and the reports that came after the first of their pick."""

    __slots__ = ("now",)

    def __init__(self, now: Now) -> None:
        super().__init__()
        self.now = now


class _TimedPick:
    __slots__ = ("node", "record", "start")

    node: Node
    record: _Record
    start: int | None

    def done(self, outcome: Outcome, /) -> None:
        start, record = self.start, self.record
        if start is None:
            record.reports.late += 1
            return
        self.start = None
        record.end(self, start, record.reports.now(), outcome)


def build() -> Selector:
    """Return a fresh selector (the plug-in ``p2c``)."""
    return PowerOfTwoChoices()
