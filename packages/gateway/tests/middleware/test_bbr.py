"""Refusal of what there is no capacity for (Go: middleware/bbr)."""

from __future__ import annotations

import asyncio

import pytest

from aegis import Bbr
from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.api.logging_pb2 import Logging
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.bbr import limited
from kratos_gateway.middleware.testing import Backend, behind, request_to

CALL, OF_GRPC = [("content-type", "application/grpc")], Endpoint(protocol=GRPC)


class Load:
    """A CPU that is as busy as it is told."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self) -> float:
        return self.value


async def refused(request: Request) -> Answer:
    """Ask a handler that has more in flight than it has capacity for, under full load."""
    limiter = Bbr(load=Load(1.0))
    go = asyncio.Event()

    async def slow(_request: Request, /) -> Answer:
        await go.wait()
        return Answer(200)

    handler = limited(slow, limiter)
    waiting = [asyncio.ensure_future(handler(request_to())) for _ in range(10)]
    await asyncio.sleep(0)
    answer = await handler(request)
    go.set()
    await asyncio.gather(*waiting)
    assert limiter.stats().inflight == 0
    return answer


async def test_too_much_under_load_is_answered_429_with_nothing() -> None:
    answer = await refused(request_to())
    assert (answer.status, answer.headers, answer.body) == (429, [], b"")


async def test_too_much_of_grpc_is_answered_with_a_status_of_grpc() -> None:
    answer = await refused(request_to(headers=CALL, endpoint=OF_GRPC))
    assert (answer.status, answer.header(b"grpc-status")) == (200, b"8")


async def test_without_load_everything_passes() -> None:
    limiter = Bbr(load=Load(0.1))
    handler = limited(Backend(Answer(204)), limiter)
    assert [(await handler(request_to())).status for _ in range(50)] == [204] * 50


@pytest.mark.parametrize("error", [ConnectionError(), TimeoutError()])
async def test_failure_frees_the_slot(error: Exception) -> None:
    limiter = Bbr(load=Load(0.1))
    with pytest.raises(type(error)):
        await limited(Backend(error), limiter)(request_to())
    assert limiter.stats().inflight == 0


async def test_it_is_made_without_options_and_with_none() -> None:
    assert (await behind(Backend(), "bbr")(request_to())).status == 200
    with pytest.raises(ConfigError, match="bbr has no options"):
        behind(Backend(), "bbr", Logging())
