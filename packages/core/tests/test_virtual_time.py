"""The loop on which waiting takes no time."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos import App
from kratos.clock import SYSTEM_CLOCK
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
from kratos.testing.virtual_time import advance, in_virtual_time, run_still
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


def test_clock_of_the_machine_follows_the_loop_while_it_runs() -> None:
    async def main() -> None:
        began, told = SYSTEM_CLOCK.time(), SYSTEM_CLOCK.wall()
        assert not SYSTEM_CLOCK.is_real
        await asyncio.sleep(DAY)
        assert SYSTEM_CLOCK.time() - began == pytest.approx(DAY)
        assert SYSTEM_CLOCK.wall() - told == pytest.approx(DAY)

    quickly(main)
    assert SYSTEM_CLOCK.is_real
    assert abs(SYSTEM_CLOCK.time() - time.monotonic()) < 10


def test_time_stands_until_it_is_moved() -> None:
    async def main() -> None:
        before = now()
        sleeping = asyncio.create_task(asyncio.sleep(0.02))
        await asyncio.to_thread(time.sleep, 0.05)
        assert (now(), sleeping.done()) == (before, False)
        advance(0.02)
        await sleeping
        assert now() - before == pytest.approx(0.02)

    run_still(main())


async def test_time_of_another_loop_cannot_be_moved() -> None:
    with pytest.raises(TypeError, match="use run_in_virtual_time"):
        advance(1)


@in_virtual_time
async def test_bytes_between_sockets_of_the_loop_take_no_virtual_time() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        before = now()
        for _ in range(50):
            async with asyncio.timeout(0.001):
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"hello\n")
                assert await reader.readline() == b"hello\n"
            writer.close()
            await writer.wait_closed()
        assert now() == before


if sys.version_info >= (3, 12):

    @in_virtual_time
    async def test_threads_are_waited_for_for_seconds_that_are_named() -> None:
        await asyncio.to_thread(int)
        loop = cast("asyncio.BaseEventLoop", asyncio.get_running_loop())
        await loop.shutdown_default_executor(timeout=5.0)
