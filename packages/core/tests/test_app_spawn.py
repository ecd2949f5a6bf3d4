from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from kratos.app import App, current_app
from kratos.log import Level
from kratos.testing.app import running
from kratos.testing.clock import FakeClock
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.log import MemoryLogger
from kratos.transport import local, server_call

WORD: ContextVar[str] = ContextVar("word", default="unset")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log() -> MemoryLogger:
    return MemoryLogger()


@pytest.fixture
def app(clock: FakeClock, log: MemoryLogger) -> App:
    return App(clock=clock, log=log, signals=(), stop_timeout=10.0)


Sleeper = Callable[[str], Coroutine[Any, Any, None]]


@pytest.fixture
def journal() -> list[str]:
    return []


@pytest.fixture
def sleeper(journal: list[str]) -> Sleeper:
    async def sleep_for_ever(name: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            journal.append(name)

    return sleep_for_ever


async def test_function_in_place_of_a_coroutine_is_refused(app: App, sleeper: Any) -> None:
    async with running(app):
        with pytest.raises(TypeError, match=r"takes a coroutine, such as refresh\(\), not <func"):
            app.spawn(sleeper)


async def test_result_of_a_spawned_task_can_be_awaited(app: App) -> None:
    async def work() -> int:
        return 42

    async with running(app):
        assert await app.spawn(work()) == 42


async def test_task_survives_garbage_collection(app: App, clock: FakeClock) -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.get_running_loop().run_in_executor(None, gc.collect)
        done.set()

    async with running(app):
        app.spawn(work())
        gc.collect()
        await done.wait()


async def test_tasks_are_cancelled_newest_first_and_named(
    app: App, clock: FakeClock, log: MemoryLogger, journal: list[str], sleeper: Sleeper
) -> None:
    async with running(app):
        app.spawn(sleeper("a"), name="task-a")
        app.spawn(sleeper("b"), name="task-b")
        await clock.settle()
    assert journal == ["b", "a"]
    assert (Level.INFO, "spawned tasks are cancelled", {"tasks": "task-b, task-a"}) in log.records


async def test_older_task_is_left_alone_until_the_newer_has_ended(
    app: App, clock: FakeClock, journal: list[str], sleeper: Sleeper
) -> None:
    async def slow() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await clock.sleep(1.0)
            journal.append("slow")

    run = asyncio.create_task(app.run())
    await app.ready()
    app.spawn(sleeper("old"))
    app.spawn(slow())
    await clock.settle()
    app.stop()
    await clock.advance(0.9)
    early = list(journal)
    await clock.advance(0.1)
    await run
    assert (early, journal) == ([], ["slow", "old"])


async def test_task_that_is_to_finish_does_so_before_the_stop_ends(
    app: App, clock: FakeClock, journal: list[str], sleeper: Sleeper
) -> None:
    async def finishing() -> None:
        await clock.sleep(9.0)
        journal.append("finished")

    run = asyncio.create_task(app.run())
    await app.ready()
    app.spawn(finishing(), finish=True)
    app.spawn(sleeper("other"))
    await clock.settle()
    app.stop()
    await clock.advance(9.0)
    await run
    assert journal == ["finished", "other"]


async def test_task_that_is_to_finish_has_the_stop_timeout(
    app: App, clock: FakeClock, journal: list[str], sleeper: Sleeper
) -> None:
    run = asyncio.create_task(app.run())
    await app.ready()
    app.spawn(sleeper("late"), finish=True)
    await clock.settle()
    app.stop()
    await clock.advance(9.9)
    early = list(journal)
    await clock.advance(0.1)
    await run
    assert (early, journal) == ([], ["late"])


async def test_task_that_ignores_its_cancellation_is_named_and_left_behind(
    app: App, clock: FakeClock, log: MemoryLogger, journal: list[str], sleeper: Sleeper
) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    run = asyncio.create_task(app.run())
    await app.ready()
    app.spawn(sleeper("old"))
    app.spawn(stubborn(), name="stubborn")
    await clock.settle()
    app.stop()
    await clock.advance(5.0)
    await run
    assert journal == ["old"]
    assert (
        Level.ERROR,
        "spawned tasks ignore their cancellation and are left behind",
        {"tasks": "stubborn"},
    ) in log.records
    release.set()
    await clock.settle()


async def test_failure_of_a_task_is_logged_and_stops_nothing(
    app: App, clock: FakeClock, log: MemoryLogger
) -> None:
    failure = ValueError("no mail server")

    async def send_mail() -> None:
        raise failure

    async with running(app):
        app.spawn(send_mail(), name="mail")
        await clock.settle()
    assert (Level.ERROR, "a spawned task failed", {"task": "mail", "error": failure}) in log.records


async def test_task_that_awaits_something_cancelled_has_failed_and_one_that_is_cancelled_has_not(
    app: App, clock: FakeClock, log: MemoryLogger, sleeper: Sleeper
) -> None:
    async def give_up() -> None:
        task = asyncio.create_task(sleeper("own"))
        task.cancel()
        await task

    async with running(app):
        app.spawn(give_up(), name="mail")
        app.spawn(sleeper("cancelled"), name="cancelled").cancel()
        await clock.settle()
    failed = [fields for _, message, fields in log.records if message == "a spawned task failed"]
    assert [fields["task"] for fields in failed] == ["mail"]
    assert isinstance(failed[0]["error"], asyncio.CancelledError)


async def test_name_is_by_default_that_of_the_function(app: App, sleeper: Sleeper) -> None:
    async with running(app):
        task = app.spawn(sleeper("x"))
        assert task.get_name().endswith("sleep_for_ever")


async def test_spawning_is_refused_before_the_run_and_after_it(app: App, sleeper: Sleeper) -> None:
    with pytest.raises(RuntimeError, match="early cannot be spawned"):
        app.spawn(sleeper("x"), name="early")
    async with running(app):
        pass
    with pytest.raises(RuntimeError, match="late cannot be spawned"):
        app.spawn(sleeper("x"), name="late")


async def test_task_belongs_to_the_application_and_not_to_the_call_that_spawned_it(
    app: App,
) -> None:
    seen: list[object] = []

    async def work() -> None:
        seen.append((server_call(), current_app(), WORD.get()))

    class Spawning(EchoService):
        async def echo(self, request: Any, /) -> Any:
            assert server_call() is not None
            WORD.set("call")
            await app.spawn(work())
            return request

    async with running(app):
        await local(Spawning()).unary(ECHO, text("x"), None)
    assert seen == [(None, app, "unset")]


async def test_context_can_be_chosen(app: App) -> None:
    async def work() -> str:
        return WORD.get()

    async with running(app):
        WORD.set("mine")
        assert await app.spawn(work(), context=copy_context()) == "mine"
