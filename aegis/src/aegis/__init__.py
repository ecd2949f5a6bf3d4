"""Algorithms that keep services alive, without dependencies: back-off, subsetting, hashing."""

from aegis.backoff import Backoff, Jitter
from aegis.ring import Ring, RingAlgorithm
from aegis.subset import Subsetter, subset

__all__ = ["Backoff", "Jitter", "Ring", "RingAlgorithm", "Subsetter", "subset"]
