"""Checks that an agent makes, as it is told of them, and by a real agent of real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kratos import App
from kratos.errors import ConfigError
from kratos.registry import instance_feed
from kratos.testing.app import running
from kratos_consul import (
    ConsulClient,
    ConsulRegistry,
    GrpcCheck,
    HttpCheck,
    ServiceCheck,
    TcpCheck,
)
from kratos_consul.checks import Endpoint, go_duration
from kratos_grpc import GrpcServer
from kratos_http import HealthPaths, HttpServer

PATIENCE = 30.0  # seconds
HTTP = Endpoint.parse("https://[::1]:8000?isSecure=true")
GRPC = Endpoint.parse("grpcs://orders.example:9000")


@pytest.mark.parametrize(
    ("check", "endpoint", "expected"),
    [
        (TcpCheck(), HTTP, {"TCP": "[::1]:8000", "Interval": "10s", "Timeout": "5s"}),
        (
            HttpCheck(),
            HTTP,
            {
                "HTTP": "https://[::1]:8000/readyz",
                "Method": "GET",
                "Interval": "10s",
                "Timeout": "5s",
            },
        ),
        (
            HttpCheck(
                path="/up",
                method="HEAD",
                headers={"X-A": ["b"]},
                interval=1.5,
                timeout=0.25,
                tls_skip_verify=True,
                tls_server_name="orders",
            ),
            HTTP,
            {
                "HTTP": "https://[::1]:8000/up",
                "Method": "HEAD",
                "Header": {"X-A": ["b"]},
                "Interval": "1.5s",
                "Timeout": "0.25s",
                "TLSSkipVerify": True,
                "TLSServerName": "orders",
            },
        ),
        (HttpCheck(), GRPC, None),
        (
            GrpcCheck(),
            GRPC,
            {
                "GRPC": "orders.example:9000",
                "Interval": "10s",
                "Timeout": "5s",
                "GRPCUseTLS": True,
            },
        ),
        (
            GrpcCheck(service="orders.Orders", tls_skip_verify=True),
            Endpoint.parse("grpc://10.0.0.1:9000"),
            {
                "GRPC": "10.0.0.1:9000/orders.Orders",
                "Interval": "10s",
                "Timeout": "5s",
                "TLSSkipVerify": True,
            },
        ),
        (GrpcCheck(), HTTP, None),
    ],
)
def test_check_of_an_endpoint_is_as_the_api_takes_it(
    check: ServiceCheck, endpoint: Endpoint, expected: dict[str, object] | None
) -> None:
    assert check.of(endpoint) == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(20.0, "20s"), (600.0, "600s"), (0.5, "0.5s"), (1e6, "1000000s")]
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HttpCheck(path="readyz"), "must start with a slash"),
        (lambda: HttpCheck(interval=0.5), "interval is a number from 1 and finite, not 0.5"),
        (lambda: TcpCheck(timeout=0), "timeout is a number from 0.001 and finite, not 0"),
        (lambda: GrpcCheck(interval=float("inf")), "interval is a number from 1 and finite"),
    ],
)
def test_check_that_cannot_be_made_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.service("consul")
@pytest.mark.slow
@pytest.mark.parametrize(
    "checks",
    [
        [HttpCheck(path="/readyz", interval=1.0)],
        [GrpcCheck(interval=1.0)],
        [],
    ],
    ids=["http", "grpc", "mapping"],
)
async def test_instance_is_listed_while_it_says_that_it_is_ready(
    checks: list[Any], client: ConsulClient, unique: str
) -> None:
    http = HttpServer("127.0.0.1:0", health_paths=HealthPaths())
    (url,) = await http.bind()
    if not checks:  # as the API takes it, for what has no class here
        checks = [{"HTTP": f"{url}/readyz", "Interval": "1s", "Timeout": "2s"}]
    registry = ConsulRegistry(client, service_checks=checks, health_check_interval=1.0)
    app = App(
        id=unique,
        name=unique,
        servers=[http, GrpcServer("127.0.0.1:0")],
        registrar=registry,
        check_interval=0.2,
    )
    seen: list[list[str]] = []
    feed = instance_feed(registry, unique)

    async def until(*expected: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not seen or seen[-1] != list(expected):  # noqa: ASYNC110  any state may come
                await asyncio.sleep(0.02)

    feed.subscribe(lambda instances: seen.append([one.id for one in instances]))
    ready = True
    app.health.add_check("data", lambda: ready, ttl=0.0)
    async with running(app):
        await until(unique)
        ready = False
        await until()
        ready = True
        await until(unique)
    await until()
    await feed.aclose()
