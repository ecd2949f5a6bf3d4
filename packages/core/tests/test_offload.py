from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar

import pytest

from kratos.errors import ConfigError, Error
from kratos.offload import CURRENT, Offload, blocking, offload
from kratos.testing.clock import FakeClock

WORD: ContextVar[str] = ContextVar("word", default="none")


class Gate:
    """Blocks threads until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.entered = asyncio.Semaphore(0)

    def pass_through(self, word: str = "through") -> str:
        self.loop.call_soon_threadsafe(self.entered.release)
        assert self.opened.wait(10.0)
        return word


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
async def pool(gate: Gate) -> AsyncIterator[Offload]:
    pool = Offload(threads=2, queue=1, name="test-offload")
    yield pool
    gate.opened.set()
    await pool.aclose()


def test_bounds_are_checked() -> None:
    with pytest.raises(ConfigError, match="threads=0"):
        Offload(threads=0)
    with pytest.raises(ConfigError, match="queue=-1"):
        Offload(queue=-1)


async def test_function_runs_in_a_named_thread_with_its_arguments(pool: Offload) -> None:
    def work(left: int, *, right: int) -> tuple[int, str]:
        return left + right, threading.current_thread().name

    assert await pool.run(work, 1, right=2) == (3, "test-offload-1")


async def test_exception_reaches_the_caller(pool: Offload) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await pool.run(int, "x")


@pytest.mark.parametrize("kind", [StopIteration, asyncio.CancelledError])
async def test_exception_with_a_meaning_in_await_is_wrapped(
    pool: Offload, kind: type[BaseException]
) -> None:
    def work() -> None:
        raise kind

    with pytest.raises(RuntimeError, match=f"work raised {kind.__name__}") as caught:
        await pool.run(work)
    assert isinstance(caught.value.__cause__, kind)


async def test_context_is_copied_once_and_changes_stay_in_the_thread(pool: Offload) -> None:
    def work() -> str:
        seen = WORD.get()
        WORD.set("thread")
        return seen

    WORD.set("caller")
    assert (await pool.run(work), WORD.get()) == ("caller", "caller")


async def test_context_is_the_one_of_the_call_and_not_of_the_turn(
    pool: Offload, gate: Gate
) -> None:
    busy = [asyncio.create_task(pool.run(gate.pass_through)) for _ in range(2)]
    WORD.set("early")
    waiting = asyncio.ensure_future(pool.run(WORD.get))
    await gate.entered.acquire()
    WORD.set("late")
    gate.opened.set()
    assert await waiting == "early"
    await asyncio.gather(*busy)


async def test_no_more_functions_run_than_there_are_threads(pool: Offload, gate: Gate) -> None:
    tasks = [asyncio.create_task(pool.run(gate.pass_through, str(n))) for n in range(3)]
    await gate.entered.acquire()
    await gate.entered.acquire()
    assert (pool.running, pool.waiting) == (2, 1)
    gate.opened.set()
    assert await asyncio.gather(*tasks) == ["0", "1", "2"]
    assert (pool.running, pool.waiting) == (0, 0)


async def test_caller_beyond_the_queue_is_refused(pool: Offload, gate: Gate) -> None:
    tasks = [asyncio.create_task(pool.run(gate.pass_through)) for _ in range(3)]
    await gate.entered.acquire()
    await gate.entered.acquire()
    with pytest.raises(Error, match="2 blocking functions run and 1 callers wait") as caught:
        await pool.run(int)
    assert (caught.value.code, caught.value.reason) == (503, "OFFLOAD_FULL")
    gate.opened.set()
    await asyncio.gather(*tasks)


async def test_cancelled_caller_goes_at_once_and_its_function_keeps_its_place(
    pool: Offload, gate: Gate
) -> None:
    task = asyncio.create_task(pool.run(gate.pass_through))
    await gate.entered.acquire()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert (pool.running, pool.abandoned) == (1, 1)
    gate.opened.set()
    await pool.aclose()
    assert (pool.running, pool.abandoned) == (0, 0)


async def test_failure_after_the_caller_has_gone_is_logged(
    pool: Offload, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        gate.pass_through()
        raise ValueError("nobody hears this")

    task = asyncio.create_task(pool.run(fail))
    await gate.entered.acquire()
    task.cancel()
    gate.opened.set()
    await pool.aclose()
    assert "fail failed after its caller had gone" in caplog.text
    assert "nobody hears this" in caplog.text


async def test_cancelled_waiter_never_begins_and_leaves_its_turn_to_the_next(
    pool: Offload, gate: Gate
) -> None:
    begun: list[str] = []
    busy = [asyncio.create_task(pool.run(gate.pass_through)) for _ in range(2)]
    await gate.entered.acquire()
    waiting = asyncio.create_task(pool.run(begun.append, "cancelled"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    next_one = asyncio.create_task(pool.run(begun.append, "next"))
    gate.opened.set()
    await asyncio.gather(next_one, *busy)
    assert begun == ["next"]


async def test_idle_thread_serves_the_next_function(pool: Offload) -> None:
    names = [await pool.run(lambda: threading.current_thread().name) for _ in range(5)]
    assert set(names) == {"test-offload-1"}


async def test_closing_fails_those_that_wait_and_awaits_those_that_run(
    pool: Offload, gate: Gate
) -> None:
    tasks = [asyncio.create_task(pool.run(gate.pass_through)) for _ in range(3)]
    await gate.entered.acquire()
    await gate.entered.acquire()
    closing = asyncio.create_task(pool.aclose())
    await asyncio.wait({tasks[2]})
    with pytest.raises(RuntimeError, match="test-offload is closed"):
        await tasks[2]
    assert not closing.done()
    gate.opened.set()
    await closing
    assert [await task for task in tasks[:2]] == ["through", "through"]


async def test_closed_pool_refuses(pool: Offload) -> None:
    await pool.aclose()
    await pool.aclose()
    with pytest.raises(RuntimeError, match="test-offload is closed"):
        await pool.run(int)


async def test_all_who_close_are_told_of_the_end(pool: Offload, gate: Gate) -> None:
    task = asyncio.create_task(pool.run(gate.pass_through))
    await gate.entered.acquire()
    closing = [asyncio.create_task(pool.aclose(timeout=None)) for _ in range(3)]
    await asyncio.sleep(0)
    closing.pop().cancel()
    gate.opened.set()
    async with asyncio.timeout(5):
        assert await task == "through"
        await asyncio.gather(*closing)


async def test_thread_that_does_not_end_is_left_behind_and_named(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    pool = Offload(clock=clock)
    task = asyncio.create_task(pool.run(gate.pass_through))
    await gate.entered.acquire()
    closing = asyncio.create_task(pool.aclose(timeout=5.0))
    await clock.advance(5.0)
    await closing
    assert "Gate.pass_through still blocks its thread" in caplog.text
    gate.opened.set()
    assert await task == "through"


async def test_threads_end_with_the_pool() -> None:
    async with Offload(name="test-ending") as pool:
        thread = await pool.run(threading.current_thread)
    assert not thread.is_alive()


def test_result_of_a_loop_that_has_ended_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    opened = threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(begun.set)
        opened.wait(10.0)

    async def main() -> None:
        task = asyncio.create_task(pool.run(work))
        await begun.wait()
        task.cancel()
        await asyncio.wait({task})
        await pool.aclose(timeout=0.0)

    begun = asyncio.Event()
    pool = Offload()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    opened.set()
    threads[0].join(10.0)
    assert "the event loop closed before" in caplog.text


async def test_helper_uses_the_applications_threads(pool: Offload) -> None:
    CURRENT.set(pool)
    name = await offload(lambda: threading.current_thread().name)
    assert name.startswith("test-offload-")


async def test_helper_works_outside_of_an_application() -> None:
    WORD.set("alone")
    assert await offload(WORD.get) == "alone"


async def test_decorated_method_blocks_a_thread_and_not_the_loop(pool: Offload) -> None:
    class Store:
        """Keeps things."""

        def __init__(self) -> None:
            self.main = threading.get_ident()

        @blocking
        def load(self, key: str, *, times: int = 1) -> str:
            """Load."""
            assert threading.get_ident() != self.main
            return key * times

    store = Store()
    CURRENT.set(pool)
    assert await store.load("k", times=2) == "kk"
    assert store.load.__doc__ == "Load."


def test_decorated_function_counts_as_async() -> None:
    function: Callable[[], object] = blocking(int)
    assert inspect.iscoroutinefunction(function)
