"""The meters of the core keep the contract that adapters keep."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.outcomes import Failed

from kratos.metrics import MemoryMeter, Meter, NopMeter, Snapshot
from kratos.testing.meter_contract import MeterContract, UsableMeterContract


class TestMemoryMeter(MeterContract):
    @pytest.fixture
    def meter(self) -> Meter:
        return MemoryMeter()


class TestNopMeter(UsableMeterContract):
    @pytest.fixture
    def meter(self) -> Meter:
        return NopMeter()


async def test_included_source_is_shown_with_what_was_counted_here() -> None:
    meter, other = MemoryMeter(), MemoryMeter()
    for each in (meter, other):
        each.counter("calls").inc(2)

    async def others() -> Snapshot:
        return other.snapshot()

    meter.include(others)
    assert "calls 4.0" in await meter.render()


class Falling(MemoryMeter):
    """Makes gauges where counters are asked for, which take less than nothing."""

    def counter(self, name: str, **options: Any) -> Any:
        gauge: Any = self.gauge(name, **options)
        labels = gauge.labels

        def child(*values: str) -> Any:
            found = labels(*values)
            return SimpleNamespace(inc=found.add, labels=found.labels)

        return SimpleNamespace(inc=gauge.add, labels=child)


class Forgetful(MemoryMeter):
    """Makes a fresh instrument each time."""

    def counter(self, name: str, **options: Any) -> Any:
        self._instruments.pop(name, None)
        return super().counter(name, **options)


class Deaf(MemoryMeter):
    """Never asks for gauges."""

    def on_collect(self, publish: Callable[[], None], /) -> None:
        pass


@pytest.mark.parametrize(
    ("meter", "test", "arguments"),
    [
        (Falling, "test_counter_never_falls", (-1.0,)),
        (Forgetful, "test_same_values_give_the_same_series", ()),
        (Forgetful, "test_name_that_another_instrument_has_is_refused", ()),
        (Deaf, "test_publishers_are_called_before_gauges_are_read", ()),
    ],
)
async def test_meter_that_breaks_the_contract_is_found_out(
    meter: type[MemoryMeter], test: str, arguments: tuple[float, ...]
) -> None:
    with pytest.raises((AssertionError, Failed, KeyError)):
        await getattr(MeterContract(), test)(meter(), *arguments)
