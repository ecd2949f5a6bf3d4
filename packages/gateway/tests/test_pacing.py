"""Waits between attempts, and budgets that bound them."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from aegis.backoff import Backoff
from kratos.clock import Clock
from kratos.errors import ConfigError
from kratos.testing.clock import InstantClock
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.gateway_pb2 import Retry as Retries
from kratos_gateway.exchange import Answer, Request, RequestOptions
from kratos_gateway.proxy.attempting import Attempting
from kratos_gateway.proxy.pacing import Pace
from kratos_gateway.proxy.retry import Retry
from kratos_gateway.retries import backoff_of
from kratos_gateway.testing import backend, proxied, say


def retry_of(clock: Clock | None = None, **told: Any) -> Retry:
    retry = {"attempts": 3, "conditions": [{"byStatusCode": "500-599"}], **told}
    endpoint: Endpoint = ParseDict({"path": "/", "retry": retry}, Endpoint())
    making = Attempting(enabled=lambda: True, unsafe=True, clock=clock or InstantClock())
    return making.retry(endpoint)


async def ask(
    retry: Retry, *answers: Answer, told: list[str] | None = None, left: float = 1e9
) -> Answer:
    coming = iter(answers)
    request = Request("GET", "http", "", "/", "", [], b"", "", "1.1", RequestOptions(Endpoint()))

    async def attempt(_request: Request) -> Answer:
        return next(coming)

    tell = (told if told is not None else []).append
    return await retry.run(request, attempt, lambda: request, tell, lambda: left)


def refusing(*headers: tuple[bytes, bytes]) -> Answer:
    return Answer(503, list(headers))


async def test_each_wait_has_twice_the_ceiling_up_to_the_last() -> None:
    pace = Pace(Backoff(base=0.1, cap=0.25), clock=InstantClock(), draw=lambda: 0.5)
    assert [pace.wait(made, None) for made in (1, 2, 3, 4)] == [0.05, 0.1, 0.125, 0.125]


async def test_nothing_is_waited_where_no_back_off_is_said() -> None:
    clock = InstantClock()
    asked = refusing((b"retry-after", b"7"))
    assert (await ask(retry_of(clock), asked, asked, Answer(200))).status == 200
    assert clock.waited == []


def test_the_base_is_25_ms_and_the_last_wait_ten_times_as_long() -> None:
    assert backoff_of(ParseDict({"backoff": {}}, Retries())) == Backoff(base=0.025, cap=0.25)
    one: Retries = ParseDict({"backoff": {"base": "1s"}}, Retries())
    assert backoff_of(one) == Backoff(base=1.0, cap=10.0)


@pytest.mark.parametrize("how", ["seconds", "date"])
async def test_an_attempt_waits_for_as_long_as_an_answer_asks(how: str) -> None:
    clock = InstantClock()
    told = b"3" if how == "seconds" else formatdate(clock.wall() + 3, usegmt=True).encode()
    answer = await ask(
        retry_of(clock, backoff={"base": "0.1s"}), refusing((b"retry-after", told)), Answer(200)
    )
    assert answer.status == 200
    assert clock.waited == [3.0]


@pytest.mark.parametrize(
    "told", [b"", b"soon", b"-1", b"1.5", b"Wed, 99 Foo 2026 00:00:00 GMT", b"\xff"]
)
async def test_what_is_no_time_asks_for_nothing(told: bytes) -> None:
    clock = InstantClock()
    retry = retry_of(clock, backoff={"base": "0.1s"})
    await ask(retry, refusing((b"retry-after", told)), Answer(200))
    assert clock.waited[0] <= 0.1


@pytest.mark.parametrize("where", ["headers", "trailers"])
@pytest.mark.parametrize(
    ("told", "waited"), [(b"1500", [1.5]), (b"0", [0.0]), (b"-1", []), (b"soon", [])]
)
async def test_a_service_of_grpc_says_when_it_may_be_asked_again(
    where: str, told: bytes, waited: list[float]
) -> None:
    clock = InstantClock()
    pushback = [(b"grpc-retry-pushback-ms", told)]
    asking = Answer(503, pushback) if where == "headers" else Answer(503, [], b"", pushback)
    retry = retry_of(clock, backoff={"base": "0.000000001s", "max": "0.000000001s"})
    answer = await ask(retry, asking, Answer(200))
    assert answer.status == (200 if waited else 503)
    assert clock.waited == pytest.approx(waited, abs=1e-6)


async def test_a_wait_that_would_take_all_the_time_is_left_to_the_client() -> None:
    clock = InstantClock()
    retry = retry_of(clock, backoff={"base": "0.1s"})
    answer = await ask(retry, refusing((b"retry-after", b"60")), Answer(200), left=5.0)
    assert answer.header(b"retry-after") == b"60"
    assert clock.waited == []


async def test_the_client_gets_the_answer_that_asks_for_more_than_its_time_at_once() -> None:
    count = 0

    async def busy(_head: Head, wire: Wire) -> None:
        nonlocal count
        count += 1
        await say(wire, 503, b"busy", ("retry-after", "3600"))

    async with backend(busy) as node:
        endpoint: dict[str, Any] = {
            "path": "/*",
            "timeout": "5s",
            "backends": [{"target": node.address}],
            "retry": {"attempts": 3, "conditions": [{"byStatusCode": "503"}], "backoff": {}},
        }
        async with proxied(endpoint) as gateway:
            answer = await (await gateway.connect()).request("GET", "/")
    assert (answer.status, answer.body, count) == (503, b"busy", 1)


async def early(wire: Wire, status: int, *headers: tuple[bytes, bytes]) -> None:
    """Answer a request before it has ended."""
    await wire.read()
    wire.start(status, [*headers, (b"content-length", b"0")])
    await wire.finish()


@pytest.mark.parametrize("more", [{}, {"hedgeDelay": "60s", "idempotentOnly": False}])
@pytest.mark.parametrize(
    "asked", [(b"retry-after", b"3600"), (b"grpc-retry-pushback-ms", b"3600000")]
)
async def test_a_call_whose_request_still_comes_gets_an_answer_that_asks_for_long_at_once(
    asked: tuple[bytes, bytes], more: dict[str, Any]
) -> None:
    count = 0

    async def busy(_head: Head, wire: Wire) -> None:
        nonlocal count
        count += 1
        await early(wire, 503, asked)

    async with backend(busy) as node:
        endpoint: dict[str, Any] = {
            "path": "/*",
            "protocol": "GRPC",
            "timeout": "60s",
            "backends": [{"target": node.address}],
            "retry": {
                "attempts": 3,
                "conditions": [{"byStatusCode": "503"}],
                "backoff": {},
                **more,
            },
        }
        async with proxied(endpoint) as gateway, asyncio.timeout(30):
            call = (await gateway.connect_http2()).begin("POST", "/pkg.Svc/Do")
            await call.send(b"\0\0\0\0\1x")  # and more may come
            answer = await call.answer()
    assert (answer.status, count) == (503, 1)


async def test_a_call_whose_request_still_comes_is_made_again_after_a_short_wait() -> None:
    count = 0

    async def busy_once(_head: Head, wire: Wire) -> None:
        nonlocal count
        count += 1
        await (early(wire, 503, (b"retry-after", b"1")) if count == 1 else early(wire, 200))

    async with backend(busy_once) as node:
        clock = InstantClock()
        endpoint: dict[str, Any] = {
            "path": "/*",
            "protocol": "GRPC",
            "timeout": "60s",
            "backends": [{"target": node.address}],
            "retry": {"attempts": 3, "conditions": [{"byStatusCode": "503"}], "backoff": {}},
        }
        async with proxied(endpoint, clock=clock) as gateway, asyncio.timeout(30):
            call = (await gateway.connect_http2()).begin("POST", "/pkg.Svc/Do")
            await call.send(b"\0\0\0\0\1x")
            answer = await call.answer()
    assert (answer.status, count) == (200, 2)
    assert 1.0 in clock.waited


@pytest.mark.parametrize(
    ("told", "flag", "attempts"),
    [
        ({}, True, 3),
        ({}, False, 1),
        ({"idempotentOnly": True}, True, 1),
        (
            {"idempotentOnly": False},
            False,
            3,
        ),
    ],
)
async def test_an_endpoint_says_itself_whether_all_requests_are_tried_again(
    told: dict[str, Any], flag: bool, attempts: int
) -> None:
    count = 0

    async def failing(_head: Head, wire: Wire) -> None:
        nonlocal count
        count += 1
        await say(wire, 503)

    async with backend(failing) as node:
        retry = {"attempts": 3, "conditions": [{"byStatusCode": "503"}], **told}
        endpoint = {"path": "/*", "backends": [{"target": node.address}], "retry": retry}
        async with proxied(endpoint, retry_unsafe=flag) as gateway:
            await (await gateway.connect()).request("POST", "/")
    assert count == attempts


async def test_a_budget_grants_a_share_of_the_requests_that_were_answered_well() -> None:
    told: list[str] = []
    retry = retry_of(attempts=2, budget={"share": 0.2, "minPerSecond": 0})
    for _ in range(50):
        await ask(retry, Answer(200), told=told)
    assert told == []
    for _ in range(12):
        await ask(retry, refusing(), Answer(200), told=told)
    # Ten for the fifty, and two for the ten that a further attempt has saved.
    assert told == ["true"] * 12
    for _ in range(3):
        await ask(retry, refusing(), Answer(200), told=told)
    assert told[12:] == ["budget"] * 3


async def test_a_budget_grants_some_attempts_to_whoever_asks_seldom() -> None:
    told: list[str] = []
    retry = retry_of(attempts=2, budget={"share": 0, "minPerSecond": 0.5, "window": "4s"})
    for _ in range(3):
        await ask(retry, refusing(), Answer(200), told=told)
    assert told == ["true", "true", "budget"]


@given(
    requests=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=60),
    share=st.floats(0, 1),
    least=st.integers(0, 3),
)
def test_there_are_never_more_attempts_than_the_budget_has(
    requests: list[list[bool]], share: float, least: int
) -> None:
    told: list[str] = []
    good = 0

    async def play() -> None:
        nonlocal good
        budget = {"share": share, "minPerSecond": least, "window": "1s"}
        retry = retry_of(attempts=4, budget=budget)
        for outcomes in requests:
            answers = [Answer(200 if each else 500) for each in outcomes]
            good += (await ask(retry, *answers, told=told)).status == 200

    asyncio.run(play())
    assert told.count("true") + told.count("false") <= least + share * good + 1e-6


@pytest.mark.parametrize(
    ("retry", "complaint"),
    [
        ({"hedgeDelay": "-1s"}, r"retry\.hedge_delay: it must be more than 0s"),
        ({"backoff": {"base": "2s", "max": "1s"}}, r"retry\.backoff: base, 2s"),
        ({"budget": {"share": 1.5}}, r"retry\.budget\.share: 1\.5 is not between 0 and 1"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_place(
    retry: dict[str, Any], complaint: str
) -> None:
    endpoint = {"path": "/a", "backends": [{"target": "127.0.0.1:1"}], "retry": retry}
    with pytest.raises(ConfigError, match=rf"endpoints\[0\] \(/a\): {complaint}"):
        async with proxied(endpoint):
            pass
