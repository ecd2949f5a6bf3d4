from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aegis import ManualClock, RateExceeded
from aegis.ratelimit import FixedWindow, Gcra, KeyedGcra, SlidingWindow, TokenBucket


class Sleeper:
    """Moves the clock instead of waiting, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.naps: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.naps.append(seconds)
        await asyncio.sleep(0)
        self.clock.advance(seconds)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def limiter(sleeper: Sleeper) -> Gcra:
    return Gcra(rate=10, burst=2, clock=sleeper.clock, sleep=sleeper)


def asleep(sleeper: Sleeper) -> Callable[[], float]:
    begin = sleeper.clock.now
    return lambda: (sleeper.clock.now - begin) / 1e9


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_permits_that_are_there_are_had_at_once(limiter: Gcra, sleeper: Sleeper) -> None:
    await limiter.wait(2)

    assert sleeper.naps == []
    assert not limiter.allow()


async def test_waiting_sleeps_once_for_the_exact_time(limiter: Gcra, sleeper: Sleeper) -> None:
    limiter.allow(2)

    await limiter.wait(2)

    assert sleeper.naps == [0.2]
    assert limiter.peek().remaining == 0


async def test_permits_are_had_in_order_of_arrival(limiter: Gcra, sleeper: Sleeper) -> None:
    passed, order = asleep(sleeper), list[tuple[str, float]]()

    async def ask(name: str, n: int) -> None:
        await limiter.wait(n)
        order.append((name, passed()))

    limiter.allow(2)
    await asyncio.gather(ask("a", 2), ask("b", 1), ask("c", 2), ask("d", 1))

    assert order == [("a", 0.2), ("b", 0.3), ("c", 0.5), ("d", 0.6)]
    assert len(sleeper.naps) == 4


async def test_nobody_gets_permits_before_those_who_wait(limiter: Gcra) -> None:
    limiter.allow(1)
    waiting = asyncio.create_task(limiter.wait(2))
    await asyncio.sleep(0)

    assert limiter.stats().waiting == 1
    assert not limiter.allow()
    decision = limiter.take()
    assert (decision.allowed, decision.remaining, decision.retry_after) == (False, 0, 0.2)
    assert not limiter.peek()

    await waiting
    assert limiter.stats().waiting == 0


async def test_cancelled_one_is_charged_nothing_and_the_next_moves_up(sleeper: Sleeper) -> None:
    stuck = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds > 0.15:
            await stuck.wait()
        await sleeper(seconds)

    limiter = Gcra(rate=10, burst=2, clock=sleeper.clock, sleep=sleep)
    passed = asleep(sleeper)
    limiter.allow(2)
    first = asyncio.create_task(limiter.wait(2))
    second = asyncio.create_task(limiter.wait(2))
    third = asyncio.create_task(limiter.wait(1))
    await turns()

    second.cancel()
    await turns()
    assert not third.done()
    first.cancel()
    await third

    assert passed() == 0.1
    assert first.cancelled()
    assert second.cancelled()
    assert limiter.peek().remaining == 0


async def test_wait_that_would_take_too_long_fails_at_once(limiter: Gcra, sleeper: Sleeper) -> None:
    limiter.allow(2)

    with pytest.raises(RateExceeded, match=r"in 0.2 s at the earliest, and the timeout") as caught:
        await limiter.wait(2, timeout=0.19)

    assert caught.value.retry_after == 0.2
    assert sleeper.naps == []
    assert limiter.stats().waiting == 0


async def test_wait_counts_those_in_front(limiter: Gcra) -> None:
    limiter.allow(2)
    waiting = [asyncio.create_task(limiter.wait()) for _ in range(5)]
    await asyncio.sleep(0)

    with pytest.raises(RateExceeded) as caught:
        await limiter.wait(timeout=0.55)

    assert caught.value.retry_after == 0.6
    await asyncio.gather(*waiting)


async def test_wait_ends_at_its_timeout_though_the_first_one_is_stuck() -> None:
    clock, stuck = ManualClock(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        await stuck.wait()

    limiter = Gcra(rate=1e9, burst=1, clock=clock, sleep=sleep)
    limiter.allow()
    first = asyncio.create_task(limiter.wait())
    await asyncio.sleep(0)

    with pytest.raises(RateExceeded, match=r"the timeout is 0\.01 s"):
        await limiter.wait(timeout=0.01)

    assert limiter.stats().waiting == 1
    clock.advance(1)
    stuck.set()
    await first


async def test_first_one_ends_at_its_timeout_too() -> None:
    clock = ManualClock()

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(3600)

    limiter = Gcra(rate=1000, burst=1, clock=clock, sleep=sleep)
    limiter.allow()

    with pytest.raises(RateExceeded, match=r"the timeout is 0\.01 s"):
        await limiter.wait(timeout=0.01)

    assert limiter.stats().waiting == 0


async def test_waiting_for_more_than_the_burst_is_an_error(limiter: Gcra) -> None:
    with pytest.raises(ValueError, match="wait for 3 permits: there are never more than 2 at once"):
        await limiter.wait(3)
    with pytest.raises(ValueError, match="n must be a whole number and at least 1, got 0"):
        await limiter.wait(0)


async def test_keys_wait_in_lines_of_their_own(sleeper: Sleeper) -> None:
    limiter = KeyedGcra(rate=1, burst=1, clock=sleeper.clock, sleep=sleeper)
    limiter.allow("a")
    waiting = asyncio.create_task(limiter.wait("a"))
    await asyncio.sleep(0)

    await limiter.wait("b")

    assert not waiting.done()
    await waiting


async def test_new_key_waits_for_room(sleeper: Sleeper) -> None:
    limiter = KeyedGcra(
        rate=4, burst=8, clock=sleeper.clock, sleep=sleeper, capacity=1, when_full="refuse"
    )
    limiter.allow("old", 2)

    await limiter.wait("new")

    assert sleeper.naps == [0.25, 0.25]


@pytest.mark.parametrize("make", [FixedWindow, SlidingWindow])
async def test_windows_are_waited_for(make: Any, sleeper: Sleeper) -> None:
    sleeper.clock.now = 10**9
    limiter = make(limit=3, window=1.0, clock=sleeper.clock, sleep=sleeper)
    passed, ends = asleep(sleeper), list[float]()

    async def ask() -> None:
        await limiter.wait()
        ends.append(round(passed(), 3))

    await asyncio.gather(*(ask() for _ in range(9)))

    if make is FixedWindow:
        assert ends == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    else:
        assert ends == [0, 0, 0, 1.333, 1.667, 2, 2.5, 3, 3.5]
    assert len(sleeper.naps) <= 6


async def test_real_clock_is_waited_for() -> None:
    limiter = TokenBucket(rate=1000, burst=1)

    for _ in range(20):
        await limiter.wait()

    assert limiter.stats().refused == 0


@pytest.mark.parametrize("threadsafe", [True, False])
def test_place_of_a_loop_that_was_closed_is_given_up(*, threadsafe: bool) -> None:
    clock = ManualClock()
    limiter = Gcra(rate=1, burst=1, clock=clock, threadsafe=threadsafe)
    limiter.allow()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # which tells of tasks that are left
    waiting = [limiter.wait() for _ in range(3)]
    tasks = [loop.create_task(one) for one in waiting]
    loop.run_until_complete(turns())
    assert limiter.stats().waiting == 3
    loop.close()

    waiting[0].close()

    assert limiter.stats().waiting == 0
    clock.advance(1)
    assert limiter.allow()
    for one in waiting:
        one.close()
    assert not any(task.done() for task in tasks)


def test_wait_without_a_loop_is_an_error_and_leaves_nothing(
    limiter: Gcra, sleeper: Sleeper
) -> None:
    limiter.allow(2)
    waiting = limiter.wait()
    with pytest.raises(RuntimeError, match="loop"):
        waiting.send(None)

    sleeper.clock.advance(1)
    assert limiter.allow()


@pytest.mark.slow
def test_loops_of_several_threads_wait_in_one_line() -> None:
    limiter = Gcra(rate=5000, burst=1, threadsafe=True)
    begin = threading.Barrier(4)
    ended: list[int] = []

    async def ask() -> None:
        await asyncio.gather(*(limiter.wait() for _ in range(50)))

    def run() -> None:
        begin.wait()
        asyncio.run(ask())
        ended.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ended) == 4
    assert limiter.stats().waiting == 0
