"""Ours: the plain forms are ``kratos``, since middleware uses those; others are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from aegis import (
    Guarded,
    HeavyKeeper,
    Outcome,
    RetryBudget,
    RetryPolicy,
    retry,
    retry_blocking,
)
from aegis.circuitbreaker import SreBreaker, WindowBreaker
from aegis.concurrency import Bbr, Bulkhead, FixedLimit, Gradient2, Vegas
from aegis.ratelimit import (
    KeyedFixedWindow,
    KeyedGcra,
    KeyedSlidingWindow,
    KeyedTokenBucket,
    TokenBucket,
)
from aegis.refusal import BreakerOpen
from benchmarks.aegis.case import Kept, Loop, Timed, awaited, called, empty, empty_later, keyed
from benchmarks.aegis.zipf import ZIPF

_SUCCESS = Outcome.SUCCESS
_FAILURE = Outcome.FAILURE
_MANY = 10**6  # calls a second, so that none is refused

Keyed: TypeAlias = KeyedGcra | KeyedFixedWindow | KeyedSlidingWindow


def _plain(guard: Guarded, outcome: Outcome = _SUCCESS) -> Loop:
    allow, done = guard.allow, guard.done

    def loop(n: int) -> None:
        for _ in range(n):
            token = allow()
            if token is not None:
                done(token, outcome)

    return loop


def _with(guard: Guarded) -> Loop:
    def loop(n: int) -> None:
        for _ in range(n):
            with guard.guard():
                pass

    return loop


def _async_with(guard: Guarded) -> Loop:
    async def loop(n: int) -> None:
        for _ in range(n):
            async with guard.guard():
                pass

    return loop


def _rejecting() -> Loop:
    breaker = SreBreaker()
    for _ in range(10_000):
        token = breaker.allow()
        if token is not None:
            breaker.done(token, _FAILURE)
    return _plain(breaker, _FAILURE)


def _rejecting_with() -> Loop:
    breaker = WindowBreaker()
    breaker.force_open()

    def loop(n: int) -> None:
        for _ in range(n):
            try:
                with breaker.guard():
                    pass
            except BreakerOpen:
                continue

    return loop


def loops() -> Iterable[Timed]:
    yield Timed("breaker", "kratos", _plain(SreBreaker()))
    yield Timed("breaker", "kratos locked", _plain(SreBreaker(threadsafe=True)))
    yield Timed("breaker", "kratos window", _plain(WindowBreaker()))
    yield Timed("breaker-decorated", "kratos", called(SreBreaker().guard()(empty)))
    yield Timed("breaker-with", "kratos", _with(SreBreaker()))
    yield Timed("breaker-async", "kratos", awaited(SreBreaker().guard()(empty_later)))
    yield Timed("breaker-async-with", "kratos", _async_with(SreBreaker()))
    yield Timed("breaker-rejecting", "kratos", _rejecting())
    yield Timed("breaker-rejecting", "kratos with", _rejecting_with())
    yield Timed("bbr", "kratos", _plain(Bbr(load=lambda: 0.5)))
    yield Timed("bbr", "kratos loaded", _plain(Bbr(load=lambda: 0.99)))
    yield Timed("concurrency", "kratos", _plain(FixedLimit(100)))
    yield Timed("concurrency", "kratos Gradient2", _plain(Gradient2()))
    yield Timed("concurrency", "kratos Vegas", _plain(Vegas()))
    yield Timed("concurrency", "kratos bulkhead", _plain(Bulkhead(100)))
    yield Timed("concurrency-async", "kratos", _async_with(FixedLimit(100)))
    yield Timed("concurrency-async", "kratos Gradient2", _async_with(Gradient2()))
    yield Timed("concurrency-async", "kratos bulkhead", _async_with(Bulkhead(100)))
    yield Timed("gcra", "kratos", keyed(KeyedGcra(rate=_MANY, burst=_MANY).allow))
    yield Timed("token-bucket", "kratos", keyed(KeyedTokenBucket(rate=_MANY, burst=_MANY).allow))
    yield Timed("fixed-window", "kratos", keyed(KeyedFixedWindow(limit=_MANY, window=1.0).allow))
    sliding = KeyedSlidingWindow(limit=_MANY, window=1.0)
    yield Timed("sliding-window", "kratos", keyed(sliding.allow))
    yield Timed("token-bucket-async", "kratos", _waited())
    policy, within = RetryPolicy(), RetryPolicy(budget=RetryBudget())
    yield Timed("retry", "kratos", called(lambda: retry_blocking(policy, empty)))
    yield Timed("retry-async", "kratos", awaited(lambda: retry(policy, empty_later)))
    yield Timed("retry-async", "kratos budget", awaited(lambda: retry(within, empty_later)))
    yield Timed("topk", "kratos", keyed(HeavyKeeper(100).add, ZIPF))
    yield Timed("topk", "kratos exact", keyed(HeavyKeeper(100, exact=True).add, ZIPF))


def _waited() -> Loop:
    bucket = TokenBucket(rate=10**9, burst=10**9)

    async def loop(n: int) -> None:
        for _ in range(n):
            await bucket.wait()

    return loop


def _each(make: Callable[[], object]) -> Callable[[Sequence[str]], object]:
    return lambda keys: {key: make() for key in keys}


def _allowed(make: Callable[[], Keyed]) -> Callable[[Sequence[str]], object]:
    def fill(keys: Sequence[str]) -> object:
        limiter = make()
        for key in keys:
            limiter.allow(key)
        return limiter

    return fill


def keepers() -> Iterable[Kept]:
    yield Kept("memory-limiter", "kratos", _allowed(lambda: KeyedGcra(rate=0.1, burst=100)))
    windows = _allowed(lambda: KeyedFixedWindow(limit=100, window=60.0))
    yield Kept("memory-limiter", "kratos fixed window", windows)
    yield Kept("memory-breaker", "kratos", _each(SreBreaker))
    yield Kept("memory-breaker", "kratos window", _each(WindowBreaker))
