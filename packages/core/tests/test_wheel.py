"""The timing wheel."""

from __future__ import annotations

import asyncio

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
