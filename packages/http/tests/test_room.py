"""Waiting for a connection: in turn, and no turn is lost."""

from __future__ import annotations

import asyncio

import pytest

from kratos_http.room import Queue


async def test_whoever_came_first_is_told_first() -> None:
    queue, told = Queue(), list[str]()

    async def wait(name: str) -> None:
        await queue.wait()
        told.append(name)

    async with asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(wait(name))
        await asyncio.sleep(0)
        queue.wake()
        await asyncio.sleep(0)
        assert told == ["first"]
        queue.wake_all()
    assert told == ["first", "second", "third"]


async def test_a_turn_that_is_not_taken_goes_to_the_next() -> None:
    queue = Queue()
    first, second = asyncio.create_task(queue.wait()), asyncio.create_task(queue.wait())
    await asyncio.sleep(0)
    queue.wake()
    first.cancel()  # after it was told, and before it could look
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(5):
        await second


async def test_whoever_has_left_is_passed_over() -> None:
    queue = Queue()
    first, second = asyncio.create_task(queue.wait()), asyncio.create_task(queue.wait())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    queue.wake()
    async with asyncio.timeout(5):
        await second
