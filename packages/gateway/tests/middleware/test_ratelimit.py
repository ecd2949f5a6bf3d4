"""Limits of the rate of requests."""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from kratos.errors import ConfigError, MissingDependency
from kratos.log import Level
from kratos.metrics import MemoryMeter
from kratos.testing import MemoryLogger
from kratos.testing.clock import FakeClock
from kratos.url import Options, Url
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.keyauth_pb2 import KeyAuth
from kratos_gateway.api.ratelimit_pb2 import RateLimit
from kratos_gateway.exchange import Handler
from kratos_gateway.middleware import Context, create, ratelimit
from kratos_gateway.middleware.testing import Backend, Headers, behind, configured, request_to
from kratos_redis import connecting

TURNS = "kratos_gateway_ratelimit_redis_turns_total"


async def statuses(
    handler: Handler, count: int, headers: Headers = (), peer: str = ""
) -> list[int]:
    requests = [request_to(headers=headers, peer=peer or "192.0.2.7:1") for _ in range(count)]
    return [(await handler(request)).status for request in requests]


async def test_more_than_the_burst_is_answered_429_until_time_has_passed() -> None:
    clock = FakeClock()
    backend = Backend()
    handler = behind(
        backend, "ratelimit", RateLimit(rate=0.5, burst=2), context=Context(clock=clock)
    )
    assert await statuses(handler, 2) == [200, 200]
    answer = await handler(request_to())
    assert (answer.status, answer.header(b"retry-after")) == (429, b"2")
    assert len(backend.requests) == 2
    await clock.advance(2)
    assert await statuses(handler, 2) == [200, 429]


async def test_burst_is_what_comes_within_a_second_unless_it_is_given() -> None:
    context = Context(clock=FakeClock())
    handler = behind(Backend(), "ratelimit", RateLimit(rate=2.5), context=context)
    assert await statuses(handler, 5) == [200, 200, 200, 429, 429]


async def test_attempts_of_one_request_are_counted_once() -> None:
    context = Context(clock=FakeClock())
    handler = behind(Backend(), "ratelimit", RateLimit(rate=1), context=context)
    request = request_to()
    assert [(await handler(request)).status for _ in range(5)] == [200] * 5
    assert await statuses(handler, 1) == [429]


async def test_endpoints_have_limits_of_their_own() -> None:
    made = create(configured("ratelimit", RateLimit(rate=1)), context=Context(clock=FakeClock()))
    one = made.wrap(Backend(), Endpoint(path="/1"))
    two = made.wrap(Backend(), Endpoint(path="/2"))
    assert [*await statuses(one, 2), *await statuses(two, 2)] == [200, 429, 200, 429]


async def test_clients_are_told_apart_by_their_address_and_not_by_their_port() -> None:
    context = Context(clock=FakeClock())
    options = RateLimit(rate=1, per="client", trusted_proxies=["10.0.0.1"])
    handler = behind(Backend(), "ratelimit", options, context=context)
    assert await statuses(handler, 2, peer="192.0.2.1:1") == [200, 429]
    assert await statuses(handler, 1, peer="192.0.2.1:2") == [429]
    assert await statuses(handler, 2, peer="192.0.2.2:1") == [200, 429]
    forwarded = [("X-Forwarded-For", "192.0.2.1")]
    assert await statuses(handler, 1, forwarded, peer="10.0.0.1:1") == [429]


async def test_clients_of_one_network_of_ipv6_are_one_as_they_choose_the_rest() -> None:
    context = Context(clock=FakeClock())
    options = RateLimit(rate=1, per="client")
    handler = behind(Backend(), "ratelimit", options, context=context)
    assert await statuses(handler, 2, peer="[2001:db8:0:1::1]:1") == [200, 429]
    assert await statuses(handler, 1, peer="[2001:db8:0:1:ffff::2]:1") == [429]
    assert await statuses(handler, 1, peer="[2001:db8:0:2::1]:1") == [200]


async def test_values_of_a_header_are_told_apart_also_long_ones() -> None:
    context = Context(clock=FakeClock())
    handler = behind(
        Backend(), "ratelimit", RateLimit(rate=1, per="header:X-Tenant"), context=context
    )
    for value in ("a", "b", "x" * 500 + "1", "x" * 500 + "2", ""):
        assert await statuses(handler, 2, [("X-Tenant", value)]) == [200, 429]


async def test_callers_are_told_apart_whom_a_middleware_further_out_has_found() -> None:
    names = ("ada", "bob")
    keys = [KeyAuth.Key(name=name, key=f"{name}'s key is long enough") for name in names]
    context = Context(clock=FakeClock())
    inner = behind(Backend(), "ratelimit", RateLimit(rate=1, per="caller"), context=context)
    handler = behind(inner, "keyauth", KeyAuth(keys=keys, optional=True))
    for name in names:
        sent = [("X-Api-Key", f"{name}'s key is long enough")]
        assert await statuses(handler, 2, sent) == [200, 429]
    assert await statuses(handler, 2) == [200, 429]  # nobody is an address


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (RateLimit(), "rate is in requests per second and more than 0, not 0"),
        (RateLimit(rate=-1), "not -1"),
        (RateLimit(rate=float("nan")), "not nan"),
        (RateLimit(rate=1, per="tenant"), 'per is "endpoint", "client"'),
        (RateLimit(rate=1, per="header:"), "no name of a header"),
        (RateLimit(rate=1, trusted_proxies=["x"]), "trustedProxies"),
        (RateLimit(rate=1, away="close", redis="redis://a:1/0"), 'away is "local", "allow"'),
        (RateLimit(rate=1, away="deny"), "write redis"),
        (RateLimit(rate=1, redis="redis://"), "redis://host:port"),
        (RateLimit(rate=1, redis="redis://a:1/0?no=1"), "no"),
        (
            RateLimit(rate=1, redis="memcached://a:1", away="allow"),
            "no URL of Redis: write redis://",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: RateLimit, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "ratelimit", options)


def test_without_the_package_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(ratelimit, "find_spec", nothing)
    with pytest.raises(ConfigError, match="pip install kratos-redis") as raised:
        behind(Backend(), "ratelimit", RateLimit(rate=1, redis="redis://127.0.0.1:6379/0"))
    assert isinstance(raised.value.__cause__, MissingDependency)


@pytest.mark.service("redis")
async def test_gateways_that_share_a_redis_have_one_limit_together() -> None:
    options = RateLimit(
        rate=0.01, burst=3, redis=os.environ["KRATOS_TEST_REDIS"], name=str(uuid4())
    )
    gateways = [create(configured("ratelimit", options), context=Context()) for _ in range(2)]
    one, two = (each.wrap(Backend(), Endpoint(path="/")) for each in gateways)
    assert [*await statuses(one, 2), *await statuses(two, 2)] == [200, 200, 200, 429]
    for each in gateways:
        await each.aclose()


async def test_requests_go_on_by_a_limit_of_this_gateway_while_redis_is_away() -> None:
    options = RateLimit(rate=0.01, burst=2, redis="redis://127.0.0.1:1/0")
    made = create(configured("ratelimit", options), context=Context())
    assert await statuses(made.wrap(Backend(), Endpoint()), 3) == [200, 200, 429]
    await made.aclose()


@pytest.mark.parametrize(
    ("away", "wanted"),
    [("", [200, 200, 429]), ("allow", [200, 200, 200]), ("deny", [429, 429, 429])],
)
async def test_what_becomes_of_requests_while_redis_is_away_is_chosen(
    away: str, wanted: list[int]
) -> None:
    options = RateLimit(rate=0.01, burst=2, redis="redis://127.0.0.1:1/0", away=away)
    made = create(configured("ratelimit", options), context=Context())
    assert await statuses(made.wrap(Backend(), Endpoint()), 3) == wanted
    await made.aclose()


@pytest.mark.service("redis")
async def test_it_is_told_that_a_redis_answers_nothing_but_errors() -> None:
    logger, meter = MemoryLogger(), MemoryMeter()
    server, _, _ = os.environ["KRATOS_TEST_REDIS"].rpartition("/")
    options = RateLimit(rate=1, redis=f"{server}/999999", away="allow")  # it has no such database
    context = Context(logger=logger, meter=meter)
    made = create(configured("ratelimit", options), context=context)
    assert await statuses(made.wrap(Backend(), Endpoint()), 20) == [200] * 20
    assert logger.messages() == ["Redis is away: requests are not limited"]
    assert meter.value(TURNS, to="away") == 1
    await made.aclose()


@pytest.mark.service("redis")
async def test_a_limit_that_is_changed_begins_anew() -> None:
    name, found = str(uuid4()), list[list[int]]()
    for rate in (0.01, 1e-5, 0.02):
        options = RateLimit(rate=rate, burst=1, redis=os.environ["KRATOS_TEST_REDIS"], name=name)
        made = create(configured("ratelimit", options), context=Context())
        found.append(await statuses(made.wrap(Backend(), Endpoint()), 2))
        await made.aclose()
    assert found == [[200, 429]] * 3


async def test_clients_are_told_what_is_left() -> None:
    clock = FakeClock()
    options = RateLimit(rate=0.5, burst=2, headers=True)
    handler = behind(Backend(), "ratelimit", options, context=Context(clock=clock))
    found = [(await handler(request_to())).headers for _ in range(3)]
    policy = (b"ratelimit-policy", b'"default";q=2;w=4')
    assert found[0] == [policy, (b"ratelimit", b'"default";r=1;t=2')]
    assert found[1] == [policy, (b"ratelimit", b'"default";r=0;t=4')]
    assert found[2][1:] == [
        (b"retry-after", b"2"),
        policy,
        (b"ratelimit", b'"default";r=0;t=4'),
    ]


class Redis:
    """A client whose server lets all through, unless it fails."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def evalsha(self, _sha: str, _keys: int, /, *_arguments: Any) -> list[int]:
        if self.error is not None:
            raise self.error
        return [1, 0]


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> Redis:
    client, real = Redis(), connecting.connected

    def connected(url: Url, options: Options) -> connecting.Connected:
        real(url, options)  # which says what is wrong with them, and connects nothing yet
        return connecting.Connected(client)

    monkeypatch.setattr(connecting, "connected", connected)
    return client


@pytest.mark.parametrize(
    ("away", "meanwhile"),
    [("", "limits by itself"), ("allow", "not limited"), ("deny", "refused")],
)
async def test_of_all_endpoints_one_tells_that_redis_is_away_and_one_that_it_is_back(
    redis: Redis, away: str, meanwhile: str
) -> None:
    logger, meter, clock = MemoryLogger(), MemoryMeter(), FakeClock()
    options = RateLimit(rate=100, redis="redis://127.0.0.1:6379/0", away=away)
    context = Context(logger=logger, meter=meter, clock=clock)
    made = create(configured("ratelimit", options), context=context)
    handlers = [made.wrap(Backend(), Endpoint(path=path)) for path in ("/1", "/2")]
    redis.error = RedisConnectionError("gone")
    for handler in (*handlers, *handlers):
        await statuses(handler, 2)
        await clock.advance(60)
    assert (meter.value(TURNS, to="away"), meter.value(TURNS, to="back")) == (1, 0)
    redis.error = None
    for handler in handlers:
        assert await statuses(handler, 2) == [200, 200]
    assert (meter.value(TURNS, to="away"), meter.value(TURNS, to="back")) == (1, 1)
    (level, message, fields), (back, again, where) = logger.records
    assert (level, back) == (Level.WARN, Level.INFO)
    assert meanwhile in message
    assert fields == {"redis": "redis://127.0.0.1:6379/0", "error": "ConnectionError: gone"}
    assert (again, where) == (
        "Redis is back, and limits requests again",
        {"redis": "redis://127.0.0.1:6379/0"},
    )
    await made.aclose()


async def test_what_is_told_of_a_redis_that_is_away_has_no_passwords(redis: Redis) -> None:
    logger = MemoryLogger()
    url = "redis+sentinel://app:s%3Acret@10.0.0.1/primary?sentinel_password=hidden"
    made = create(
        configured("ratelimit", RateLimit(rate=1, redis=url)), context=Context(logger=logger)
    )
    redis.error = RedisConnectionError(
        "unknown command 'AUTH', with args beginning with: 'app' 's:cret', 'hidden'"
    )
    await statuses(made.wrap(Backend(), Endpoint()), 1)
    ((_, _, fields),) = logger.records
    assert "unknown command 'AUTH'" in str(fields["error"])
    assert "10.0.0.1" in str(fields["redis"])
    for secret in ("cret", "hidden"):
        assert secret not in str(fields)
    await made.aclose()
