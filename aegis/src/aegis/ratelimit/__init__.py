"""Limiters of rates: how many calls, or how much of anything, within a time.

All decide on the spot, in one process; without keys or, named ``Keyed...``, for each key by itself.
"""

from aegis.ratelimit.decision import Decision, KeyedStats, RateStats
from aegis.ratelimit.fixed_window import FixedWindow, KeyedFixedWindow
from aegis.ratelimit.gcra import Gcra, KeyedGcra
from aegis.ratelimit.sliding_window import KeyedSlidingWindow, SlidingWindow
from aegis.ratelimit.token_bucket import KeyedTokenBucket, TokenBucket

__all__ = [
    "Decision",
    "FixedWindow",
    "Gcra",
    "KeyedFixedWindow",
    "KeyedGcra",
    "KeyedSlidingWindow",
    "KeyedStats",
    "KeyedTokenBucket",
    "RateStats",
    "SlidingWindow",
    "TokenBucket",
]
