"""Limits of how many calls run at a time: adaptive ones, fixed ones, and by priority."""

from aegis.concurrency._limit import AdaptiveLimit, LimitStats
from aegis.concurrency.aimd import Aimd
from aegis.concurrency.fixed import FixedLimit
from aegis.concurrency.gradient2 import Gradient2
from aegis.concurrency.vegas import Vegas

__all__ = ["AdaptiveLimit", "Aimd", "FixedLimit", "Gradient2", "LimitStats", "Vegas"]
