"""Leave out nodes that do worse than the others (Envoy: outlier detection; gRPC proposal A50)."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.selector._candidates import narrow, no_available_node, unique
from kratos.selector._pick import Counter, SinglePick
from kratos.selector._record import OutlierRules, Record
from kratos.selector._time import nanoseconds
from kratos.selector.node import Node, NodeFilter
from kratos.selector.outcome import Outcome, OutcomeKind
from kratos.selector.selector import Pick, Selector
from kratos.transport.method import Arity

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["Ejected", "OutlierEjection"]

_SECOND: Final = 1e9  # nanoseconds
_JITTER: Final = 0.1  # of an ejection, so that clients do not all probe at once

_log = logging.getLogger("kratos.client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ejected:
    """A node that is left out.

    Attributes:
        address: Which.
        why: What for.
        remaining: Seconds until a call may try it; 0 when one may.
        times: Which ejection of late this is, from 1.
    """

    address: str
    why: str
    remaining: float
    times: int


class OutlierEjection:
    """Takes nodes that fail or are slow out of the set, for a time, under any strategy.

    The strategy sees the other nodes alone, so a pick costs the same. A node is taken out

    * at the ``consecutive``-th failure in a row, at once;
    * at the end of an ``interval`` in which ``failure_rate`` of its calls or more failed, and
      twice as many as of the node in the middle: if all fail, it is not the node;
    * at the end of one in which its unary calls took ``slower`` times as long in the mean as
      those of the node in the middle, and ``slower_by`` seconds more.

    The last two need ``min_calls`` of the node in the interval. What is a failure, the client
    says: codes 500, 503, 504, lost connections, deadlines; calls that were cancelled say nothing.

    The first ejection lasts ``ejection_time``, the n-th n times that, up to
    ``max_ejection_time``; each interval without one takes 1 off n. Then a single call tries the
    node: it returns if that ends well, and is out again if not; another one tries it if that one
    has not ended after ``ejection_time``, as streams may not. At most ``max_share`` of the
    nodes are out, but always one may be where there are two. A call for which the filters leave
    none but such nodes goes to one of them.

    Source: Envoy, "Outlier detection"; gRPC proposal A50. The single call is ours: there, a node
    returns unproven. So is the comparison with the middle, where they have standard deviations,
    which one bad node among few enlarges so much that it is within them.

    Args:
        selector: The strategy.
        consecutive: Failures in a row, at least 1; ``None`` to look at none.
        failure_rate: Share of the calls, more than 0 and at most 1; ``None`` to look at none.
        slower: Times the usual latency, more than 1; ``None`` not to look at latency.
        slower_by: Seconds, at least 0.
        min_calls: Calls in an interval, at least 1.
        interval: Seconds; more than 0.
        ejection_time: Seconds; more than 0.
        max_ejection_time: Seconds; at least ``ejection_time``.
        max_share: More than 0 and at most 1.
        clock: Time.
        random: Gives numbers of [0, 1), for up to a tenth more of each ejection.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        selector: Selector,
        *,
        consecutive: int | None = 5,
        failure_rate: float | None = 0.5,
        slower: float | None = 5.0,
        slower_by: float = 0.01,
        min_calls: int = 20,
        interval: float = 10.0,
        ejection_time: float = 30.0,
        max_ejection_time: float = 300.0,
        max_share: float = 0.3,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
    ) -> None:
        _check("consecutive", consecutive, fits=consecutive is None or consecutive >= 1)
        _check("failure_rate", failure_rate, fits=failure_rate is None or 0 < failure_rate <= 1)
        _check("slower", slower, fits=slower is None or 1 < slower < inf)
        _check("slower_by", slower_by, fits=0 <= slower_by < inf)
        _check("min_calls", min_calls, fits=min_calls >= 1)
        _check("interval", interval, fits=0 < interval < inf)
        _check("ejection_time", ejection_time, fits=0 < ejection_time < inf)
        longest = max_ejection_time
        _check("max_ejection_time", longest, fits=ejection_time <= longest < inf)
        _check("max_share", max_share, fits=0 < max_share <= 1)
        self._inner = selector
        self._rules = OutlierRules(
            consecutive=consecutive,
            failure_rate=failure_rate,
            slower=slower,
            slower_by=slower_by,
            min_calls=min_calls,
        )
        self._interval = int(interval * _SECOND)
        self._ejection_time = ejection_time * _SECOND
        self._max_ejection_time = longest * _SECOND
        self._max_share = max_share
        self._now = nanoseconds(clock)
        self._random = random
        self._counter = Counter()
        self._nodes: dict[str, Node] = {}
        self._records: dict[str, Record] = {}
        self._ejected: dict[str, Node] = {}
        self._probe_at: float = inf
        self._interval_ends = self._now() + self._interval

    @property
    def late_reports(self) -> int:
        """How many reports came after the first of their pick."""
        return self._counter.late

    @property
    def ejected(self) -> tuple[Ejected, ...]:
        """The nodes that are left out now."""
        now = self._now()
        return tuple(
            Ejected(
                address=address,
                why=record.why,
                remaining=max(0.0, ((record.until or now) - now) / _SECOND),
                times=record.times,
            )
            for address, record in self._records.items()
            if address in self._ejected
        )

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes; see ``Selector``. One that another instance runs is new."""
        old, self._nodes = self._nodes, unique(nodes)
        self._records = {
            address: self._records[address]
            if address in old and old[address].id == node.id
            else Record(address)
            for address, node in self._nodes.items()
        }
        out = [address for address, record in self._records.items() if record.until is not None]
        out.sort(key=lambda address: self._records[address].until or 0)
        for address in out[: max(0, len(out) - self._most())]:
            self._records[address].until = None  # they would be too many of the new set
        self._admit()

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick as the strategy does, among the nodes that are not left out."""
        now = self._now()
        if now >= self._probe_at:
            address = self._due(call, now, filters, avoid)
            if address is not None:
                return self._trial(address, now)
        try:
            pick = self._inner.select(call, filters=filters, avoid=avoid)
        except Error as error:
            if not self._ejected or not no_available_node().matches(error):
                raise
            addresses = narrow(call, self._ejected, filters=filters, avoid=avoid)
            node = self._ejected[addresses[int(self._random() * len(addresses))]]
            pick = SinglePick(node, self._counter)
        return self._watched(pick, call, now)

    def _watched(self, pick: Pick, call: Call, now: int) -> Pick:
        timed = call.method.arity is Arity.UNARY
        record = self._records[pick.node.address]
        start = now if timed else None
        return _WatchedPick(pick, record, start, report=self._report, counter=self._counter)

    def _report(self, record: Record, outcome: Outcome, start: int | None) -> None:
        """Learn from the end of a call; of a stream, which has no ``start``, no latency."""
        if self._records.get(record.address) is not record:
            return  # its node has left
        now = self._now()
        if now >= self._interval_ends:
            self._end_interval(now)
        if record.until is not None or outcome.kind is OutcomeKind.CANCELLED:
            return
        record.calls += 1
        if outcome.kind is OutcomeKind.FAILURE:
            record.failures += 1
            record.row += 1
            why = self._rules.of_row(record)
            if why:
                self._eject({record: why}, now)
        else:
            record.row = 0
            if start is not None:
                record.timed += 1
                record.seconds += (now - start) / _SECOND

    def _end_interval(self, now: int) -> None:
        # Calls are few if that is noticed so late, and what they said is no news.
        fresh = now < self._interval_ends + self._interval
        self._interval_ends = now + self._interval
        if fresh:
            admitted = [record for record in self._records.values() if record.until is None]
            self._eject(self._rules.of_interval(admitted), now)
        for record in self._records.values():
            if record.until is None:
                record.times = max(0, record.times - 1)
            record.begin()

    def _eject(self, found: Mapping[Record, str], now: int) -> None:
        """Leave nodes out, as far as that many may be."""
        room = self._most() - len(self._ejected)
        chosen = list(found.items())[: max(0, room)]
        for record, why in chosen:
            self._leave_out(record, why, now)
        if chosen:
            self._admit()

    def _leave_out(self, record: Record, why: str, now: int) -> None:
        record.times += 1
        time = min(self._ejection_time * record.times, self._max_ejection_time)
        record.until = now + int(time * (1 + _JITTER * self._random()))
        record.why = why
        record.row = 0
        _log.warning("%s is left out for %.0f s: %s", record.address, time / _SECOND, why)

    def _trial(self, address: str, now: int) -> Pick:
        """Return a pick that tries an ejected node."""
        record = self._records[address]
        record.until = now + int(self._ejection_time)  # for another, should this one take long
        self._schedule()
        pick = SinglePick(self._nodes[address], self._counter)
        return _WatchedPick(pick, record, None, report=self._tried, counter=self._counter)

    def _tried(self, record: Record, outcome: Outcome, _start: int | None) -> None:
        """Judge an ejected node by the call that tried it."""
        if self._records.get(record.address) is not record or record.until is None:
            return
        if outcome.kind is OutcomeKind.SUCCESS:
            record.until = None
            record.begin()
            _log.info("%s is back in use", record.address)
            self._admit()
        elif outcome.kind is OutcomeKind.FAILURE:
            self._leave_out(record, "the call that tried it failed", self._now())
            self._schedule()
        else:
            record.until = self._now()
            self._schedule()

    def _due(
        self, call: Call, now: int, filters: Sequence[NodeFilter], avoid: Collection[str]
    ) -> str | None:
        """Return the address of an ejected node that a call may try."""
        for address, node in self._ejected.items():
            record = self._records[address]
            if (record.until or 0) > now or address in avoid:
                continue
            try:
                narrow(call, {address: node}, filters=filters, avoid=())
            except Error:
                continue
            return address
        return None

    def _most(self) -> int:
        """Return how many nodes may be out."""
        known = len(self._nodes)
        return max(1, int(known * self._max_share)) if known > 1 else 0

    def _admit(self) -> None:
        """Give the strategy the nodes that are in use."""
        records = self._records
        self._ejected = {
            address: node
            for address, node in self._nodes.items()
            if records[address].until is not None
        }
        self._inner.apply([n for a, n in self._nodes.items() if a not in self._ejected])
        self._schedule()

    def _schedule(self) -> None:
        """Note when the next ejected node may be tried."""
        ends = [each.until for each in self._records.values() if each.until is not None]
        self._probe_at = min(ends, default=inf)


class _WatchedPick(SinglePick):
    __slots__ = ("_pick", "_record", "_report", "_start")

    def __init__(
        self,
        pick: Pick,
        record: Record,
        start: int | None,
        *,
        report: Callable[[Record, Outcome, int | None], None],
        counter: Counter,
    ) -> None:
        super().__init__(pick.node, counter)
        self._pick = pick
        self._record = record
        self._report = report
        self._start = start

    def _end(self, outcome: Outcome) -> None:
        self._pick.done(outcome)
        self._report(self._record, outcome, self._start)


def _check(name: str, value: object, *, fits: bool) -> None:
    if not fits:
        raise ConfigError(f"{name}={value!r} is out of range for the ejection of outliers")
