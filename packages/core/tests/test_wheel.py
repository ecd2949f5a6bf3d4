"""The timing wheel."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kratos.transport.wheel import Wheel


class Entry:
    def __init__(self) -> None:
        self.expired = asyncio.Event()

    def expire(self) -> None:
        self.expired.set()


async def test_entry_expires_at_its_deadline_and_not_before() -> None:
    loop, wheel, entry = asyncio.get_running_loop(), Wheel(), Entry()
    deadline = loop.time() + 0.03
    wheel.enter(entry, deadline)
    await entry.expired.wait()
    assert loop.time() >= deadline


async def test_nearer_deadline_that_comes_later_is_not_held_up() -> None:
    loop, wheel, far, near = asyncio.get_running_loop(), Wheel(), Entry(), Entry()
    wheel.enter(far, loop.time() + 3600)
    wheel.enter(near, loop.time() + 0.01)
    await near.expired.wait()
    assert not far.expired.is_set()
    wheel.close()


async def test_entry_that_left_does_not_expire() -> None:
    loop, wheel, gone, stays = asyncio.get_running_loop(), Wheel(), Entry(), Entry()
    deadline = loop.time() + 0.01
    wheel.enter(gone, deadline).discard(gone)
    wheel.enter(stays, deadline)
    await stays.expired.wait()
    assert not gone.expired.is_set()


async def test_deadline_in_the_past_expires_at_the_next_tick() -> None:
    wheel, entry = Wheel(), Entry()
    wheel.enter(entry, asyncio.get_running_loop().time() - 5)
    await entry.expired.wait()


async def test_entry_may_enter_again_while_it_expires() -> None:
    loop, wheel = asyncio.get_running_loop(), Wheel()

    class Again(Entry):
        left = 3

        def expire(self) -> None:
            self.left -= 1
            if self.left:
                wheel.enter(self, loop.time())
            else:
                super().expire()

    entry = Again()
    wheel.enter(entry, loop.time())
    await entry.expired.wait()


async def test_no_timer_is_left_when_nothing_waits() -> None:
    wheel, entry = Wheel(), Entry()
    wheel.enter(entry, asyncio.get_running_loop().time())
    await entry.expired.wait()
    assert not wheel.armed


def test_wheel_serves_one_loop_after_another() -> None:
    wheel = Wheel()

    async def use() -> None:
        entry = Entry()
        wheel.enter(Entry(), asyncio.get_running_loop().time() + 3600)
        wheel.enter(entry, asyncio.get_running_loop().time())
        await entry.expired.wait()

    asyncio.run(use())
    asyncio.run(use())


def test_entries_of_a_loop_that_ended_do_not_hold_up_those_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wheel = Wheel()

    def run(use: Callable[[], Coroutine[Any, Any, None]]) -> None:
        loop = asyncio.new_event_loop()
        start = loop.time()
        # Both loops begin at zero, so that their entries meet in one slot.
        monkeypatch.setattr(loop, "time", lambda: time.monotonic() - start)
        try:
            loop.run_until_complete(use())
        finally:
            loop.close()

    async def leave() -> None:
        entry = Entry()
        wheel.enter(entry, 0.2).discard(entry)

    async def stay() -> None:
        entry = Entry()
        wheel.enter(entry, 0.2)
        await entry.expired.wait()

    run(leave)
    run(stay)


@pytest.mark.parametrize("deadline", [math.inf, 1e300])
async def test_deadline_beyond_all_times_waits(deadline: float) -> None:
    loop, wheel, never, soon = asyncio.get_running_loop(), Wheel(), Entry(), Entry()
    slot = wheel.enter(never, deadline)
    wheel.enter(soon, loop.time())
    await soon.expired.wait()
    assert not never.expired.is_set()
    slot.discard(never)
    wheel.close()


async def test_slots_that_were_left_are_not_kept_until_their_time_comes() -> None:
    loop, wheel, entry, stays = asyncio.get_running_loop(), Wheel(), Entry(), Entry()
    hour = loop.time() + 3600
    wheel.enter(stays, hour)
    for number in range(20_000):
        wheel.enter(entry, hour + number / 50).discard(entry)
    assert len(wheel) < 5_000
    wheel.enter(stays, loop.time())
    await stays.expired.wait()
    wheel.close()


async def test_no_timer_runs_for_slots_that_were_left() -> None:
    loop, wheel, entry, gone = asyncio.get_running_loop(), Wheel(), Entry(), Entry()
    wheel.enter(gone, loop.time() + 3600).discard(gone)
    wheel.enter(entry, loop.time())
    await entry.expired.wait()
    assert not wheel.armed


async def test_entry_may_take_out_another_one_that_expires_with_it() -> None:
    loop, wheel = asyncio.get_running_loop(), Wheel()
    deadline = loop.time()
    expired: list[Rival] = []
    done = asyncio.Event()

    class Rival:
        def expire(self) -> None:
            expired.append(self)
            for rival in rivals:
                slot.discard(rival)
            done.set()

    rivals = [Rival(), Rival()]
    for rival in rivals:
        slot = wheel.enter(rival, deadline)
    await done.wait()
    await asyncio.sleep(0)
    assert len(expired) == 1
