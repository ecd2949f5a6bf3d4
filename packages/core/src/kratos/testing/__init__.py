"""Fakes, clocks and contract suites for those who build on Kratos.

What tests of services need is at hand here and imported when it is first used; suites for those
who write adapters and transports are in modules of their own. ``docs/testing.md`` shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kratos.config import MemorySource
    from kratos.metrics import MemoryMeter
    from kratos.registry.memory import MemoryRegistry
    from kratos.testing.app import FakeServer, client_of, running
    from kratos.testing.call_faults import CallFaults
    from kratos.testing.clock import FakeClock, InstantClock
    from kratos.testing.connector import FakeConnector
    from kratos.testing.faults import FaultyRegistry, FaultySource
    from kratos.testing.leaks import LeakCheck
    from kratos.testing.log import MemoryLogger
    from kratos.testing.proxy import FaultProxy
    from kratos.testing.script import Script
    from kratos.testing.service import serving
    from kratos.testing.topology import Topology
    from kratos.testing.tracing import MemoryTracer
    from kratos.testing.virtual_time import (
        LoopClock,
        VirtualTimeLoop,
        in_virtual_time,
        run_in_virtual_time,
    )

__all__ = [
    "CallFaults",
    "FakeClock",
    "FakeConnector",
    "FakeServer",
    "FaultProxy",
    "FaultyRegistry",
    "FaultySource",
    "InstantClock",
    "LeakCheck",
    "LoopClock",
    "MemoryLogger",
    "MemoryMeter",
    "MemoryRegistry",
    "MemorySource",
    "MemoryTracer",
    "Script",
    "Topology",
    "VirtualTimeLoop",
    "client_of",
    "in_virtual_time",
    "run_in_virtual_time",
    "running",
    "serving",
]

# By importing these alone, a plug-in of pytest that nobody uses costs next to nothing.
_HOMES: Final = {
    "CallFaults": "kratos.testing.call_faults",
    "FakeClock": "kratos.testing.clock",
    "FakeConnector": "kratos.testing.connector",
    "FakeServer": "kratos.testing.app",
    "FaultProxy": "kratos.testing.proxy",
    "FaultyRegistry": "kratos.testing.faults",
    "FaultySource": "kratos.testing.faults",
    "InstantClock": "kratos.testing.clock",
    "LeakCheck": "kratos.testing.leaks",
    "LoopClock": "kratos.testing.virtual_time",
    "MemoryLogger": "kratos.testing.log",
    "MemoryMeter": "kratos.metrics",
    "MemoryRegistry": "kratos.registry.memory",
    "MemorySource": "kratos.config",
    "Script": "kratos.testing.script",
    "Topology": "kratos.testing.topology",
    "MemoryTracer": "kratos.testing.tracing",
    "VirtualTimeLoop": "kratos.testing.virtual_time",
    "client_of": "kratos.testing.app",
    "in_virtual_time": "kratos.testing.virtual_time",
    "run_in_virtual_time": "kratos.testing.virtual_time",
    "running": "kratos.testing.app",
    "serving": "kratos.testing.service",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kratos.testing' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
