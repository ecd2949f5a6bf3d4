"""Any order of duplicates, deaths, outages and retries, in virtual time, against a model.

Several processes share a store that answers late, and at times not at all. The model is a list of
outcomes per key: it grows when a handler ends for good, and what callers are told is in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st

from kratos.errors import Error, StoreUnavailable
from kratos.middleware import chain, idempotency
from kratos.store import MemoryStore
from kratos.testing import LoopClock, MemoryMeter, run_in_virtual_time
from kratos.testing.echo import ECHO, text
from kratos.transport import Call, Header, Side

pytestmark = pytest.mark.slow  # on a busy machine

LEASE = 30.0
PROCESSES = 3
LATENCY = 0.003
SLOT = 60.0  # seconds in which there is one outage, apart from those before and after it


@dataclass(frozen=True)
class Request:
    """One call that a client sends.

    Attributes:
        at: Seconds after the begin.
        key: Its key.
        process: Which process gets it.
        takes: Seconds that the handler works.
        end: How the handler ends.
        leaves: Seconds after which its client leaves; ``None`` if it stays.
    """

    at: float
    key: str
    process: int
    takes: float
    end: str
    leaves: float | None


REQUESTS = st.lists(
    st.builds(
        Request,
        at=st.floats(0, 3 * SLOT),
        key=st.sampled_from("ab"),
        process=st.integers(0, PROCESSES - 1),
        takes=st.sampled_from([0.0, 0.1, 5.0, 29.0, 31.0, 70.0]),
        end=st.sampled_from(["ok", "ok", "ok", "busy", "none", "crash"]),
        leaves=st.one_of(st.none(), st.floats(0.01, 80)),
    ),
    min_size=1,
    max_size=10,
)
DEATHS = st.dictionaries(st.integers(0, PROCESSES - 1), st.floats(0, 3 * SLOT), max_size=2)
OUTAGES = st.lists(st.tuples(st.floats(0, SLOT - 20), st.floats(0.001, 15)), max_size=3)


class World:
    """Processes, their store, and what has come of the calls."""

    def __init__(self) -> None:
        self.away = False
        self.clock = LoopClock()
        self.meter = MemoryMeter()
        self.store = MemoryStore(evict=False, clock=self.clock)
        self.processes = [Process(self) for _ in range(PROCESSES + 1)]
        self.outcomes = defaultdict[str, list[str]](list)
        self.told = defaultdict[str, set[str]](set)
        self.overlapped = False

    async def outage(self, at: float, seconds: float) -> None:
        await asyncio.sleep(at)
        self.away = True
        await asyncio.sleep(seconds)
        self.away = False

    async def die(self, process: int, at: float) -> None:
        await asyncio.sleep(at)
        self.processes[process].die()

    async def send(self, request: Request) -> None:
        await asyncio.sleep(request.at)
        process = self.processes[request.process]
        if not process.dead:
            await process.serve(request)


class Process:
    """One process: its way to the store, and the calls that it works on."""

    def __init__(self, world: World) -> None:
        self.dead = False
        self.working = set[str]()
        self._world = world
        self._handler = chain(
            [idempotency(self, lease=LEASE, clock=world.clock, meter=world.meter)],
            ECHO,
            self._work,
        )

    def die(self) -> None:
        """End all work; from now on nothing reaches the store."""
        self.dead = True
        self.working.clear()

    async def serve(self, request: Request) -> str:
        """Run a call, and tell the world what its client is told; return that."""
        headers = Header.of([("idempotency-key", request.key)])
        call = Call(ECHO, side=Side.SERVER, transport="test", headers=headers)
        call.options = request
        try:
            async with asyncio.timeout(request.leaves):
                said = str((await self._handler(call, text("pay"))).value)
        except Error as error:
            if error.code != 404:
                return error.reason
            said = error.reason
        except (RuntimeError, TimeoutError):
            return ""
        if not self.dead:
            self._world.told[request.key].add(said)
        return said

    async def _work(self, call: Call, _request: Any) -> StringValue:
        request: Request = call.options
        key = request.key
        if any(key in process.working for process in self._world.processes):
            self._world.overlapped = True
        self.working.add(key)
        try:
            await asyncio.sleep(request.takes)
            await self._live()
        finally:
            self.working.discard(key)
        if request.end == "busy":
            raise Error(503, "BUSY")
        if request.end == "crash":
            raise RuntimeError("a defect")
        outcomes = self._world.outcomes[key]
        outcomes.append(f"{request.end} {len(outcomes)}")
        if request.end == "none":
            raise Error(404, outcomes[-1])
        return text(outcomes[-1])

    # --- the store, as this process sees it

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        await self._there()
        return await self._back(await self._world.store.set_if_absent(key, value, ttl=ttl))

    async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
        await self._there()
        store = self._world.store
        return await self._back(await store.replace(key, value, expected=expected, ttl=ttl))

    async def delete(self, key: str, /, *, expected: bytes | None = None) -> bool:
        await self._there()
        return await self._back(await self._world.store.delete(key, expected=expected))

    async def get(self, key: str, /) -> bytes | None:
        await self._there()
        return await self._world.store.get(key)

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        raise AssertionError("nothing is written without a look at what is there")

    async def aclose(self) -> None:
        pass

    async def _there(self) -> None:
        await asyncio.sleep(LATENCY)
        await self._live()
        if self._world.away:
            raise StoreUnavailable("no route")

    async def _back(self, done: bool) -> bool:
        """Lose the answer if the line breaks meanwhile: what was asked for has been done."""
        await asyncio.sleep(LATENCY)
        await self._live()
        if self._world.away:
            raise StoreUnavailable("the answer is lost")
        return done

    async def _live(self) -> None:
        """Do nothing any more if the process is dead."""
        if self.dead:
            await asyncio.get_running_loop().create_future()


async def play(
    requests: list[Request], deaths: dict[int, float], outages: list[tuple[float, float]]
) -> World:
    """Let everything happen; at last, repeat each call until it has an outcome for good."""
    world = World()
    running = [asyncio.ensure_future(world.send(request)) for request in requests]
    running += [asyncio.ensure_future(world.die(*death)) for death in deaths.items()]
    running += [
        asyncio.ensure_future(world.outage(SLOT * slot + at, seconds))
        for slot, (at, seconds) in enumerate(outages)
    ]
    await asyncio.wait(running, timeout=1000)  # those of the dead do not end
    for key in {request.key for request in requests}:
        last = Request(0, key, PROCESSES, 0.1, "ok", None)
        async with asyncio.timeout(1000):
            while await world.processes[PROCESSES].serve(last) == "IDEMPOTENCY_KEY_IN_USE":
                await world.clock.sleep(1)
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    return world


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Outages are logged, thousands of times here."""
    log = logging.getLogger("kratos.middleware.idempotency")
    log.disabled = True
    yield
    log.disabled = False


@settings(max_examples=100)
@given(REQUESTS)
def test_call_with_a_key_has_one_outcome_in_any_order_of_duplicates(
    requests: list[Request],
) -> None:
    world = run_in_virtual_time(play(requests, {}, []))
    assert not world.overlapped
    for key in {request.key for request in requests}:
        assert len(world.outcomes[key]) == 1
        assert world.told[key] == set(world.outcomes[key])


@settings(max_examples=100)
@given(REQUESTS, DEATHS)
def test_callers_are_told_one_outcome_whoever_dies(
    requests: list[Request], deaths: dict[int, float]
) -> None:
    world = run_in_virtual_time(play(requests, deaths, []))
    assert not world.overlapped
    for key in {request.key for request in requests}:
        # Of an outcome of a process that died before it could keep it, nobody was told.
        assert 1 <= len(world.outcomes[key]) <= 1 + len(deaths)
        assert len(world.told[key]) == 1


@settings(max_examples=100)
@given(REQUESTS, OUTAGES)
def test_outage_makes_a_call_run_again_only_if_its_outcome_could_not_be_kept(
    requests: list[Request], outages: list[tuple[float, float]]
) -> None:
    world = run_in_virtual_time(play(requests, {}, outages))
    assert not world.overlapped
    unkept = world.meter.value("server_idempotency_total", result="unkept") if outages else 0
    outcomes = sum(map(len, world.outcomes.values()))
    assert outcomes <= len({request.key for request in requests}) + unkept
