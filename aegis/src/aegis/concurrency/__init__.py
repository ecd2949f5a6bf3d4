"""Limits of how many calls run at a time: adaptive ones, fixed ones, and by priority."""

from aegis.concurrency._limit import AdaptiveLimit, LimitStats
from aegis.concurrency.aimd import Aimd
from aegis.concurrency.bbr import Bbr, BbrStats
from aegis.concurrency.bulkhead import Bulkhead, BulkheadStats
from aegis.concurrency.fixed import FixedLimit
from aegis.concurrency.gradient2 import Gradient2
from aegis.concurrency.load import CpuLoad, LoadSignal, cpu_load, highest
from aegis.concurrency.loop_lag import LoopLag
from aegis.concurrency.shedder import Priority, Shedder, ShedderStats
from aegis.concurrency.vegas import Vegas

__all__ = [
    "AdaptiveLimit",
    "Aimd",
    "Bbr",
    "BbrStats",
    "Bulkhead",
    "BulkheadStats",
    "CpuLoad",
    "FixedLimit",
    "Gradient2",
    "LimitStats",
    "LoadSignal",
    "LoopLag",
    "Priority",
    "Shedder",
    "ShedderStats",
    "Vegas",
    "cpu_load",
    "highest",
]
