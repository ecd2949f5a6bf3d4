from __future__ import annotations

import asyncio

import pytest

from kratos.flight import Flights


async def test_others_get_what_the_leader_makes() -> None:
    flights = Flights[str, int]()
    with flights.lead("key", 0) as flight:
        joined = [asyncio.ensure_future(flights.join("key")) for _ in range(3)]
        await asyncio.sleep(0)
        flight.outcome = 7
    assert await asyncio.gather(*joined) == [7, 7, 7]


async def test_nothing_under_way_is_nothing_to_join() -> None:
    flights = Flights[str, int]()
    assert await flights.join("key") is None
    with flights.lead("other", 0):
        assert await flights.join("key") is None
        assert "other" in flights
    assert len(flights) == 0


async def test_others_are_told_when_the_leader_fails() -> None:
    flights = Flights[str, int]()

    async def fail() -> None:
        with flights.lead("key", -1):
            await asyncio.sleep(0)
            raise LookupError

    leader = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    assert await flights.join("key") == -1
    with pytest.raises(LookupError):
        await leader


async def test_second_leader_runs_beside_the_first_and_nobody_joins_it() -> None:
    flights = Flights[str, int]()
    with flights.lead("key", 0) as first:
        with flights.lead("key", 0) as second:
            joined = asyncio.ensure_future(flights.join("key"))
            await asyncio.sleep(0)
            second.outcome = 2
        assert "key" in flights
        first.outcome = 1
    assert await joined == 1


async def test_outcome_may_be_asked_for_when_it_has_been_told() -> None:
    flights = Flights[str, int]()
    with flights.lead("key", 0) as flight:
        joining = flights.joining("key")
        flight.outcome = 7
    assert flights.joining("key") is None
    assert joining is not None
    assert await joining == 7


async def test_cancelled_joiner_leaves_the_others_alone() -> None:
    flights = Flights[str, int]()
    with flights.lead("key", 0) as flight:
        gone = asyncio.ensure_future(flights.join("key"))
        stays = asyncio.ensure_future(flights.join("key"))
        await asyncio.sleep(0)
        gone.cancel()
        flight.outcome = 1
    assert await stays == 1
    with pytest.raises(asyncio.CancelledError):
        await gone
