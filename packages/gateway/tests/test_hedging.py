"""Attempts side by side: when another one begins, which counts, and what becomes of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos.limit import cancel_and_wait
from kratos.selector import Node
from kratos.testing.clock import FakeClock
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Request, RequestOptions
from kratos_gateway.proxy.attempting import Attempting
from kratos_gateway.proxy.retry import Attempt
from kratos_gateway.testing import Proxied, backend, proxied, say
from kratos_http.testing import eventually

DELAY = 0.1


class Body:
    """The body of an answer, which notes that it was cut off."""

    trailers = ()

    def __init__(self) -> None:
        self.closed = False

    async def read(self) -> bytes:
        return b""

    def close(self) -> None:
        self.closed = True


class Race:
    """A request whose attempts end when a test says so, in time of its own."""

    def __init__(self, **retry: Any) -> None:
        self.clock = FakeClock()
        told = {
            "attempts": 3,
            "hedgeDelay": f"{DELAY}s",
            "conditions": [{"byStatusCode": "500-599"}],
            **retry,
        }
        endpoint: Endpoint = ParseDict({"path": "/", "retry": told}, Endpoint())
        making = Attempting(enabled=lambda: self.enabled, unsafe=True, clock=self.clock)
        hedge = making.hedge(endpoint, making.retry(endpoint))
        assert hedge is not None
        self.hedge = hedge
        self.enabled = True
        self.ready = True
        self.left = 1e9
        self.told: list[str] = []
        self.attempts: list[asyncio.Future[Answer]] = []
        self.requests: list[Request] = []
        self.options = RequestOptions(Endpoint())

    def start(self, attempt: Attempt | None = None) -> asyncio.Task[Answer]:
        return asyncio.create_task(
            self.hedge.run(
                self.request(),
                attempt or self.attempt,
                self.request,
                self.told.append,
                lambda: self.left,
                ready=lambda: self.ready,
            )
        )

    def request(self) -> Request:
        return Request("GET", "http", "", "/", "", [], b"", "", "1.1", self.options)

    async def attempt(self, request: Request) -> Answer:
        self.requests.append(request)
        number = len(self.attempts)
        request.options.current_node = Node(scheme="http", address=f"node:{number + 1}")
        request.options.backends.append(f"node:{number + 1}")
        self.attempts.append(asyncio.get_running_loop().create_future())
        return await self.attempts[number]

    @property
    def cancelled(self) -> list[bool]:
        return [each.cancelled() for each in self.attempts]


@asynccontextmanager
async def racing(**retry: Any) -> AsyncGenerator[tuple[Race, asyncio.Task[Answer]]]:
    race = Race(**retry)
    running = race.start()
    await race.clock.settle()
    yield race, running
    await cancel_and_wait(running)


async def test_another_attempt_begins_when_none_has_answered_for_the_delay() -> None:
    async with racing() as (race, running):
        await race.clock.advance(DELAY * 0.9)
        assert len(race.attempts) == 1
        await race.clock.advance(DELAY * 0.2)
        assert len(race.attempts) == 2
        await race.clock.advance(DELAY)
        assert len(race.attempts) == 3
        await race.clock.advance(100 * DELAY)
        assert len(race.attempts) == 3  # as many as there are at most
        assert not running.done()


async def test_the_first_good_answer_counts_and_the_others_are_cancelled() -> None:
    async with racing() as (race, running):
        await race.clock.advance(2.5 * DELAY)
        race.attempts[1].set_result(Answer(200))
        assert (await running).status == 200
        await race.clock.settle()
        assert race.cancelled == [True, False, True]
        assert race.told == ["true", "cancelled"]
        assert race.clock.sleepers == 0


@pytest.mark.parametrize("winner", [0, 1])
async def test_the_node_that_answered_is_the_current_one(winner: int) -> None:
    async with racing() as (race, running):
        await race.clock.advance(1.5 * DELAY)
        assert [each.options.last_attempt for each in race.requests] == [False, False]
        race.attempts[winner].set_result(Answer(200))
        await running
        assert race.options.current_node is not None
        assert race.options.current_node.address == f"node:{winner + 1}"
        assert race.options.backends == ["node:1", "node:2"]


async def test_an_attempt_that_failed_is_followed_at_once() -> None:
    async with racing() as (race, running):
        race.attempts[0].set_exception(ConnectionResetError())
        await race.clock.settle()
        assert len(race.attempts) == 2
        race.attempts[1].set_result(Answer(503))
        await race.clock.settle()
        assert len(race.attempts) == 3
        race.attempts[2].set_result(Answer(200))
        assert (await running).status == 200
        assert race.told == ["false", "true"]


async def test_a_back_off_is_waited_for_after_a_failure() -> None:
    async with racing(backoff={"base": "1s"}) as (race, running):
        asking = Answer(503, [(b"retry-after", b"2")])
        race.attempts[0].set_result(asking)
        await race.clock.advance(1.9)
        assert len(race.attempts) == 1
        await race.clock.advance(0.15)
        assert len(race.attempts) == 2
        race.left = 1.0
        race.attempts[1].set_result(Answer(503, [(b"retry-after", b"2")]))
        assert (await running).status == 503  # and no third one, for which there is no time
        assert len(race.attempts) == 2


async def test_a_failure_is_not_the_last_word_while_others_are_under_way() -> None:
    async with racing(attempts=2) as (race, running):
        await race.clock.advance(1.5 * DELAY)
        race.attempts[1].set_exception(ConnectionResetError())
        await race.clock.settle()
        assert not running.done()
        race.attempts[0].set_result(Answer(200))
        assert (await running).status == 200
        assert race.told == ["false"]


async def test_without_a_good_answer_the_last_one_counts() -> None:
    async with racing(attempts=2) as (race, running):
        await race.clock.advance(1.5 * DELAY)
        first = Body()
        race.attempts[0].set_result(Answer(500, [], first))
        await race.clock.settle()
        assert not first.closed
        race.attempts[1].set_result(Answer(503))
        assert (await running).status == 503
        assert first.closed


async def test_without_an_answer_the_failure_counts() -> None:
    async with racing(attempts=2) as (race, running):
        race.attempts[0].set_exception(ConnectionResetError("first"))
        await race.clock.settle()
        race.attempts[1].set_exception(ConnectionResetError("second"))
        with pytest.raises(ConnectionResetError, match="second"):
            await running


async def test_what_another_attempt_would_not_change_ends_all() -> None:
    async with racing() as (race, running):
        await race.clock.advance(1.5 * DELAY)
        race.attempts[0].set_exception(ValueError("a header cannot be sent"))
        with pytest.raises(ValueError, match="cannot be sent"):
            await running
        await race.clock.settle()
        assert race.cancelled == [False, True]


async def test_an_answer_that_comes_beside_the_one_that_counts_is_cut_off() -> None:
    async with racing(attempts=2) as (race, running):
        await race.clock.advance(1.5 * DELAY)
        bodies = [Body(), Body()]
        for attempt, body in zip(race.attempts, bodies, strict=True):
            attempt.set_result(Answer(200, [], body))
        answer = await running
        await race.clock.settle()
        assert sorted(body.closed for body in bodies) == [False, True]
        assert isinstance(answer.body, Body)
        assert not answer.body.closed


async def test_who_gives_up_gives_all_attempts_up() -> None:
    async with racing() as (race, running):
        await race.clock.advance(2.5 * DELAY)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await race.clock.settle()
        assert race.cancelled == [True, True, True]


async def test_a_body_that_still_comes_is_sent_by_one_attempt_alone() -> None:
    async with racing() as (race, _running):
        race.ready = False
        await race.clock.advance(5.5 * DELAY)
        assert len(race.attempts) == 1
        race.ready = True
        await race.clock.advance(DELAY)
        assert len(race.attempts) == 2


async def test_a_budget_holds_for_attempts_side_by_side_too() -> None:
    spare = {"share": 0, "minPerSecond": 1, "window": "1s"}
    async with racing(budget=spare) as (race, running):
        await race.clock.advance(0.9)
        assert len(race.attempts) == 2
        assert race.told == ["budget"]
        race.attempts[0].set_result(Answer(200))
        assert (await running).status == 200


async def test_there_is_one_attempt_while_the_feature_is_off() -> None:
    async with racing() as (race, _running):
        race.enabled = False
        await race.clock.advance(5 * DELAY)
        assert len(race.attempts) == 1


@settings(deadline=None, max_examples=50)
@given(
    plan=st.lists(
        st.tuples(st.floats(0, 5 * DELAY), st.sampled_from(("good", "bad", "lost"))),
        min_size=4,
        max_size=4,
    ),
    attempts=st.integers(2, 4),
)
def test_whatever_attempts_do_one_answer_counts_and_none_is_left(
    plan: list[tuple[float, str]], attempts: int
) -> None:
    bodies: list[Body] = []
    begun = 0
    under_way = 0

    async def play() -> None:
        nonlocal begun, under_way
        race = Race(attempts=attempts)

        async def attempt(_request: Request) -> Answer:
            nonlocal begun, under_way
            takes, outcome = plan[begun]
            begun += 1
            under_way += 1
            try:
                await race.clock.sleep(takes)
            finally:
                under_way -= 1
            if outcome == "lost":
                raise ConnectionResetError
            bodies.append(Body())
            return Answer(200 if outcome == "good" else 503, [], bodies[-1])

        running = race.start(attempt)
        await race.clock.advance(60.0)
        kinds = [outcome for _, outcome in plan[:begun]]
        assert 1 <= begun <= attempts
        if running.exception() is not None:
            assert set(kinds) == {"lost"}
        elif "good" in kinds:
            assert running.result().status == 200
            assert sum(not body.closed for body in bodies) == 1
        assert under_way == 0
        if "good" not in kinds:
            assert begun == attempts  # none was spared

    asyncio.run(play())


def to(*addresses: str, **more: Any) -> dict[str, Any]:
    given = {"path": "/*", "timeout": "60s", "backends": [{"target": each} for each in addresses]}
    return {**given, "retry": {"attempts": 2, "hedgeDelay": f"{DELAY}s"}, **more}


class Slow:
    """Two nodes, of which the one that is asked first does not answer."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, _head: Head, wire: Wire) -> None:
        if self.asked.is_set():
            self.bodies.append(await say(wire, 200, b"second"))
            return
        while piece := await wire.read():
            self.bodies.append(piece)
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


async def asked(gateway: Proxied, slow: Slow, clock: FakeClock, method: str, body: bytes) -> Any:
    peer = await gateway.connect()
    asking = asyncio.create_task(peer.request(method, "/", body=body))
    await slow.asked.wait()
    await eventually(lambda: clock.sleepers == 1)  # the delay is waited for
    await clock.advance(2 * DELAY)
    return await asking


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("GET", {}),
        ("PUT", {}),
        ("POST", {"idempotent": False}),
        ("POST", {"idempotent": False, "protocol": "GRPC"}),
    ],
)
async def test_another_node_answers_and_the_slow_one_learns_of_it(
    method: str, more: dict[str, Any]
) -> None:
    slow, clock = Slow(), FakeClock()
    retry: dict[str, Any] = {"attempts": 2, "hedgeDelay": f"{DELAY}s"}
    if "idempotent" in more:
        retry["idempotentOnly"] = more.pop("idempotent")
    body = b"" if method == "GET" else b"the body"
    async with backend(slow) as one, backend(slow) as two:
        endpoint = to(one.address, two.address, retry=retry, **more)
        async with proxied(endpoint, clock=clock) as gateway:
            answer = await asked(gateway, slow, clock, method, body)
            assert (answer.status, answer.body) == (200, b"second")
            await slow.left.wait()
            assert [len(one.heads), len(two.heads)] == [1, 1]
    assert b"".join(slow.bodies) == body * 2


async def test_what_may_have_been_meant_once_is_not_asked_twice_at_once() -> None:
    slow, clock = Slow(), FakeClock()
    async with backend(slow) as node, proxied(to(node.address), clock=clock) as gateway:
        peer = await gateway.connect()
        asking = asyncio.create_task(peer.request("POST", "/"))
        await slow.asked.wait()
        await clock.advance(10 * DELAY)
        assert len(node.heads) == 1
        await cancel_and_wait(asking)


async def test_a_long_body_is_sent_by_the_other_attempt_as_well() -> None:
    slow, clock = Slow(), FakeClock()
    body = b"x" * 300_000
    async with (
        backend(slow) as node,
        proxied(to(node.address), clock=clock) as gateway,
    ):
        answer = await asked(gateway, slow, clock, "PUT", body)
    assert answer.body == b"second"
    assert len(b"".join(slow.bodies)) == 2 * len(body)
