"""Algorithms of availability, ours and those of other packages, in nanoseconds per call."""

from benchmarks.aegis.run import measured

__all__ = ["measured"]
