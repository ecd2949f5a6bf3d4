"""Servers of which more is asked than they can do: what they still do, and how soon.

Server, sockets and load are real. Calls come in an open loop: some seconds at half of the server's
capacity, then, and only that counts, at a multiple of it. Where ``wrk`` or ``ghz`` is installed, or
named by ``KRATOS_WRK`` or ``KRATOS_GHZ``, a server of each kind is loaded by it too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.load_open import Opened, Tally, drive_closed, drive_open, over_grpc, over_http
from benchmarks.load_tools import tool_for
from benchmarks.measure import Subject, serving

__all__ = ["show"]

_WORK: Final = ("computes", "waits")
_PROTECTIONS: Final = ("none", "bbr", "gradient2", "shedder")
_TRANSPORTS: Final[dict[str, Opened]] = {"http": over_http, "grpc": over_grpc}
_MULTIPLES: Final = {"2x": 2, "5x": 5}
_IN_FLIGHT: Final = 8  # as many as the back end of ``waits`` does at a time


@dataclass(frozen=True, slots=True)
class _Row:
    work: str
    transport: str
    load: str
    protection: str
    capacity: float
    tally: Tally

    def shown(self) -> str:
        tally = self.tally
        known = bool(tally.latencies)
        p50, p99 = (f"{tally.percentile(p) * 1000:.0f}" if known else "" for p in (50, 99))
        return (
            f"{self.work:9} {self.transport:9} {self.load:20} {self.protection:10} "
            f"{tally.goodput:9.0f} {tally.goodput / self.capacity:9.2f} "
            f"{tally.share(tally.refused):8.0%} {tally.share(tally.late + tally.failed):8.0%} "
            f"{p50:>7} {p99:>7}"
        )

    def as_json(self) -> str:
        tally = self.tally
        return json.dumps(
            {
                "bench": "overload",
                "work": self.work,
                "transport": self.transport,
                "load": self.load,
                "protection": self.protection,
                "capacity": round(self.capacity, 1),
                "goodput": round(tally.goodput, 1),
                "refused": round(tally.share(tally.refused), 4),
                "lost": round(tally.share(tally.late + tally.failed), 4),
                "p50_ms": round(tally.percentile(50) * 1000, 1) if tally.latencies else None,
                "p99_ms": round(tally.percentile(99) * 1000, 1) if tally.latencies else None,
            }
        )


_HEAD: Final = (
    f"{'work':9} {'transport':9} {'load':20} {'protection':10} {'goodput/s':>9} {'of cap.':>9} "
    f"{'refused':>8} {'lost':>8} {'p50 ms':>7} {'p99 ms':>7}"
)


def show(
    *, seconds: float, path: Sequence[Path], as_json: bool, only: Collection[str] = ()
) -> None:
    """Print a row for each work, transport, load and protection, as soon as it is known.

    Args:
        seconds: That count, for each row.
        path: For the servers to import from.
        as_json: Whether rows are JSON.
        only: Works, transports, loads and protections to choose; where none is, all are.
    """
    if not as_json:
        print(_HEAD)
    for row in _rows(seconds, path, only):
        print(row.as_json() if as_json else row.shown(), flush=True)


def _rows(seconds: float, path: Sequence[Path], only: Collection[str]) -> Iterator[_Row]:
    protections = _chosen(_PROTECTIONS, only)
    loads = _chosen(("2x", "5x", "tool"), only)
    for work in _chosen(_WORK, only):
        for transport in _chosen(tuple(_TRANSPORTS), only):
            opened = _TRANSPORTS[transport]
            with serving(_subject(transport, work, "none"), path) as address:
                capacity = drive_closed(opened, address, calls=_IN_FLIGHT, seconds=seconds)
            tool = tool_for(transport)
            for load in loads:
                if load == "tool":
                    continue
                rate = capacity * _MULTIPLES[load]
                for protection in protections:
                    with serving(_subject(transport, work, protection), path) as address:
                        tally = drive_open(
                            opened, address, before=capacity / 2, rate=rate, seconds=seconds
                        )
                    yield _Row(work, transport, load, protection, capacity, tally)
            for protection in protections if tool and "tool" in loads else ():
                assert tool is not None
                with serving(_subject(transport, work, protection), path) as address:
                    tally = tool.drive(address, capacity * _MULTIPLES["5x"], seconds)
                yield _Row(work, transport, tool.name, protection, capacity, tally)


def _chosen(every: Sequence[str], only: Collection[str]) -> Sequence[str]:
    return [one for one in every if one in only] or every


def _subject(transport: str, work: str, protection: str) -> Subject:
    options = (transport, work, protection)
    return Subject(name=protection, module="benchmarks.subjects.overloaded", options=options)
