"""Algorithms that keep services alive, without dependencies."""

from aegis.backoff import Backoff, Jitter
from aegis.budget import Budget, RetryBudget, TokenRetryBudget
from aegis.circuitbreaker import BreakerState, SreBreaker, WindowBreaker
from aegis.clock import Clock, ManualClock
from aegis.concurrency import (
    AdaptiveLimit,
    Aimd,
    Bbr,
    BbrStats,
    Bulkhead,
    BulkheadStats,
    CpuLoad,
    FixedLimit,
    Gradient2,
    LimitStats,
    LoadSignal,
    LoopLag,
    Priority,
    Shedder,
    ShedderStats,
    Vegas,
    cpu_load,
    highest,
)
from aegis.group import Group
from aegis.guard import Admission, Guard, Guarded
from aegis.hedge import HedgePolicy, hedged
from aegis.hotkey import CacheRule, HeavyKeeper, HotKey, HotKeyCache
from aegis.outcome import Classify, Outcome, outcome_of
from aegis.quantile import LatencyQuantile
from aegis.ratelimit import (
    Decision,
    FixedWindow,
    Gcra,
    KeyedFixedWindow,
    KeyedGcra,
    KeyedSlidingWindow,
    KeyedTokenBucket,
    SlidingWindow,
    TokenBucket,
)
from aegis.refusal import BreakerOpen, Overloaded, RateExceeded, Refused
from aegis.retry import RetryPolicy, retry, retry_blocking
from aegis.ring import Ring, RingAlgorithm
from aegis.rounds import RoundSubsetter
from aegis.subset import Subsetter, subset

__all__ = [
    "AdaptiveLimit",
    "Admission",
    "Aimd",
    "Backoff",
    "Bbr",
    "BbrStats",
    "BreakerOpen",
    "BreakerState",
    "Budget",
    "Bulkhead",
    "BulkheadStats",
    "CacheRule",
    "Classify",
    "Clock",
    "CpuLoad",
    "Decision",
    "FixedLimit",
    "FixedWindow",
    "Gcra",
    "Gradient2",
    "Group",
    "Guard",
    "Guarded",
    "HeavyKeeper",
    "HedgePolicy",
    "HotKey",
    "HotKeyCache",
    "Jitter",
    "KeyedFixedWindow",
    "KeyedGcra",
    "KeyedSlidingWindow",
    "KeyedTokenBucket",
    "LatencyQuantile",
    "LimitStats",
    "LoadSignal",
    "LoopLag",
    "ManualClock",
    "Outcome",
    "Overloaded",
    "Priority",
    "RateExceeded",
    "Refused",
    "RetryBudget",
    "RetryPolicy",
    "Ring",
    "RingAlgorithm",
    "RoundSubsetter",
    "Shedder",
    "ShedderStats",
    "SlidingWindow",
    "SreBreaker",
    "Subsetter",
    "TokenBucket",
    "TokenRetryBudget",
    "Vegas",
    "WindowBreaker",
    "cpu_load",
    "hedged",
    "highest",
    "outcome_of",
    "retry",
    "retry_blocking",
    "subset",
]
