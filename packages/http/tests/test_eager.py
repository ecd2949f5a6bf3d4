"""Tasks that begin without a turn of the loop."""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from kratos_http._eager import Starter

said: ContextVar[str] = ContextVar("said", default="nothing")

before_eager_tasks = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="Python begins them by itself"
)


def starter() -> Starter:
    return Starter(asyncio.get_running_loop(), copy_context())


async def test_what_waits_for_nothing_is_done_at_once() -> None:
    seen: list[object] = []

    async def work() -> None:
        seen.append(asyncio.current_task())

    outer = asyncio.current_task()
    task = starter().start(work())
    assert task.done()
    assert seen == [task]
    assert asyncio.current_task() is outer


async def test_what_waits_goes_on_in_its_own_context_and_under_its_limits() -> None:
    opened = asyncio.Event()
    seen: list[str] = []

    async def work() -> None:
        said.set("hello")
        await opened.wait()
        seen.append(said.get())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

    task = starter().start(work())
    assert not task.done()
    assert said.get() == "nothing"
    opened.set()
    await task
    assert seen == ["hello"]


async def test_cancellation_reaches_it() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    task = starter().start(work())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failure_is_the_tasks_own() -> None:
    async def work() -> None:
        raise ValueError("no")

    task = starter().start(work())
    assert isinstance(task.exception(), ValueError)


@before_eager_tasks
async def test_held_tasks_begin_in_their_order_when_all_are_made() -> None:
    seen: list[int] = []

    async def work(number: int) -> None:
        seen.append(number)

    made = starter()
    assert made.hold()
    tasks = [made.start(work(number)) for number in range(3)]
    assert seen == []
    made.release()
    assert seen == [0, 1, 2]
    assert all(task.done() for task in tasks)


@before_eager_tasks
async def test_what_others_ask_of_the_loop_meanwhile_is_done_by_it() -> None:
    called = asyncio.Event()
    made = starter()
    made.hold()
    asyncio.get_running_loop().call_soon(called.set)
    made.release()
    assert not called.is_set()
    await called.wait()
    assert "call_soon" not in vars(asyncio.get_running_loop())


@before_eager_tasks
async def test_a_call_soon_of_somebody_else_stays() -> None:
    loop = asyncio.get_running_loop()
    own = loop.call_soon
    vars(loop)["call_soon"] = own

    async def work() -> None:
        await asyncio.sleep(0)

    try:
        task = starter().start(work())
        assert vars(loop)["call_soon"] is own
    finally:
        del vars(loop)["call_soon"]
    assert not task.done()
    await task


async def test_a_factory_of_tasks_makes_them() -> None:
    made: list[asyncio.Task[Any]] = []

    def factory(loop: Any, work: Any, **options: Any) -> Any:
        made.append(asyncio.Task(work, loop=loop, **options))
        return made[-1]

    async def work() -> None:
        """Do nothing."""

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        task = starter().start(work())
    finally:
        loop.set_task_factory(None)
    assert made == [task]
    await task


def test_an_exit_ends_the_loop_and_not_who_started_it() -> None:
    started: list[asyncio.Task[None]] = []

    async def work() -> None:
        raise SystemExit(3)

    async def main() -> None:
        started.append(starter().start(work()))
        await asyncio.Event().wait()

    with pytest.raises(SystemExit):
        asyncio.run(main())
    [task] = started
    assert isinstance(task.exception(), SystemExit)


if sys.version_info >= (3, 12):

    def test_an_exit_within_a_task_of_an_eager_factory_ends_the_loop() -> None:
        started: list[asyncio.Task[None]] = []

        async def work() -> None:
            raise SystemExit(3)

        async def main() -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            started.append(starter().start(work()))
            await asyncio.Event().wait()

        with pytest.raises(SystemExit):
            asyncio.run(main())
        [task] = started
        assert isinstance(task.exception(), SystemExit)
