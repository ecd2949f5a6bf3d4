from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from kratos.app import App
from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.periodic import Periodic
from kratos.testing.app import running
from kratos.testing.clock import FakeClock


class Job:
    """Writes down when it runs, and takes as long as it is told."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.begun: list[float] = []
        self.ended: list[float] = []
        self.takes = 0.0
        self.failure: BaseException | None = None

    async def run(self) -> None:
        self.begun.append(self.clock.time())
        await self.clock.sleep(self.takes)
        if self.failure is not None:
            raise self.failure
        self.ended.append(self.clock.time())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=0.0)


@pytest.fixture
def job(clock: FakeClock) -> Job:
    return Job(clock)


Start = Callable[[Periodic], Awaitable["asyncio.Task[None]"]]


@pytest.fixture
async def start(clock: FakeClock) -> AsyncIterator[Start]:
    tasks: list[asyncio.Task[None]] = []

    async def run(periodic: Periodic) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(periodic.start()))
        await clock.settle()
        return tasks[-1]

    yield run
    await cancel_and_wait(*tasks)


async def test_job_runs_at_once_and_then_at_each_interval(
    clock: FakeClock, job: Job, start: Start
) -> None:
    await start(Periodic(job.run, interval=10.0, clock=clock))
    await clock.advance(25.0)
    assert job.begun == [0.0, 10.0, 20.0]


async def test_first_run_can_be_delayed(clock: FakeClock, job: Job, start: Start) -> None:
    await start(Periodic(job.run, interval=10.0, delay=5.0, clock=clock))
    await clock.advance(20.0)
    assert job.begun == [5.0, 15.0]


async def test_interval_counts_from_begin_to_begin(
    clock: FakeClock, job: Job, start: Start
) -> None:
    job.takes = 4.0
    await start(Periodic(job.run, interval=10.0, clock=clock))
    await clock.advance(25.0)
    assert job.begun == [0.0, 10.0, 20.0]


async def test_long_run_delays_the_next_and_nothing_is_made_up_for(
    clock: FakeClock, job: Job, start: Start
) -> None:
    job.takes = 25.0
    await start(Periodic(job.run, interval=10.0, clock=clock))
    await clock.advance(60.0)
    assert job.begun == [0.0, 25.0, 50.0]


async def test_failed_run_is_logged_and_the_next_comes_in_its_time(
    clock: FakeClock, job: Job, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job.failure = ValueError("disk full")
    await start(Periodic(job.run, interval=10.0, name="sweep", clock=clock))
    await clock.advance(10.0)
    assert job.begun == [0.0, 10.0]
    assert "job sweep failed" in caplog.text
    assert "disk full" in caplog.text


async def test_run_that_lets_a_cancellation_of_its_own_out_has_failed_as_any_other(
    clock: FakeClock, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    job.failure = asyncio.CancelledError()
    sweep = Periodic(job.run, interval=10.0, name="sweep", clock=clock)
    async with running(App(servers=[sweep], clock=clock, signals=())):
        await clock.settle()
        job.failure = None
        await clock.advance(10.0)
    assert (job.begun, job.ended) == ([0.0, 10.0], [10.0])
    assert "job sweep failed" in caplog.messages


async def test_cancellation_ends_the_run_under_way_and_all_later_ones(
    clock: FakeClock, job: Job, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job.takes = 3.0
    task = await start(Periodic(job.run, interval=10.0, clock=clock))
    await cancel_and_wait(task)
    await clock.advance(10.0)
    assert task.cancelled()
    assert (job.begun, job.ended, caplog.messages) == ([0.0], [], [])


async def test_run_beyond_its_limit_is_cancelled(
    clock: FakeClock, job: Job, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job.takes = 60.0
    await start(Periodic(job.run, interval=10.0, timeout=2.0, clock=clock))
    await clock.advance(10.0)
    assert (job.begun, job.ended) == ([0.0, 10.0], [])
    assert "job Job.run took longer than 2.0 s" in caplog.text


async def test_own_timeout_of_a_job_is_an_ordinary_failure(
    clock: FakeClock, job: Job, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    job.failure = TimeoutError("data base")
    await start(Periodic(job.run, interval=10.0, timeout=2.0, clock=clock))
    assert "job Job.run failed" in caplog.text


async def test_stop_lets_the_run_under_way_finish_and_begins_no_other(
    clock: FakeClock, job: Job, start: Start
) -> None:
    job.takes = 3.0
    periodic = Periodic(job.run, interval=1.0, clock=clock)
    task = await start(periodic)
    await periodic.stop()
    await clock.advance(2.9)
    assert not task.done()
    await clock.advance(10.0)
    assert task.done()
    assert job.ended == [3.0]


async def test_job_lives_and_ends_with_its_application(clock: FakeClock, job: Job) -> None:
    app = App(servers=[Periodic(job.run, interval=10.0, clock=clock)], clock=clock, signals=())
    async with running(app):
        await clock.advance(10.0)
    assert job.ended == [0.0, 10.0]


@pytest.mark.parametrize(
    ("interval", "delay", "timeout"), [(0.0, 0.0, 1.0), (1.0, -1.0, 1.0), (1.0, 0.0, 0.0)]
)
def test_wrong_times_are_refused(job: Job, interval: float, delay: float, timeout: float) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        Periodic(job.run, interval=interval, delay=delay, timeout=timeout)


def test_what_a_function_returned_is_no_job(job: Job) -> None:
    begun: Any = job.run()
    with pytest.raises(ConfigError, match=r"a job is an async function, .*not <coroutine"):
        Periodic(begun, interval=1.0)
