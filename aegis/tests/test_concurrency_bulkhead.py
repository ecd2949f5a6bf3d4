from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis import Bulkhead, Guard, ManualClock, Overloaded


async def settle() -> None:
    """Let all that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Coroutines that enter, and leave when they are told to."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.inside: list[int] = []
        self.most = 0
        self.order: list[int] = []
        self.refused: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._exits: dict[int, asyncio.Event] = {}

    def come(self, number: int, timeout: float | None = None) -> None:
        self._exits[number] = asyncio.Event()
        self.tasks[number] = asyncio.create_task(self._visit(number, timeout))

    def go(self, number: int) -> None:
        self._exits[number].set()

    async def _visit(self, number: int, timeout: float | None) -> None:
        try:
            async with self.bulkhead.enter(timeout):
                self.order.append(number)
                self.inside.append(number)
                self.most = max(self.most, len(self.inside))
                try:
                    await self._exits[number].wait()
                finally:
                    self.inside.remove(number)
        except Overloaded:
            self.refused.append(number)


def test_guard_form_never_waits() -> None:
    bulkhead = Bulkhead(2, queue=5)
    assert isinstance(bulkhead, Guard)

    with bulkhead.guard(), bulkhead.guard():
        assert bulkhead.allow() is None
        with pytest.raises(Overloaded, match="all 2 slots are taken and 0 of 5 may wait"):
            bulkhead.guard().__enter__()

    stats = bulkhead.stats()
    assert (stats.size, stats.inflight, stats.admitted, stats.refused) == (2, 0, 2, 2)


async def test_waiters_are_served_first_come_first_served() -> None:
    crowd = Crowd(Bulkhead(1, queue=3))
    for number in range(4):
        crowd.come(number)
    await settle()
    assert crowd.bulkhead.stats().waiting == 3

    for number in range(4):
        crowd.go(number)
        await settle()

    assert crowd.order == [0, 1, 2, 3]
    assert crowd.most == 1


async def test_full_queue_refuses_at_once() -> None:
    crowd = Crowd(Bulkhead(1, queue=1))
    for number in range(3):
        crowd.come(number)
    await settle()

    assert crowd.refused == [2]
    assert crowd.bulkhead.stats().refused == 1
    for number in range(2):
        crowd.go(number)
    await settle()


async def test_nobody_overtakes_those_that_wait() -> None:
    bulkhead = Bulkhead(1, queue=1)
    token = bulkhead.allow()
    assert token is not None
    crowd = Crowd(bulkhead)
    crowd.come(1)
    await settle()

    bulkhead.done(token)

    assert bulkhead.allow() is None
    crowd.go(1)
    await settle()
    assert crowd.order == [1]


@pytest.mark.parametrize(("max_wait", "timeout"), [(0.001, None), (None, 0.001), (9.0, 0.001)])
async def test_one_that_waits_too_long_is_refused(
    max_wait: float | None, timeout: float | None
) -> None:
    bulkhead = Bulkhead(1, queue=1, max_wait=max_wait)
    async with bulkhead.enter():
        with pytest.raises(Overloaded, match="no slot of 1 became free in time"):
            await bulkhead.acquire(timeout)

    stats = bulkhead.stats()
    assert (stats.inflight, stats.waiting, stats.expired) == (0, 0, 1)


async def test_one_cancelled_while_it_waits_leaves_nothing() -> None:
    crowd = Crowd(Bulkhead(1, queue=2))
    for number in range(3):
        crowd.come(number)
    await settle()

    crowd.tasks[1].cancel()
    await settle()

    assert crowd.bulkhead.stats().waiting == 1
    crowd.go(0)
    crowd.go(2)
    await settle()
    assert crowd.order == [0, 2]
    assert crowd.bulkhead.stats().inflight == 0


async def test_one_cancelled_as_it_is_handed_a_slot_passes_it_on() -> None:
    crowd = Crowd(Bulkhead(1, queue=2))
    for number in range(3):
        crowd.come(number)
    await settle()

    crowd.go(0)
    await asyncio.sleep(0)
    assert crowd.inside == []
    assert crowd.bulkhead.stats().waiting == 1  # the slot is on its way to number 1
    crowd.tasks[1].cancel()
    await settle()

    assert crowd.inside == [2]
    crowd.go(2)
    await settle()
    stats = crowd.bulkhead.stats()
    assert (stats.inflight, stats.admitted) == (0, 2)


async def test_newest_is_served_first_when_the_queue_stands() -> None:
    clock = ManualClock()
    crowd = Crowd(Bulkhead(1, queue=9, order="adaptive", clock=clock))
    for number in range(5):
        crowd.come(number)
    await settle()

    crowd.go(0)
    await settle()
    clock.advance(0.2)
    for number in range(1, 5):
        crowd.go(number)
    await settle()

    assert crowd.order == [0, 1, 4, 3, 2]


async def test_decorated_coroutine_function_waits() -> None:
    bulkhead = Bulkhead(1, queue=9)

    @bulkhead.enter()
    async def inside(value: int) -> int:
        await asyncio.sleep(0)
        assert bulkhead.stats().inflight == 1
        return value

    assert await asyncio.gather(*(inside(value) for value in range(5))) == [0, 1, 2, 3, 4]
    assert bulkhead.stats().inflight == 0


async def test_entrance_is_used_again_but_not_nested() -> None:
    entrance = Bulkhead(2).enter()

    for _ in range(2):
        async with entrance:
            with pytest.raises(RuntimeError, match="ask the bulkhead for another"):
                await entrance.__aenter__()

    with pytest.raises(RuntimeError, match="without being entered"):
        await entrance.__aexit__(None, None, None)


@given(
    size=st.integers(1, 3),
    queue=st.integers(0, 4),
    order=st.sampled_from(["fifo", "adaptive"]),
    steps=st.lists(
        st.tuples(st.sampled_from(["enter", "leave", "cancel", "turn", "tick"]), st.integers(0, 9)),
        max_size=60,
    ),
)
def test_no_interleaving_loses_or_adds_a_slot(
    size: int, queue: int, order: Literal["fifo", "adaptive"], steps: list[tuple[str, int]]
) -> None:
    async def interleave() -> None:
        clock = ManualClock()
        crowd = Crowd(Bulkhead(size, queue=queue, order=order, clock=clock))
        came = 0
        for step, number in steps:
            match step:
                case "enter":
                    crowd.come(came)
                    came += 1
                case "leave" if crowd.inside:
                    crowd.go(crowd.inside[number % len(crowd.inside)])
                case "cancel" if came:
                    crowd.tasks[number % came].cancel()
                case "tick":
                    clock.advance(0.06)
                case _:
                    await asyncio.sleep(0)
            stats = crowd.bulkhead.stats()
            assert len(crowd.inside) <= stats.inflight <= size
            assert stats.waiting <= queue
            assert stats.waiting == 0 or stats.inflight == size
        for number in range(came):
            crowd.go(number)
        await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
        stats = crowd.bulkhead.stats()
        assert (stats.inflight, stats.waiting) == (0, 0)
        assert stats.admitted == len(crowd.order)
        assert stats.refused == len(crowd.refused)
        assert crowd.most <= size

    asyncio.run(interleave())


def test_threads_wait_and_lose_no_slot() -> None:
    bulkhead = Bulkhead(2, queue=8, threadsafe=True)
    lock, inside, most = threading.Lock(), 0, 0

    @bulkhead.enter()
    def visit() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1

    def work() -> None:
        for _ in range(300):
            visit()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stats = bulkhead.stats()
    assert most <= 2
    assert (stats.inflight, stats.waiting, stats.admitted) == (0, 0, 1800)


def test_thread_that_waits_too_long_is_refused() -> None:
    bulkhead = Bulkhead(1, queue=1, threadsafe=True)

    with bulkhead.enter(), pytest.raises(Overloaded, match="in time"), bulkhead.enter(0.001):
        pytest.fail("a second was let in")

    assert bulkhead.stats().expired == 1


async def test_thread_hands_its_slot_to_a_coroutine() -> None:
    bulkhead = Bulkhead(1, queue=1, threadsafe=True)
    token = bulkhead.acquire_blocking()
    waiting = asyncio.create_task(bulkhead.acquire())
    await settle()

    await asyncio.to_thread(bulkhead.done, token)

    assert await waiting == 0
    bulkhead.done(0)
    assert bulkhead.stats().inflight == 0


@pytest.mark.parametrize("threadsafe", [True, False])
def test_slot_is_not_lost_to_a_loop_that_was_closed(*, threadsafe: bool) -> None:
    bulkhead = Bulkhead(1, queue=2, threadsafe=threadsafe)
    token = bulkhead.allow()
    assert token is not None
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # which tells of tasks that are left
    waiting = bulkhead.acquire()
    task = loop.create_task(waiting)
    loop.run_until_complete(settle())
    loop.close()

    bulkhead.done(token)

    assert bulkhead.stats().inflight == 0
    waiting.close()
    assert not task.done()


def test_threads_may_not_wait_for_the_plain_form() -> None:
    with pytest.raises(RuntimeError, match="threadsafe=True"):
        Bulkhead(1).acquire_blocking()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Bulkhead(0), "size"),
        (lambda: Bulkhead(1, queue=-1), "queue"),
        (lambda: Bulkhead(1, max_wait=-1), "max_wait"),
        (lambda: Bulkhead(1, order="lifo"), "order must be fifo or adaptive, got 'lifo'"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ],
)
def test_option_out_of_range_is_named(make: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()
