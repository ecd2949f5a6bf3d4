"""Which node a request goes to, as the balancer of its endpoint says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from kratos.errors import ConfigError
from kratos.selector import (
    ConsistentHash,
    LeastLoaded,
    OutlierEjection,
    PowerOfTwoChoices,
    RandomChoice,
    WeightedRoundRobin,
)
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.backend.balancing import balance_of
from kratos_gateway.config.check import problems
from kratos_gateway.exchange import Request, RequestOptions
from kratos_gateway.testing import backend, config_of, proxied, say


@asynccontextmanager
async def nodes(count: int, *, broken: frozenset[int] = frozenset()) -> AsyncGenerator[list[str]]:
    """Serve nodes that tell their number; some answer 503."""

    async def serve(number: int, _head: Head, wire: Wire) -> None:
        await say(wire, 503 if number in broken else 200, b"%d" % number)

    async with AsyncExitStack() as stack:
        scripts = (partial(serve, number) for number in range(count))
        yield [(await stack.enter_async_context(backend(each))).address for each in scripts]


def to(addresses: list[str], **balancer: Any) -> dict[str, Any]:
    backends = [{"target": each} for each in addresses]
    return {"path": "/*", "timeout": "5s", "backends": backends, "balancer": balancer}


def endpoint(balancer: dict[str, Any], **more: Any) -> Endpoint:
    return ParseDict({"path": "/*", "balancer": balancer, **more}, Endpoint())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("p2c", PowerOfTwoChoices),
        ("least", LeastLoaded),
        ("random", RandomChoice),
        ("wrr", WeightedRoundRobin),
    ],
)
def test_a_selector_is_taken_by_its_name(name: str, kind: type) -> None:
    assert isinstance(balance_of(endpoint({"name": name}), default=RandomChoice).selector, kind)


def test_an_endpoint_that_says_nothing_has_what_all_have() -> None:
    assert balance_of(Endpoint(), default=RandomChoice).selector is None
    assert balance_of(endpoint({}), default=RandomChoice).selector is None


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        ({"header": "X-User"}, [("x-user", "{user}")]),
        ({"cookie": "user"}, [("cookie", "a=b; user={user}"), ("cookie", "c=d")]),
    ],
)
async def test_requests_of_one_key_go_to_one_node(
    key: dict[str, str], headers: list[tuple[str, str]]
) -> None:
    async with nodes(4) as addresses, proxied(to(addresses, name="hash", **key)) as gateway:
        peer = await gateway.connect()
        seen: dict[str, set[bytes]] = {}
        for _ in range(3):
            for number in range(20):
                sent = [(name, value.format(user=f"u{number}")) for name, value in headers]
                answer = await peer.request("GET", "/", headers=sent)
                seen.setdefault(f"u{number}", set()).add(answer.body)
        assert all(len(each) == 1 for each in seen.values())
        assert len(set[bytes]().union(*seen.values())) > 1


def test_a_source_is_an_address_without_its_port() -> None:
    balance = balance_of(endpoint({"name": "hash", "source": True}), default=RandomChoice)

    def key(peer: str) -> Any:
        options = RequestOptions(Endpoint())
        request = Request("GET", "http", "", "/", "", [], b"", peer, "1.1", options)
        return balance.call(request).key

    assert isinstance(balance.selector, ConsistentHash)
    assert key("10.0.0.1:5000") == key("10.0.0.1:5001") != key("10.0.0.2:5000")
    assert key("[::1]:5000") == "[::1]"
    assert key("unix:") == "unix"


async def test_a_request_without_a_key_goes_to_any_node() -> None:
    balancer = {"name": "hash", "header": "x-user"}
    async with nodes(2) as addresses, proxied(to(addresses, **balancer)) as gateway:
        peer = await gateway.connect()
        assert {(await peer.request("GET", "/")).status for _ in range(5)} == {200}


async def test_a_node_that_answers_badly_is_left_out() -> None:
    outlier = {"consecutive": 3, "maxShare": 0.5, "ejectionTime": "60s"}
    async with (
        nodes(3, broken=frozenset((0,))) as addresses,
        proxied(to(addresses, name="wrr", outlier=outlier)) as gateway,
    ):
        peer = await gateway.connect()
        counts = Counter([(await peer.request("GET", "/")).body for _ in range(60)])
    assert counts[b"0"] == 3
    assert counts[b"1"] + counts[b"2"] == 57


async def test_a_node_that_is_late_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def late(_head: Head, wire: Wire) -> None:
        await wire.read()
        await asyncio.get_running_loop().create_future()

    outlier = {"consecutive": 3, "maxShare": 0.5, "ejectionTime": "60s"}
    async with backend(late) as node, nodes(2) as addresses:
        told = to([node.address, *addresses], name="wrr", outlier=outlier)
        async with proxied({**told, "timeout": "0.1s"}) as gateway:
            peer = await gateway.connect()
            while "is left out" not in caplog.text:
                await peer.request("GET", "/")
            assert f"{node.address} is left out" in caplog.text
            came = len(node.heads)
            for _ in range(30):
                await peer.request("GET", "/")
            assert len(node.heads) == came


async def test_without_outlier_detection_answers_say_nothing_of_their_node() -> None:
    async with (
        nodes(2, broken=frozenset((0,))) as addresses,
        proxied(to(addresses, name="wrr")) as gateway,
    ):
        peer = await gateway.connect()
        counts = Counter([(await peer.request("GET", "/")).body for _ in range(20)])
    assert counts == {b"0": 10, b"1": 10}


def test_weights_count_where_nodes_are_left_out() -> None:
    told = endpoint({"outlier": {}}, backends=[{"target": "a:1", "weight": 1}])
    chosen = balance_of(told, default=RandomChoice).selector
    assert isinstance(chosen, OutlierEjection)
    assert isinstance(chosen._inner, WeightedRoundRobin)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("balancer", "complaint"),
    [
        ({"name": "nonsense"}, "nonsense"),
        ({"name": "hash"}, "name a header, a cookie, or source"),
        ({"name": "p2c", "header": "x"}, "are of the name hash"),
        ({"bound": 2}, "are of the name hash"),
        ({"name": "hash", "header": "x", "bound": 1}, "more than 1"),
        ({"outlier": {"maxShare": 2}}, "max_share"),
        ({"outlier": {"interval": "0s"}}, "interval"),
    ],
)
def test_what_is_no_balancer_is_refused_with_its_place(
    balancer: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        balance_of(endpoint(balancer), default=RandomChoice)
    config = config_of({"path": "/*", "backends": [{"target": "a:1"}], "balancer": balancer})
    (problem,) = problems(config)
    assert problem.place == "endpoints[0].balancer"
    assert complaint in problem.text
    assert problem.fatal
