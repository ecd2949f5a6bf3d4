"""What all four algorithms promise, whatever they count."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import ManualClock, RateExceeded
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
from aegis.ratelimit.keyed import Keyed
from aegis.ratelimit.single import Single

LIMIT = 5


RATE: dict[str, Any] = {"rate": 0.5, "burst": LIMIT}
WINDOW: dict[str, Any] = {"limit": LIMIT, "window": 10.0}

PLAIN: dict[str, Callable[[ManualClock], Single]] = {
    "token bucket": lambda clock: TokenBucket(**RATE, clock=clock),
    "gcra": lambda clock: Gcra(**RATE, clock=clock),
    "sliding window": lambda clock: SlidingWindow(**WINDOW, clock=clock),
    "fixed window": lambda clock: FixedWindow(**WINDOW, clock=clock),
}
KEYED: dict[str, Callable[[ManualClock], Keyed]] = {
    "token bucket": lambda clock: KeyedTokenBucket(**RATE, clock=clock, capacity=7),
    "gcra": lambda clock: KeyedGcra(**RATE, clock=clock, capacity=7),
    "sliding window": lambda clock: KeyedSlidingWindow(**WINDOW, clock=clock, capacity=7),
    "fixed window": lambda clock: KeyedFixedWindow(**WINDOW, clock=clock, capacity=7),
}

every_algorithm = pytest.mark.parametrize("name", PLAIN)

steps = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(-15, 25).map(lambda seconds: round(seconds, 3))),
        st.integers(1, LIMIT + 1),
    ),
    max_size=40,
)


@every_algorithm
def test_whole_limit_is_to_be_had_at_once_and_no_more(name: str) -> None:
    limiter = PLAIN[name](ManualClock())

    assert [limiter.allow() for _ in range(LIMIT + 2)] == [True] * LIMIT + [False] * 2


@every_algorithm
def test_limiter_is_full_again_after_a_long_time(name: str) -> None:
    clock = ManualClock()
    limiter = PLAIN[name](clock)
    limiter.allow(LIMIT)

    clock.advance(1e6)

    assert limiter.peek() == Decision(True, LIMIT, LIMIT, 0.0, 0.0)


@every_algorithm
def test_more_than_the_limit_is_refused_at_no_charge(name: str) -> None:
    limiter = PLAIN[name](ManualClock())

    assert limiter.allow(LIMIT + 1) is False
    assert limiter.take(LIMIT + 1) == Decision(False, LIMIT, LIMIT, inf, 0.0)
    assert limiter.allow(LIMIT) is True


@every_algorithm
@pytest.mark.parametrize("n", [0, -1, 1.5, inf])
def test_permits_are_whole_and_at_least_one(name: str, n: Any) -> None:
    limiter = PLAIN[name](ManualClock())

    for call in (limiter.allow, limiter.take, limiter.peek, limiter.guard):
        with pytest.raises(ValueError, match=rf"n must be .*at least 1, got {n}"):
            call(n)
    assert limiter.peek().remaining == LIMIT


@every_algorithm
def test_float_does_not_blur_the_count_at_a_late_time(name: str) -> None:
    limiter = PLAIN[name](ManualClock(1 << 70))  # where a float knows no seconds
    permits: Any = 1.0
    taken = 0

    for _ in range(3 * LIMIT):
        try:
            taken += limiter.allow(permits)
        except ValueError:
            taken += limiter.allow()

    assert taken == LIMIT


@every_algorithm
@given(steps=steps)
def test_decision_tells_exactly_when_the_call_will_be_allowed(
    name: str, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    limiter = PLAIN[name](clock)
    for seconds, n in steps:
        clock.advance(seconds)
        told = limiter.peek(n)
        decision = limiter.take(n)
        assert (decision.allowed, decision.retry_after) == (told.allowed, told.retry_after)
        assert decision.allowed == (decision.retry_after == 0)
        if 0 < decision.retry_after < inf:
            wait = round(decision.retry_after * 1e9)
            clock.now += wait - 1
            assert not limiter.peek(n).allowed
            clock.now += 1
            assert limiter.peek(n).allowed


@every_algorithm
@given(steps=steps)
def test_remaining_permits_are_to_be_had_and_no_more(
    name: str, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    limiter = PLAIN[name](clock)
    for seconds, n in steps:
        clock.advance(seconds)
        decision = limiter.take(n)
        assert 0 <= decision.remaining <= decision.limit == LIMIT
        assert not limiter.peek(decision.remaining + 1).allowed
        if decision.remaining:
            assert limiter.peek(decision.remaining).allowed


@every_algorithm
@given(steps=steps)
def test_reset_is_the_moment_at_which_everything_is_to_be_had(
    name: str, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    limiter = PLAIN[name](clock)
    for seconds, n in steps:
        clock.advance(seconds)
        reset_after = limiter.take(n).reset_after
        if reset_after:
            clock.now += round(reset_after * 1e9) - 1
            assert limiter.peek().reset_after > 0
            clock.now += 1
        decision = limiter.peek()
        assert (decision.remaining, decision.reset_after) == (LIMIT, 0)


@every_algorithm
@given(steps=st.lists(st.tuples(st.integers(0, 4), st.floats(-15, 25), st.integers(1, LIMIT + 1))))
def test_keyed_limiter_is_a_dictionary_of_plain_ones(
    name: str, steps: list[tuple[int, float, int]]
) -> None:
    clock = ManualClock()
    keyed = KEYED[name](clock)
    plain = [PLAIN[name](clock) for _ in range(5)]
    for key, seconds, n in steps:
        clock.advance(seconds)
        for other in plain:
            other.peek()  # all of them see every reading of the clock
        assert keyed.take(f"key-{key}", n) == plain[key].take(n)


@every_algorithm
def test_clock_that_goes_back_takes_nothing_away_and_gives_nothing(name: str) -> None:
    clock = ManualClock()
    limiter = PLAIN[name](clock)
    limiter.allow(3)
    before = limiter.peek(LIMIT)

    for _ in range(10):
        clock.advance(-1e6)
        assert limiter.peek(LIMIT) == before

    clock.advance(before.retry_after)
    assert limiter.allow(LIMIT)


@every_algorithm
def test_guard_raises_with_the_exact_time_to_wait(name: str) -> None:
    clock = ManualClock()
    limiter = PLAIN[name](clock)
    ran: list[int] = []

    @limiter.guard(LIMIT)
    def call(value: int) -> None:
        ran.append(value)

    call(1)
    with pytest.raises(RateExceeded, match="over the limit of 5 permits; try again in") as caught:
        call(2)
    assert caught.value.retry_after == limiter.peek(LIMIT).retry_after
    clock.advance(caught.value.retry_after or 0)
    call(3)

    assert ran == [1, 3]


@every_algorithm
async def test_guard_serves_blocks_and_coroutines_nested_and_again(name: str) -> None:
    limiter = PLAIN[name](ManualClock())
    guard = limiter.guard()

    @guard
    async def call() -> None:
        await asyncio.sleep(0)

    with guard:
        async with guard:
            await call()

    assert limiter.peek().remaining == LIMIT - 3


@every_algorithm
def test_guard_that_could_never_be_passed_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="guard with 6 permits: there are never more than 5"):
        PLAIN[name](ManualClock()).guard(LIMIT + 1)


@every_algorithm
def test_stats_show_what_is_left_and_how_many_were_refused(name: str) -> None:
    limiter = PLAIN[name](ManualClock())
    for _ in range(3):
        limiter.allow(2)

    stats = limiter.stats()

    assert (stats.limit, stats.remaining, stats.refused, stats.waiting) == (LIMIT, 1, 1, 0)


@every_algorithm
def test_stats_show_keys_and_refusals(name: str) -> None:
    limiter = KEYED[name](ManualClock())
    for key in ("a", "a", "b"):
        limiter.allow(key, 4)

    stats = limiter.stats()

    assert (stats.keys, stats.capacity, stats.refused) == (2, 7, 1)
    assert (stats.evicted, stats.turned_away, stats.waiting) == (0, 0, 0)


@pytest.mark.slow
@every_algorithm
def test_threads_neither_lose_permits_nor_get_too_many(name: str) -> None:
    clock = ManualClock()
    limiters: dict[str, Callable[[], Keyed]] = {
        "token bucket": lambda: KeyedTokenBucket(rate=1, burst=999, clock=clock, threadsafe=True),
        "gcra": lambda: KeyedGcra(rate=1, burst=999, clock=clock, threadsafe=True),
        "sliding window": lambda: KeyedSlidingWindow(
            limit=999, window=10, clock=clock, threadsafe=True
        ),
        "fixed window": lambda: KeyedFixedWindow(
            limit=999, window=10, clock=clock, threadsafe=True
        ),
    }
    limiter = limiters[name]()
    begin = threading.Barrier(8)
    admitted: list[int] = []

    def ask() -> None:
        begin.wait()
        admitted.append(sum(limiter.allow(key) for _ in range(2000) for key in ("a", "b")))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(admitted) == 2 * 999
