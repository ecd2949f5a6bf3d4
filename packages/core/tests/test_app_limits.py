"""Time limits of what is not ours: a hook or a resource that hangs holds nobody up for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

import pytest

from kratos.app import App
from kratos.errors import KratosError, StartupError
from kratos.registry.memory import MemoryRegistry
from kratos.testing import FakeServer, in_virtual_time
from kratos.testing.log import MemoryLogger

Hanging = Callable[[App], Coroutine[Any, Any, None]]


def now() -> float:
    return asyncio.get_running_loop().time()


async def hang(_app: App) -> None:
    await asyncio.get_running_loop().create_future()


class Stuck(AbstractAsyncContextManager["Stuck"]):
    """A resource that hangs at one of its ends."""

    def __init__(self, where: str, journal: list[str]) -> None:
        self.where = where
        self.journal = journal

    async def __aenter__(self) -> Self:
        if self.where == "enter":
            await asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.journal.append("exit")
        if self.where == "exit":
            await asyncio.get_running_loop().create_future()


class Bench:
    """An application, and what became of it."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.log = MemoryLogger()
        self.registry = MemoryRegistry()
        self.server = FakeServer("web", endpoint="http://10.0.0.1:80", journal=self.journal)

    def note(self, word: str) -> Callable[[App], None]:
        return lambda _app: self.journal.append(word)

    async def run(self, **options: Any) -> tuple[BaseException | None, float]:
        """Run until it serves, stop it, and return what it raised and the seconds of the stop."""
        app = App(
            name="limits",
            servers=[self.server],
            registrar=self.registry,
            log=self.log,
            signals=(),
            **options,
        )
        running = asyncio.create_task(app.run())
        ready = asyncio.create_task(app.ready())
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        before = now()
        app.stop()
        await asyncio.wait({running, ready})
        ready.exception()
        assert not self.server.bound
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return running.exception(), now() - before


@pytest.mark.parametrize("option", ["before_start", "after_start"])
@in_virtual_time
async def test_start_hook_that_hangs_fails_the_start_by_name(option: str) -> None:
    bench, began = Bench(), now()
    failure, _ = await bench.run(**{option: [hang], "after_stop": [bench.note("over")]})
    assert isinstance(failure, StartupError)
    kind = option.replace("_", "-")
    assert str(failure) == f"{kind} hook hang took longer than startup_timeout=30 s"
    assert now() - began == pytest.approx(30, abs=1)
    assert bench.journal[-1] == "over"


@pytest.mark.parametrize("option", ["before_stop", "after_stop"])
@in_virtual_time
async def test_stop_hook_that_hangs_is_given_up_and_the_stop_goes_on(option: str) -> None:
    bench = Bench()
    hooks = [bench.note("first"), hang, bench.note("last")]
    failure, took = await bench.run(**{option: hooks})
    assert isinstance(failure, KratosError)
    kind = option.replace("_", "-")
    assert str(failure) == f"{kind} hook hang took longer than stop_timeout=10 s"
    assert took == pytest.approx(10, abs=1)
    assert bench.journal.index("first") < bench.journal.index("last")
    assert "web stop" in bench.journal


@in_virtual_time
async def test_each_stop_hook_has_a_limit_of_its_own() -> None:
    bench = Bench()
    failure, took = await bench.run(before_stop=[hang, hang], stop_timeout=3.0)
    assert took == pytest.approx(6, abs=1)
    assert failure is not None
    (first, later) = failure.__notes__
    assert first == "before-stop hook hang failed"
    assert "later, before-stop hook hang failed: KratosError" in later


@in_virtual_time
async def test_resource_that_hangs_at_its_entry_fails_the_start_by_name() -> None:
    bench = Bench()
    outer = Stuck("nowhere", bench.journal)
    failure, _ = await bench.run(resources=[outer, Stuck("enter", bench.journal)])
    assert isinstance(failure, StartupError)
    assert str(failure) == "entry of Stuck took longer than startup_timeout=30 s"
    assert bench.journal == ["exit"]


@in_virtual_time
async def test_resource_that_hangs_at_its_exit_is_given_up_and_the_others_are_left() -> None:
    bench = Bench()
    outer = Stuck("nowhere", bench.journal)
    failure, took = await bench.run(resources=[outer, Stuck("exit", bench.journal)])
    assert str(failure) == "exit of Stuck took longer than stop_timeout=10 s"
    assert took == pytest.approx(10, abs=1)
    assert bench.journal[-2:] == ["exit", "exit"]


@in_virtual_time
async def test_timeout_that_a_hook_raises_itself_stays_its_own() -> None:
    async def fail(_app: App) -> None:
        raise TimeoutError("no answer from the bank")

    failure, _ = await Bench().run(before_start=[fail])
    assert isinstance(failure, TimeoutError)
    assert str(failure) == "no answer from the bank"


@in_virtual_time
async def test_without_limits_a_hook_has_all_the_time() -> None:
    async def slow(_app: App) -> None:
        await asyncio.sleep(3600)

    bench = Bench()
    failure, took = await bench.run(
        before_start=[slow], after_stop=[slow], startup_timeout=None, stop_timeout=None
    )
    assert failure is None
    assert took == pytest.approx(3600, abs=1)


@in_virtual_time
async def test_resource_is_entered_and_left_in_one_task() -> None:
    """Task groups and cancel scopes need that."""
    tasks: list[asyncio.Task[Any] | None] = []

    @asynccontextmanager
    async def scope() -> AsyncGenerator[None]:
        tasks.append(asyncio.current_task())
        yield
        tasks.append(asyncio.current_task())

    failure, _ = await Bench().run(resources=[scope()])
    assert failure is None
    assert len(tasks) == 2
    assert tasks[0] is tasks[1]
