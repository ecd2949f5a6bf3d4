"""Long work lets others have their turn."""

import asyncio
import gc
from collections.abc import Iterator

from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.assembly import assemble
from kratos_gateway.collecting import lasting, uncollected
from kratos_gateway.settings import Settings
from kratos_gateway.slices import in_slices


class Steps:
    """Steps that take a second each, by a clock of their own."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.now = 0.0
        self.made = 0

    def time(self) -> float:
        return self.now

    def __iter__(self) -> Iterator[None]:
        for _ in range(self.count):
            self.now += 1.0
            self.made += 1
            yield


async def _turns(steps: Steps) -> list[int]:
    """Tell how much was done each time that somebody else had a turn."""
    seen: list[int] = []

    async def other() -> None:
        while steps.made < steps.count:
            seen.append(steps.made)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await in_slices(steps, seconds=3.0, time=steps.time)
    await task
    return seen


async def test_others_have_their_turn_after_so_many_seconds() -> None:
    assert await _turns(Steps(10)) == [3, 6, 9]


async def test_short_work_is_not_interrupted() -> None:
    assert await _turns(Steps(2)) == []


async def test_work_that_is_cancelled_stops_between_two_steps() -> None:
    steps = Steps(1_000_000)
    task = asyncio.create_task(in_slices(steps, seconds=3.0, time=steps.time))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    assert steps.made == 3


async def test_a_gateway_serves_others_while_it_makes_thousands_of_endpoints() -> None:
    backends = [pb.Backend(target="127.0.0.1:1")]
    endpoints = [pb.Endpoint(path=f"/{each}/*", backends=backends) for each in range(2000)]
    gateway = assemble(Settings(), environ={}).gateway
    turns = 0

    async def other() -> None:
        nonlocal turns
        while gateway.serving is None:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await gateway.apply(pb.Gateway(endpoints=endpoints))
    await task
    assert gateway.serving is not None
    await gateway.serving.aclose(drain=0.0)

    assert turns > 10  # made in one go, there would be three


def test_no_full_collection_is_due_until_all_are_done() -> None:
    before = gc.get_threshold()
    with uncollected():
        with uncollected():
            assert gc.get_threshold()[2] > 1_000_000
        assert gc.get_threshold()[2] > 1_000_000
        assert gc.get_threshold()[:2] == before[:2]

    assert gc.get_threshold() == before


def test_what_lasts_is_left_alone_for_good() -> None:
    before = gc.get_freeze_count()
    try:
        with lasting():
            made = [[each] for each in range(100)]
        assert gc.get_freeze_count() >= before + len(made)
    finally:
        gc.unfreeze()


def test_what_failed_is_not_kept() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        with lasting():
            raise ValueError("no configuration")
    except ValueError:
        pass

    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == frozen
