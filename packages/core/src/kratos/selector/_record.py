"""What is held against a node, and when that makes it an outlier."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from statistics import median
from typing import Final

__all__ = ["OutlierRules", "Record"]

_NODES_TO_COMPARE: Final = 3  # with fewer, a median is one of those compared
_WORSE: Final = 2.0  # times the usual rate of failures: it is this node, not the service


class Record:
    """One node's calls in the present interval, and its ejection.

    Attributes:
        address: Of the node.
        row: Failures since the last success.
        calls: Calls that ended in this interval, well or not.
        failures: How many of them failed.
        timed: How many of them have their time in ``seconds``.
        seconds: Time that those took.
        until: When a call may try it, in nanoseconds; ``None`` while it is in use.
        why: What it was ejected for.
        times: Ejections of late, which make the next one longer.
    """

    __slots__ = (
        "address", "calls", "failures", "row", "seconds", "timed", "times", "until",
        "why",
    )  # fmt: skip

    def __init__(self, address: str) -> None:
        self.address = address
        self.until: int | None = None
        self.why = ""
        self.times = 0
        self.row = 0
        self.begin()

    def begin(self) -> None:
        """Begin an interval."""
        self.calls = 0
        self.failures = 0
        self.timed = 0
        self.seconds = 0.0

    @property
    def failure_rate(self) -> float:
        """Share of the calls of this interval that failed."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def mean(self) -> float:
        """Mean seconds of the calls that were answered."""
        return self.seconds / self.timed if self.timed else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierRules:
    """When a node is an outlier; see ``OutlierEjection``."""

    consecutive: int | None
    failure_rate: float | None
    slower: float | None
    slower_by: float
    min_calls: int

    def of_row(self, record: Record) -> str:
        """Tell what the newest failure makes of a node; empty for nothing."""
        if self.consecutive is not None and record.row >= self.consecutive:
            return f"failures in a row: {record.row}"
        return ""

    def of_interval(self, records: Collection[Record]) -> dict[Record, str]:
        """Tell which nodes an interval makes outliers, and why; the worst first."""
        found: dict[Record, str] = {}
        known = [record for record in records if record.calls >= self.min_calls]
        if self.failure_rate is not None:
            usual = median([record.failure_rate for record in known]) if known else 0.0
            least = max(self.failure_rate, _WORSE * usual)
            for record in sorted(known, key=lambda each: -each.failure_rate):
                if record.failure_rate >= least:
                    found[record] = f"{record.failures} of {record.calls} calls failed"
        timed = [record for record in records if record.timed >= self.min_calls]
        if self.slower is not None and len(timed) >= _NODES_TO_COMPARE:
            usual = median([record.mean for record in timed])
            least = max(self.slower * usual, usual + self.slower_by)
            for record in sorted(timed, key=lambda each: -each.mean):
                if record.mean >= least:
                    told = f"{record.mean:.3f} s a call, where {usual:.3f} s are usual"
                    found.setdefault(record, told)
        return found
