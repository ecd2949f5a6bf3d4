"""Hosts of two workers, ended and reloaded under load: no call fails, streams say why they end."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.rolling.hosts import host
from tests.rolling.load import Amount, Tally, load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]

AMOUNT: Final = Amount(clients=2, calls=2, streams=1)
CALLS: Final = 50  # by which a worker shows that it has its part
DRAINED: Final = "503 DRAINING"


@pytest.fixture
def registry(tmp_path: Path) -> str:
    return f"file://{tmp_path / 'registry'}"


@pytest.fixture(params=["grpcio", "kratos"])
def engine(request: pytest.FixtureRequest) -> str:
    """Runs each test on each engine of gRPC."""
    engine: str = request.param
    return engine


@asynccontextmanager
async def callers(registry: str, engine: str) -> AsyncGenerator[list[Tally]]:
    """Call over both transports; no call may have failed in the end."""
    async with AsyncExitStack() as stack:
        tallies = [
            await stack.enter_async_context(load(transport, registry, AMOUNT, engine=engine))
            for transport in ("http", "grpc")
        ]
        for tally in tallies:
            await tally.more(CALLS)
        yield tallies
    assert [dict(tally.failed) for tally in tallies] == [{}, {}]


async def test_no_call_fails_when_a_host_is_terminated_and_streams_say_that_it_drains(
    registry: str, engine: str
) -> None:
    async with AsyncExitStack() as hosts:
        leaving = await hosts.enter_async_context(host(registry, drain_delay=2.0, engine=engine))
        async with callers(registry, engine) as tallies:  # so their streams are there
            await hosts.enter_async_context(host(registry, drain_delay=2.0, engine=engine))
            assert await leaving.terminate() == 0, leaving.log
            for tally in tallies:
                await tally.more(CALLS)
    for tally in tallies:
        assert set(tally.streams) == {DRAINED}


async def test_no_call_fails_when_workers_are_replaced_and_streams_say_that_they_drain(
    registry: str, engine: str
) -> None:
    async with host(registry, engine=engine) as replaced, callers(registry, engine) as tallies:
        await replaced.reload()
    for tally in tallies:
        assert set(tally.streams) == {DRAINED}
