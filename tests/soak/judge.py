"""Whether a process under load keeps to its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["ALLOWED", "Sample", "growth", "troubles"]

ALLOWED: Final = 4 << 20
"""Bytes by which memory may grow from the middle to the end: less than an allocator's own moods,
and under load less than 100 bytes for each call after a few seconds, 2 after some minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A process at one moment.

    Attributes:
        at: Seconds since the load began; negative before.
        rss: Bytes of memory.
        fds: Open file descriptors.
        tasks: Tasks of its loop.
    """

    at: float
    rss: int
    fds: int
    tasks: int


def growth(samples: Sequence[Sample]) -> float:
    """Return by how many bytes memory grew over the second half, by a line of least squares."""
    middle = (samples[0].at + samples[-1].at) / 2
    half = [sample for sample in samples if sample.at >= middle]
    mean_at = sum(sample.at for sample in half) / len(half)
    mean_rss = sum(sample.rss for sample in half) / len(half)
    spread = sum((sample.at - mean_at) ** 2 for sample in half)
    if not spread:
        return 0.0
    slope = sum((sample.at - mean_at) * (sample.rss - mean_rss) for sample in half) / spread
    return slope * (half[-1].at - half[0].at)


def troubles(before: Sample, during: Sequence[Sample], after: Sample) -> list[str]:
    """Return what is wrong with a process, in words."""
    found: list[str] = []
    grown = growth(during)
    if grown > ALLOWED:
        found.append(f"memory grew by {grown / (1 << 20):.1f} MiB in the second half")
    if after.fds > before.fds:
        found.append(f"{after.fds - before.fds} file descriptors stay open")
    if after.tasks > before.tasks:
        found.append(f"{after.tasks - before.tasks} tasks do not end")
    return found
