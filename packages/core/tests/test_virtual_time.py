"""The loop on which waiting takes no time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos import App
from kratos.errors import Error
from kratos.registry import RegistrationState, get_service
from kratos.testing import (
    CallFaults,
    FakeServer,
    FaultyRegistry,
    LoopClock,
    MemoryRegistry,
    run_in_virtual_time,
    running,
    serving,
)
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import CallOptions

DAY = 86400.0


def now() -> float:
    return asyncio.get_running_loop().time()


def quickly(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a program in virtual time, and see that it took none of the real one worth a word."""
    before = time.monotonic()
    run_in_virtual_time(main())
    assert time.monotonic() - before < 10


def test_long_wait_takes_no_time() -> None:
    async def main() -> None:
        before = now()
        await asyncio.sleep(DAY)
        assert now() - before == pytest.approx(DAY)

    quickly(main)


@given(st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=20))
def test_waits_end_in_the_order_of_their_time(delays: list[float]) -> None:
    async def main() -> None:
        ended: list[float] = []

        async def wait(seconds: float) -> None:
            await asyncio.sleep(seconds)
            ended.append(seconds)

        await asyncio.gather(*map(wait, delays))
        assert ended == sorted(delays)

    run_in_virtual_time(main())


def test_time_limit_ends_what_takes_longer() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(DAY):
                await asyncio.Event().wait()

    quickly(main)


def test_blocking_code_has_the_time_it_needs() -> None:
    async def main() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.to_thread(time.sleep, 0.2)

    run_in_virtual_time(main())


def test_failure_of_the_program_comes_out() -> None:
    async def main() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        run_in_virtual_time(main())


def test_clock_of_the_loop_is_virtual_as_the_loop_is() -> None:
    async def main() -> None:
        clock = LoopClock(epoch=0)
        begun = clock.time()
        await clock.sleep(DAY)
        assert clock.time() - begun == pytest.approx(DAY)
        assert clock.wall() == pytest.approx(DAY)

    quickly(main)


def test_deadline_of_a_dropped_call_passes_at_once() -> None:
    async def main() -> None:
        faults = CallFaults()
        faults.drop()
        async with serving(EchoService(), faults=faults) as client:
            before = now()
            with pytest.raises(Error) as failure:
                await client.unary(ECHO, text("ok"), CallOptions(timeout=3600))
            assert failure.value.code == 504
            assert now() - before == pytest.approx(3600, abs=1)

    quickly(main)


def test_service_is_registered_again_after_an_outage_of_the_registry() -> None:
    async def main() -> None:
        clock = LoopClock()
        registry = MemoryRegistry(ttl=15, clock=clock)
        line = FaultyRegistry(registry, registry, clock=clock)
        server = FakeServer(endpoint="grpc://node1:1")
        app = App(name="echo", servers=[server], registrar=line, clock=clock, signals=())
        async with running(app):
            await asyncio.sleep(60)
            assert len(await get_service(registry, "echo")) == 1
            line.cut()
            await asyncio.sleep(600)
            assert len(await get_service(registry, "echo")) == 0
            assert app.registration is not None
            assert app.registration.state is not RegistrationState.HELD
            line.restore()
            await asyncio.sleep(2 * 15 + 30)
            assert len(await get_service(registry, "echo")) == 1

    quickly(main)
