"""Further attempts: as Go's tests have it, and what Go's gateway gets wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from aegis.circuitbreaker import SreBreaker
from kratos.errors import ConfigError
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Condition, Endpoint
from kratos_gateway.conditions import judge_of
from kratos_gateway.exchange import Answer, Handler, Request, RequestOptions
from kratos_gateway.proxy.retry import Retry, attempts_of, per_try_timeout_of, timeout_of
from kratos_gateway.testing import backend, proxied, say, scripted

SECOND = 1_000_000_000


def endpoint(**retry: Any) -> Endpoint:
    return ParseDict({"path": "/", "retry": retry}, Endpoint())


def to(*addresses: str, **more: Any) -> dict[str, Any]:
    given = {"path": "/*", "timeout": "5s", "backends": [{"target": each} for each in addresses]}
    retry = {"attempts": 2, "conditions": [{"byStatusCode": "500-504"}]}
    return {**given, "retry": retry, **more}


@pytest.mark.parametrize(("attempts", "wanted"), [(0, 1), (1, 1), (2, 2), (None, 1)])
def test_attempts_are_counted_as_in_go(attempts: int | None, wanted: int) -> None:
    given = Endpoint() if attempts is None else endpoint(attempts=attempts)
    assert attempts_of(given) == wanted


@pytest.mark.parametrize(("text", "wanted"), [("0s", 1.0), ("5s", 5.0), ("0.25s", 0.25)])
def test_a_time_limit_of_nothing_is_a_second(text: str, wanted: float) -> None:
    given: Endpoint = ParseDict({"timeout": text}, Endpoint())
    assert timeout_of(given) == wanted
    assert per_try_timeout_of(given) == wanted
    assert per_try_timeout_of(endpoint(perTryTimeout="0.1s")) == 0.1


@pytest.mark.parametrize(
    ("condition", "answer", "fits"),
    [
        ({"byStatusCode": "429"}, Answer(429), True),
        ({"byStatusCode": "429"}, Answer(430), False),
        ({"byStatusCode": "502-504"}, Answer(502), True),
        ({"byStatusCode": "502-504"}, Answer(504), True),
        ({"byStatusCode": "502-504"}, Answer(505), False),
        ({"byHeader": {"name": "Grpc-Status", "value": "14"}}, ("grpc-status", "14"), True),
        ({"byHeader": {"name": "grpc-status", "value": "14"}}, ("grpc-status", "13"), False),
        ({"byHeader": {"name": "x", "value": '["a", "b"]'}}, ("x", "b"), True),
        ({"byHeader": {"name": "x", "value": '["a", "b"]'}}, ("x", "c"), False),
        ({"byHeader": {"name": "x", "value": ""}}, ("y", "c"), False),
    ],
)
def test_conditions_judge_as_in_go(
    condition: dict[str, Any], answer: Answer | tuple[str, str], fits: bool
) -> None:
    if isinstance(answer, tuple):
        answer = Answer(200, [(answer[0].encode(), answer[1].encode())])
    assert judge_of(ParseDict(condition, Condition()))(answer) == fits


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"byStatusCode": ""},
        {"byStatusCode": "500-"},
        {"byStatusCode": "1-2-3"},
        {"byStatusCode": "99999"},
        {"byHeader": {"value": "x"}},
        {"byHeader": {"name": "x", "value": "[1]"}},
        {"byHeader": {"name": "x", "value": "[x"}},
    ],
)
def test_a_condition_that_is_none_is_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        judge_of(ParseDict(condition, Condition()))


class Attempts:
    """A retry without sockets, in its own time."""

    def __init__(self) -> None:
        self.now = 0
        self.told: list[str] = []
        self.retry = Retry(
            endpoint(attempts=2, conditions=[{"byStatusCode": "500-599"}]),
            enabled=lambda: True,
            unsafe=True,
            make_breaker=lambda: SreBreaker(
                success=0.8,
                request=10,
                count_rejected=False,
                clock=lambda: self.now,
                random=lambda: 0.5,
            ),
        )

    async def ask(self, *statuses: int) -> int:
        left = list(statuses)
        options = RequestOptions(Endpoint())
        request = Request("GET", "http", "", "/", "", [], b"", "", "1.1", options)

        async def attempt(_request: Request) -> Answer:
            return Answer(left.pop(0))

        answer = await self.retry.run(request, attempt, lambda: request, self.told.append)
        return answer.status


async def test_the_breaker_stops_further_attempts_until_they_succeed_again() -> None:
    attempts = Attempts()
    last = 0
    for _ in range(5000):
        last = await attempts.ask(505, 500)
    assert last == 505  # the answer to the only attempt
    assert attempts.told.count("false") < 50
    assert attempts.told[-1] == "breaker"
    attempts.now += 5 * SECOND
    for _ in range(5000):
        last = await attempts.ask(505, 200)
    assert last == 200
    assert attempts.told[-1] == "true"


async def test_another_attempt_sends_the_body_again_to_another_node() -> None:
    bodies: dict[str, bytes] = {}

    async def failing(_head: Head, wire: Wire) -> None:
        bodies["failing"] = await say(wire, 500, b"no")

    async def working(_head: Head, wire: Wire) -> None:
        bodies["working"] = await say(wire, 200, b"yes")

    async with (
        backend(failing) as one,
        backend(working) as other,
        proxied(to(one.address, other.address)) as gateway,
    ):
        peer = await gateway.connect()
        while "failing" not in bodies:
            bodies.clear()
            answer = await peer.request("POST", "/", body=b"the body")
            assert (answer.status, answer.body) == (200, b"yes")
    assert bodies == {"failing": b"the body", "working": b"the body"}


async def test_the_last_answer_keeps_its_body_though_it_is_no_good() -> None:
    count = 0

    async def failing(_head: Head, wire: Wire) -> None:
        nonlocal count
        count += 1
        await say(wire, 503, b"attempt %d" % count)

    async with backend(failing) as node, proxied(to(node.address)) as gateway:
        answer = await (await gateway.connect()).request("GET", "/")
    assert (answer.status, answer.body) == (503, b"attempt 2")


@pytest.mark.parametrize(("size", "attempts"), [(200_000, 2), (2_000_000, 1)])
async def test_a_body_that_is_too_long_to_be_kept_is_sent_once(size: int, attempts: int) -> None:
    got: list[int] = []

    async def failing(_head: Head, wire: Wire) -> None:
        got.append(len(await say(wire, 503)))

    async with backend(failing) as node, proxied(to(node.address)) as gateway:
        answer = await (await gateway.connect()).request("POST", "/", body=b"x" * size)
    assert answer.status == 503
    assert got == [size] * attempts


async def test_an_attempt_that_takes_too_long_is_followed_by_another() -> None:
    count = 0

    async def script(_head: Head, wire: Wire) -> None:
        nonlocal count
        count += 1
        if count == 1:
            await asyncio.Event().wait()
        await say(wire, 200, b"second")

    retry = {"attempts": 3, "perTryTimeout": "0.05s"}
    async with backend(script) as node, proxied(to(node.address, retry=retry)) as gateway:
        answer = await (await gateway.connect()).request("GET", "/")
    assert (answer.body, count) == (b"second", 2)


async def test_what_is_not_idempotent_is_asked_once_where_that_is_said() -> None:
    count = 0

    async def failing(_head: Head, wire: Wire) -> None:
        nonlocal count
        count += 1
        await say(wire, 503)

    async with (
        backend(failing) as node,
        proxied(to(node.address), retry_unsafe=False) as gateway,
    ):
        peer = await gateway.connect()
        await peer.request("POST", "/")
        assert count == 1
        await peer.request("GET", "/")
        assert count == 3


async def test_there_is_one_attempt_while_the_feature_is_off() -> None:
    on = False
    count = 0

    async def failing(_head: Head, wire: Wire) -> None:
        nonlocal count
        count += 1
        await say(wire, 503)

    async with (
        backend(failing) as node,
        proxied(to(node.address), retry_enabled=lambda: on) as gateway,
    ):
        peer = await gateway.connect()
        await peer.request("GET", "/")
        assert count == 1
        on = True
        await peer.request("GET", "/")
        assert count == 3


async def test_a_kept_connection_that_the_back_end_closed_costs_no_request() -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with scripted(ok, close=True) as address, proxied(to(address, retry={})) as gateway:
        peer = await gateway.connect()
        for _ in range(20):
            assert (await peer.request("GET", "/")).status == 200


async def test_a_node_that_refuses_connections_is_left_for_another() -> None:
    async def working(_head: Head, wire: Wire) -> None:
        await say(wire)

    async with backend(working) as node, proxied(to("127.0.0.1:1", node.address)) as gateway:
        peer = await gateway.connect()
        statuses = {(await peer.request("GET", "/")).status for _ in range(20)}
    assert statuses == {200}


@pytest.mark.parametrize("protocol", ["HTTP", "GRPC"])
async def test_a_node_that_got_nothing_is_left_for_another_within_one_attempt(
    protocol: str,
) -> None:
    got: list[bytes] = []

    async def working(_head: Head, wire: Wire) -> None:
        got.append(await say(wire))

    async with backend(working) as node:
        endpoint = to("127.0.0.1:1", node.address, retry={}, protocol=protocol)
        async with proxied(endpoint) as gateway:
            peer = await gateway.connect()
            for size in (0, 10, 200_000):
                answer = await peer.request("POST", "/", body=b"x" * size)
                assert answer.status == 200
                assert answer.header("grpc-status") == ""
    assert [len(body) for body in got] == [0, 10, 200_000]


async def test_no_more_than_three_nodes_are_tried_in_one_attempt() -> None:
    dead = [f"127.0.0.1:{port}" for port in (1, 2, 3, 4)]
    asked: list[list[str]] = []

    class Noting:
        def wrap(self, handler: Handler, _endpoint: object, /) -> Handler:
            async def noted(request: Request) -> Answer:
                try:
                    return await handler(request)
                finally:
                    asked.append(request.options.backends)

            return noted

        async def aclose(self) -> None:
            pass

    endpoint = to(*dead, retry={}, middlewares=[{"name": "noting"}])
    async with proxied(endpoint, middleware=lambda _config: Noting()) as gateway:
        assert (await (await gateway.connect()).request("GET", "/")).status == 502
    (tried,) = asked
    assert len(set(tried)) == len(tried) == 3


async def test_a_client_that_is_late_with_its_body_gets_no_second_attempt() -> None:
    async def reading(_head: Head, wire: Wire) -> None:
        await say(wire)

    async with backend(reading) as node:
        told = to(node.address)
        told["retry"]["perTryTimeout"] = "0.05s"
        async with proxied(told) as gateway:
            peer = await gateway.connect()
            await peer.send(
                b"PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf"
            )
            assert (await peer.answer()).status == 504
            assert len(node.heads) == 1
            await peer.aclose()
