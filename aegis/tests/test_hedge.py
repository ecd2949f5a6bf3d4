from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aegis import HedgePolicy, LatencyQuantile, ManualClock, TokenRetryBudget, hedged

AT_ONCE = HedgePolicy(attempts=3, delay=0.0)
LATER = HedgePolicy(attempts=3, delay=3600.0)  # only failures send another copy


class Copies:
    """Copies of a call that end when the test says so."""

    def __init__(self) -> None:
        self.ends: list[asyncio.Future[str]] = []
        self.cancelled: list[int] = []
        self.finished: list[int] = []
        self.started = asyncio.Condition()

    async def call(self) -> str:
        number = len(self.ends)
        self.ends.append(asyncio.get_running_loop().create_future())
        async with self.started:
            self.started.notify_all()
        try:
            return await self.ends[number]
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        finally:
            await asyncio.sleep(0)  # a clean-up that takes a turn of the loop
            self.finished.append(number)

    async def sent(self, count: int) -> None:
        async with asyncio.timeout(5), self.started:
            await self.started.wait_for(lambda: len(self.ends) >= count)


@pytest.fixture
async def unhandled() -> list[dict[str, Any]]:
    """What the loop had to complain of, such as an exception that was never retrieved."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    return complaints


def run(
    policy: HedgePolicy,
    call: Callable[[], Coroutine[Any, Any, str]],
    lost: list[BaseException] | None = None,
) -> asyncio.Task[str]:
    heard: list[BaseException] = [] if lost is None else lost
    return asyncio.create_task(hedged(policy, call, on_lost=heard.append))


async def test_fast_answer_sends_no_other_copy() -> None:
    copies = Copies()
    race = run(LATER, copies.call)
    await copies.sent(1)

    copies.ends[0].set_result("first")

    assert await race == "first"
    assert len(copies.ends) == 1


async def test_first_answer_wins_and_the_others_are_cancelled_and_awaited() -> None:
    copies = Copies()
    race = run(AT_ONCE, copies.call)
    await copies.sent(3)

    copies.ends[1].set_result("second")

    assert await race == "second"
    assert sorted(copies.cancelled) == [0, 2]
    assert sorted(copies.finished) == [0, 1, 2]


async def test_error_ends_the_call_and_its_copies() -> None:
    copies = Copies()
    race = run(AT_ONCE, copies.call)
    await copies.sent(3)

    copies.ends[2].set_exception(KeyError("fatal"))

    with pytest.raises(KeyError, match="fatal"):
        await race
    assert sorted(copies.finished) == [0, 1, 2]


async def test_error_that_is_not_fatal_sends_the_next_copy_at_once() -> None:
    copies, lost = Copies(), list[BaseException]()
    policy = HedgePolicy(attempts=2, delay=3600.0, non_fatal=lambda _: True)
    race = run(policy, copies.call, lost)
    await copies.sent(1)
    error = ConnectionError("first")

    copies.ends[0].set_exception(error)
    await copies.sent(2)
    copies.ends[1].set_result("second")

    assert await race == "second"
    assert lost == [error]


async def test_last_error_is_raised_and_the_others_are_told_when_all_fail() -> None:
    copies, lost = Copies(), list[BaseException]()
    policy = HedgePolicy(attempts=3, delay=0.0, non_fatal=lambda _: True)
    race = run(policy, copies.call, lost)
    await copies.sent(3)
    errors = [ConnectionError(str(number)) for number in range(3)]

    for future, error in zip(copies.ends, errors, strict=True):
        future.set_exception(error)
        await asyncio.sleep(0)

    with pytest.raises(ConnectionError) as caught:
        await race
    assert {caught.value, *lost} == set(errors)
    assert len(lost) == 2


async def test_no_error_is_left_unretrieved(unhandled: list[dict[str, Any]]) -> None:
    lost = list[BaseException]()
    ready = asyncio.Event()
    count = 0

    async def call() -> str:
        nonlocal count
        count += 1
        number = count
        if number == 3:
            ready.set()
        try:
            await ready.wait()
            if number < 3:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise LookupError(number) from None  # in place of its end
        return "third"

    assert await run(AT_ONCE, call, lost) == "third"

    assert sorted(error.args[0] for error in lost) == [1, 2]
    assert unhandled == []


async def test_cancelling_the_caller_cancels_all_copies_and_awaits_them() -> None:
    copies = Copies()
    race = run(AT_ONCE, copies.call)
    await copies.sent(3)

    race.cancel()

    with pytest.raises(asyncio.CancelledError):
        await race
    assert sorted(copies.cancelled) == sorted(copies.finished) == [0, 1, 2]


async def test_caller_that_is_cancelled_twice_still_leaves_nothing_behind() -> None:
    may_end, ending, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def call() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()
            ended.set()
        raise AssertionError

    race = run(LATER, call)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    race.cancel()
    await ending.wait()
    race.cancel()
    await asyncio.sleep(0)
    assert not race.done()
    may_end.set()

    with pytest.raises(asyncio.CancelledError):
        await race
    assert ended.is_set()


async def test_copy_that_cancels_itself_ends_the_call_as_cancelled() -> None:
    async def call() -> str:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await hedged(LATER, call)


async def test_budget_that_is_spent_sends_no_more_copies() -> None:
    copies, asked = Copies(), asyncio.Event()

    class Spent:
        deposits = 0

        def deposit(self) -> None:
            self.deposits += 1

        def withdraw(self) -> bool:
            assert not asked.is_set(), "asked again by a call that was refused"
            asked.set()
            return False

    budget = Spent()
    race = run(HedgePolicy(attempts=3, delay=0.0, budget=budget), copies.call)
    await asked.wait()

    copies.ends[0].set_result("first")

    assert await race == "first"
    assert (len(copies.ends), budget.deposits) == (1, 1)


async def test_latency_of_the_whole_call_feeds_the_quantile() -> None:
    clock, tracked = ManualClock(), LatencyQuantile(0.5, initial=3600.0, min_samples=1, window=1)

    async def call() -> str:
        clock.advance(0.2)
        return "answer"

    await hedged(HedgePolicy(delay=tracked), call, clock=clock)

    assert tracked.value == pytest.approx(0.2, rel=0.06)


async def test_failed_call_feeds_nothing() -> None:
    tracked = LatencyQuantile(0.5, initial=3600.0, min_samples=1, window=1)
    budget = TokenRetryBudget(max_tokens=3)

    async def call() -> str:
        raise KeyError

    with pytest.raises(KeyError):
        await hedged(HedgePolicy(delay=tracked, budget=budget), call)
    assert tracked.value == 3600.0


async def test_lost_errors_are_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    errors = [ConnectionError("gone"), None]

    async def call() -> str:
        error = errors.pop(0)
        if error is not None:
            raise error
        return "second"

    with caplog.at_level("INFO", logger="aegis.hedge"):
        await hedged(HedgePolicy(delay=3600.0, non_fatal=lambda _: True), call)

    assert "ConnectionError('gone')" in caplog.text


async def test_answer_is_not_lost_to_an_on_lost_that_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors = [ConnectionError("gone"), None]

    async def call() -> str:
        error = errors.pop(0)
        if error is not None:
            raise error
        return "second"

    def on_lost(error: BaseException) -> None:
        raise KeyError(error)

    policy = HedgePolicy(delay=3600.0, non_fatal=lambda _: True)

    assert await hedged(policy, call, on_lost=on_lost) == "second"
    assert "on_lost of a hedged call failed, for ConnectionError('gone')" in caplog.text


def test_next_delay_ends_with_the_attempts_and_follows_the_quantile() -> None:
    tracked = LatencyQuantile(0.95, initial=0.3)

    fixed = HedgePolicy(attempts=3, delay=0.1)
    moving = HedgePolicy(delay=tracked)

    assert [fixed.next_delay(sent) for sent in (1, 2, 3)] == [0.1, 0.1, None]
    assert [moving.next_delay(sent) for sent in (1, 2)] == [0.3, None]


@pytest.mark.parametrize(
    ("option", "value"), [("attempts", 0), ("attempts", 6), ("delay", -1), ("delay", float("inf"))]
)
def test_options_out_of_range_are_refused(option: str, value: Any) -> None:
    options: dict[str, Any] = {"delay": 1.0, option: value}
    with pytest.raises(ValueError, match=f"^{option} must"):
        HedgePolicy(**options)
