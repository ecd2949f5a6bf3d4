"""Algorithms that keep services alive, without dependencies."""

from aegis.backoff import Backoff, Jitter
from aegis.circuitbreaker import BreakerState, SreBreaker, WindowBreaker
from aegis.clock import Clock, ManualClock
from aegis.concurrency import AdaptiveLimit, Aimd, FixedLimit, Gradient2, LimitStats, Vegas
from aegis.group import Group
from aegis.guard import Admission, Guard, Guarded
from aegis.outcome import Classify, Outcome, outcome_of
from aegis.refusal import BreakerOpen, Overloaded, RateExceeded, Refused
from aegis.ring import Ring, RingAlgorithm
from aegis.subset import Subsetter, subset

__all__ = [
    "AdaptiveLimit",
    "Admission",
    "Aimd",
    "Backoff",
    "BreakerOpen",
    "BreakerState",
    "Classify",
    "Clock",
    "FixedLimit",
    "Gradient2",
    "Group",
    "Guard",
    "Guarded",
    "Jitter",
    "LimitStats",
    "ManualClock",
    "Outcome",
    "Overloaded",
    "RateExceeded",
    "Refused",
    "Ring",
    "RingAlgorithm",
    "SreBreaker",
    "Subsetter",
    "Vegas",
    "WindowBreaker",
    "outcome_of",
    "subset",
]
