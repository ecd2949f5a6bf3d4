"""What the limiters do when there is no answer, with a client that fails to order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MaxConnectionsError, ResponseError

from aegis import Backoff, ManualClock
from kratos_redis import OnError, RedisGcra, RedisSlidingWindow, RedisUnavailable
from kratos_redis.limiter import Limiter

BACKOFF = Backoff(base=1.0, cap=8.0, jitter="none")


class Client:
    """Answers what it is told to: with an error, never, or that the call is allowed."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.held: asyncio.Event | None = None
        self.asked = 0
        self.answer = [1, 0, 0, 1]

    async def evalsha(self, sha: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        self.asked += 1
        if self.held is not None:
            await self.held.wait()
        if self.error is not None:
            raise self.error
        return self.answer

    async def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        return await self.evalsha("", numkeys, *keys_and_args)


class Gcra(Client):
    async def evalsha(self, sha: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        return (await super().evalsha(sha, numkeys, *keys_and_args))[:2]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def client() -> Client:
    return Gcra()


Make = Callable[..., Limiter]


@pytest.fixture
def make(client: Client, clock: ManualClock) -> Make:
    def gcra(on_error: OnError = "local", **options: Any) -> Limiter:
        defaults: dict[str, Any] = {"rate": 4, "burst": 8, "timeout": 5.0}
        return RedisGcra(
            client,
            **(defaults | options),
            on_error=on_error,
            backoff=BACKOFF,
            clock=clock,
        )

    return gcra


async def allowed(limiter: Limiter, calls: int) -> int:
    return sum([await limiter.allow("key") for _ in range(calls)])


@pytest.mark.parametrize("n", [0, 1.5, float("nan")])
async def test_permits_are_whole_and_at_least_one(make: Make, client: Client, n: Any) -> None:
    with pytest.raises(ValueError, match="n must be a whole number and at least 1"):
        await make().allow("key", n)

    assert client.asked == 0


async def test_local_limiter_has_the_share_of_one_process(
    make: Make, client: Client, clock: ManualClock
) -> None:
    client.error = RedisConnectionError("gone")
    limiter = make(replicas=2)

    assert await allowed(limiter, 10) == 4
    clock.advance(0.5)
    assert await allowed(limiter, 10) == 1


async def test_local_sliding_window_has_its_share_too(clock: ManualClock) -> None:
    client = Client()
    client.error = OSError("unreachable")
    limiter = RedisSlidingWindow(client, limit=9, window=60.0, replicas=3, clock=clock)

    assert await allowed(limiter, 10) == 3


async def test_share_is_never_less_than_one_permit(make: Make, client: Client) -> None:
    client.error = RedisConnectionError("gone")

    assert await allowed(make(replicas=100), 10) == 1


async def test_allow_lets_all_calls_through_that_could_be(make: Make, client: Client) -> None:
    client.error = RedisConnectionError("gone")
    limiter = make("allow")

    assert await allowed(limiter, 10) == 10
    assert not await limiter.allow("key", 9)


async def test_deny_refuses_and_tells_when_redis_is_asked_again(
    make: Make, client: Client, clock: ManualClock
) -> None:
    client.error = RedisConnectionError("gone")
    limiter = make("deny")
    await limiter.allow("key")
    clock.advance(0.25)

    decision = await limiter.take("key")

    assert (decision.allowed, decision.remaining, decision.retry_after) == (False, 0, 0.75)


async def test_raise_tells_the_cause_though_it_does_not_ask(make: Make, client: Client) -> None:
    client.error = RedisConnectionError("gone")
    limiter = make("raise")

    for _ in range(2):
        with pytest.raises(RedisUnavailable, match="ConnectionError: gone") as caught:
            await limiter.allow("key")
        assert caught.value.__cause__ is client.error
    assert client.asked == 1


async def test_answer_that_does_not_come_in_time_is_none(make: Make, client: Client) -> None:
    client.held = asyncio.Event()
    limiter = make("allow", timeout=0.01)

    assert await limiter.allow("key")

    stats = limiter.stats()
    assert (stats.failures, stats.unanswered, stats.is_away) == (1, 1, True)
    assert stats.last_error.startswith("TimeoutError")


async def test_redis_that_failed_is_asked_ever_more_seldom(
    make: Make, client: Client, clock: ManualClock
) -> None:
    client.error = RedisConnectionError("gone")
    limiter = make("allow")
    asked: list[float] = []
    for tick in range(200):
        before = client.asked
        await limiter.allow("key")
        if client.asked > before:
            asked.append(tick / 4)
        clock.advance(0.25)

    assert asked == [0, 1, 3, 7, 15, 23, 31, 39, 47]


async def test_redis_that_answers_again_decides_again(
    make: Make, client: Client, clock: ManualClock
) -> None:
    client.error = RedisConnectionError("gone")
    limiter = make("deny")
    assert await allowed(limiter, 3) == 0
    client.error = None
    clock.advance(1)

    assert await allowed(limiter, 3) == 3

    stats = limiter.stats()
    assert (stats.answered, stats.failures, stats.unanswered) == (3, 1, 3)
    assert (stats.unanswered_allowed, stats.is_away, stats.last_error) == (0, False, "")


async def test_it_is_told_once_when_redis_goes_away_and_once_when_it_is_back(
    make: Make, client: Client, clock: ManualClock
) -> None:
    turns: list[BaseException | None] = []
    limiter = make("allow", on_turn=turns.append)
    gone, refused = RedisConnectionError("gone"), RedisConnectionError("refused")
    await limiter.allow("key")
    assert turns == []

    for client.error in (gone, refused):
        await limiter.allow("key")
        await limiter.allow("key")
        clock.advance(60)
    assert turns == [gone]

    client.error = None
    assert await allowed(limiter, 3) == 3
    assert turns == [gone, None]

    client.error = refused
    await limiter.allow("key")
    assert turns == [gone, None, refused]


async def test_a_key_that_holds_something_else_is_no_absence_of_redis(
    make: Make, client: Client
) -> None:
    turns: list[BaseException | None] = []
    limiter = make("allow", on_turn=turns.append, rate=1000, burst=1000)
    for _ in range(20):
        client.error = ResponseError("WRONGTYPE Operation against a key")
        await allowed(limiter, 9)
        client.error = None
        await limiter.allow("other")
    assert turns == []


async def test_it_is_told_of_a_redis_that_gives_nothing_but_bad_answers(
    make: Make, client: Client
) -> None:
    turns: list[BaseException | None] = []
    limiter = make("allow", on_turn=turns.append)
    client.error = ResponseError("DB index is out of range")
    assert await allowed(limiter, 30) == 30
    assert turns == [client.error]
    assert not limiter.stats().is_away

    client.error = None
    await limiter.allow("key")
    assert turns[1:] == [None]


async def test_redis_that_comes_back_with_bad_answers_is_not_told_to_be_back(
    make: Make, client: Client, clock: ManualClock
) -> None:
    turns: list[BaseException | None] = []
    limiter = make("allow", on_turn=turns.append)
    client.error = gone = RedisConnectionError("gone")
    await limiter.allow("key")
    client.error = ResponseError("DB index is out of range")
    clock.advance(60)
    await allowed(limiter, 30)
    assert turns == [gone]

    client.error = None
    await limiter.allow("key")
    assert turns == [gone, None]


async def test_calls_that_fail_together_count_as_one_failure(
    make: Make, client: Client, clock: ManualClock
) -> None:
    client.held = asyncio.Event()
    limiter = make("allow")
    calls = [asyncio.create_task(limiter.allow("key")) for _ in range(20)]
    await asyncio.sleep(0)
    client.error = RedisConnectionError("gone")
    client.held.set()
    await asyncio.gather(*calls)
    assert client.asked == 20

    clock.advance(1)
    await limiter.allow("key")

    assert client.asked == 21


async def test_one_call_alone_finds_out_whether_redis_is_back(
    make: Make, client: Client, clock: ManualClock
) -> None:
    client.error = RedisConnectionError("gone")
    limiter = make("deny")
    await limiter.allow("key")
    client.error, client.held = None, asyncio.Event()
    clock.advance(1)

    finding = asyncio.create_task(limiter.allow("key"))
    await asyncio.sleep(0)
    assert await allowed(limiter, 5) == 0
    assert client.asked == 2
    client.held.set()

    assert await finding


async def test_next_call_asks_if_that_one_is_cancelled(
    make: Make, client: Client, clock: ManualClock
) -> None:
    client.error = RedisConnectionError("gone")
    limiter = make("deny")
    await limiter.allow("key")
    client.error, client.held = None, asyncio.Event()
    clock.advance(1)
    finding = asyncio.create_task(limiter.allow("key"))
    await asyncio.sleep(0)

    finding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finding
    client.held = None

    assert await limiter.allow("key")


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
async def test_call_from_before_the_failure_admits_no_second_that_finds_out(
    make: Make, client: Client, clock: ManualClock, ending: str
) -> None:
    client.held = earlier = asyncio.Event()
    limiter = make("deny")
    old = asyncio.create_task(limiter.allow("key"))
    await asyncio.sleep(0)
    client.error, client.held = RedisConnectionError("gone"), None
    await limiter.allow("key")
    client.held = asyncio.Event()
    clock.advance(1)
    finding = asyncio.create_task(limiter.allow("key"))
    await asyncio.sleep(0)
    assert client.asked == 3

    if ending == "cancelled":
        old.cancel()
    earlier.set()
    await asyncio.wait({old})
    clock.advance(60)
    client.error = None

    assert not await limiter.allow("key")
    assert client.asked == 3
    client.held.set()
    assert await finding


async def test_refusal_is_remembered_from_the_question_on(
    make: Make, client: Client, clock: ManualClock
) -> None:
    limiter = make(rate=4, burst=1)
    client.answer = [0, 250_000]  # microseconds until a permit comes
    client.held = asyncio.Event()
    call = asyncio.create_task(limiter.allow("key"))
    await asyncio.sleep(0)
    clock.advance(0.2)  # which is how long the answer takes
    client.held.set()
    assert not await call

    assert (await limiter.take("key")).retry_after == pytest.approx(0.05)
    assert client.asked == 1
    clock.advance(0.05)
    await limiter.take("key")
    assert client.asked == 2


class Pooled(Gcra):
    """Has one connection, and all others of its questions fail for want of one."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = False

    async def evalsha(self, sha: str, numkeys: int, /, *keys_and_args: Any) -> Any:
        if self.busy:
            raise MaxConnectionsError("Too many connections")
        self.busy = True
        try:
            return await super().evalsha(sha, numkeys, *keys_and_args)
        finally:
            self.busy = False


@pytest.fixture
def pooled() -> Pooled:
    return Pooled()


async def test_question_waits_for_a_connection_that_another_has(pooled: Pooled) -> None:
    limiter = RedisGcra(pooled, rate=1, burst=1, timeout=5.0, on_error="raise")
    other = RedisGcra(pooled, rate=1, burst=1, timeout=5.0, on_error="raise")
    pooled.held = asyncio.Event()
    calls = [asyncio.create_task(one.allow("key")) for one in (limiter, other) * 10]
    await asyncio.sleep(0)
    assert pooled.asked == 1

    for gone in calls[3:6]:
        gone.cancel()
    pooled.held.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert answers.count(True) == 17
    assert pooled.asked == 17


async def test_one_cancelled_as_it_gets_its_turn_passes_it_on(pooled: Pooled) -> None:
    limiter = RedisGcra(pooled, rate=1, burst=1, timeout=5.0, on_error="raise")
    pooled.held = asyncio.Event()

    async def first() -> None:
        await limiter.allow("key")
        second.cancel()  # its turn has come, and it has not run yet

    begun = asyncio.create_task(first())
    await asyncio.sleep(0)
    second = asyncio.create_task(limiter.allow("key"))
    third = asyncio.create_task(limiter.allow("key"))
    await asyncio.sleep(0)
    pooled.held.set()

    assert await third
    assert begun.done()
    assert second.cancelled()
    assert pooled.asked == 2


async def test_want_of_connections_that_others_have_is_no_absence_of_redis(pooled: Pooled) -> None:
    limiter = RedisGcra(pooled, rate=1, burst=1, timeout=5.0, on_error="deny")
    pooled.busy = True
    assert not await limiter.allow("key")
    assert not limiter.stats().is_away
    pooled.busy = False

    assert await limiter.allow("key")


async def test_error_that_redis_answers_with_does_not_keep_others_from_asking(
    make: Make, client: Client
) -> None:
    client.error = ResponseError("WRONGTYPE")
    limiter = make("raise")
    with pytest.raises(RedisUnavailable, match="ResponseError: WRONGTYPE"):
        await limiter.allow("key")
    client.error = None

    assert await limiter.allow("other")
