"""The contract of meters, read back from what an agent is sent over a real socket."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from kratos.metrics import Distribution, Meter, Snapshot
from kratos.testing.meter_contract import MeterContract
from kratos_datadog import DogStatsdMeter

BOUNDS = (0.1, 1.0)


class TestDogStatsd(MeterContract):
    threads: ClassVar = True

    @pytest.fixture
    def meter(self, agent: Any, metering: Callable[..., DogStatsdMeter]) -> DogStatsdMeter:
        self.agent = agent
        return metering(agent.address)

    async def read(self, meter: Meter) -> Snapshot:
        assert isinstance(meter, DogStatsdMeter)
        assert await asyncio.to_thread(meter.flush)
        series: dict[str, dict[tuple[str, ...], Any]] = {}
        for line in self.agent.read():
            key = tuple(tag.partition(":")[2] for tag in line.tags)
            told = series.setdefault(line.name, {})
            if line.kind == "c":
                told[key] = told.get(key, 0.0) + line.values[0]
            elif line.kind == "g":
                told[key] = line.values[0]
            else:
                told[key] = put(told.get(key), line.values)
        return tuple(
            replace(family, series=series.get(family.name, {})) for family in meter.declared
        )


def put(known: Distribution | None, values: tuple[float, ...]) -> Distribution:
    counts = [0] * (len(BOUNDS) + 1) if known is None else list(known.counts)
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    total = sum(values) + (0.0 if known is None else known.total)
    return Distribution(bounds=BOUNDS, counts=tuple(counts), total=total)
