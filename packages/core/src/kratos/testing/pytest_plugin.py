"""Fixtures for pytest, which finds them by the entry point ``kratos`` of its group ``pytest11``.

This module is imported by every run of pytest wherever Kratos is installed, so it imports
nothing of Kratos; each fixture does, when a test asks for it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from kratos.config import MemorySource
    from kratos.metrics import MemoryMeter
    from kratos.registry.memory import MemoryRegistry
    from kratos.testing.call_faults import CallFaults
    from kratos.testing.clock import FakeClock
    from kratos.testing.fixtures import AppFixture, ClientFixture, Scope
    from kratos.testing.log import MemoryLogger
    from kratos.testing.topology import Topology
    from kratos.testing.tracing import MemoryTracer

# Names under which pytest-asyncio is registered: by its entry point, or by hand.
_ASYNCIO: Final = ("asyncio", "pytest_asyncio", "pytest_asyncio.plugin")
_ANYIO: Final = "anyio_backend"  # the fixture by which anyio knows the tests that it runs
_NEITHER: Final = (
    "the fixtures kratos_app and kratos_client need something that runs asynchronous tests: "
    "pip install pytest-asyncio, or mark the test with pytest.mark.anyio; without either, use "
    "kratos.testing.running and kratos.testing.serving as context managers"
)


def pytest_configure(config: pytest.Config) -> None:
    """Bring the fixture that pytest-asyncio runs, where it is at work."""
    if _has_pytest_asyncio(config):
        from kratos.testing import _pytest_asyncio

        config.pluginmanager.register(_pytest_asyncio, "kratos-asyncio")


@pytest.fixture
def kratos_clock() -> FakeClock:
    """Return a clock that moves only when it is told to."""
    from kratos.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def kratos_registry() -> MemoryRegistry:
    """Return an empty registry in memory, registrar and discovery at once."""
    from kratos.registry.memory import MemoryRegistry

    return MemoryRegistry()


@pytest.fixture
def kratos_source() -> MemorySource:
    """Return an empty source of configuration in memory."""
    from kratos.config import MemorySource

    return MemorySource()


@pytest.fixture
def kratos_log() -> MemoryLogger:
    """Return a logger that keeps its records."""
    from kratos.testing.log import MemoryLogger

    return MemoryLogger()


@pytest.fixture
def kratos_meter() -> MemoryMeter:
    """Return a meter that keeps its figures."""
    from kratos.metrics import MemoryMeter

    return MemoryMeter()


@pytest.fixture
def kratos_tracer() -> MemoryTracer:
    """Return a tracer that keeps its spans."""
    from kratos.testing.tracing import MemoryTracer

    return MemoryTracer()


@pytest.fixture
def kratos_faults() -> CallFaults:
    """Return faults of calls, with none in force."""
    from kratos.testing.call_faults import CallFaults

    return CallFaults()


@pytest.fixture
def kratos_topology() -> Topology:
    """Return a topology that is to be entered, in virtual time."""
    from kratos.testing.topology import Topology

    return Topology()


@pytest.fixture
def kratos_app(_kratos_scope: Scope) -> AppFixture:
    """Return what runs an application until the end of the test.

    ``await kratos_app(app)`` returns when it serves. Applications are stopped at the end, the
    last one first. Whatever task, thread or socket is left after that fails the test.
    """
    return _kratos_scope.run


@pytest.fixture
def kratos_client(_kratos_scope: Scope) -> ClientFixture:
    """Return what makes clients until the end of the test.

    ``await kratos_client(GreeterService(), middleware=[...])`` serves it in process, with the
    arguments of ``kratos.testing.serving``. ``await kratos_client(app, transport="grpc")`` runs
    an application, with the arguments of ``kratos.testing.client_of``.
    """
    return _kratos_scope.client


@pytest.fixture
def _kratos_scope(request: pytest.FixtureRequest) -> Scope:
    """Return the scope of the test, from whatever runs asynchronous tests."""
    if _ANYIO in request.fixturenames:
        if request.getfixturevalue("anyio_backend_name") != "asyncio":
            pytest.skip("Kratos runs on asyncio alone: let a fixture anyio_backend say so")
        name = "_kratos_scope_anyio"
    elif _has_pytest_asyncio(request.config):
        name = f"_kratos_scope_asyncio_{_loop_scope(request)}"
    else:
        pytest.fail(_NEITHER, pytrace=False)
    scope: Scope = request.getfixturevalue(name)
    return scope


@pytest.fixture
async def _kratos_scope_anyio() -> AsyncGenerator[Scope]:
    from kratos.testing.fixtures import Scope

    async with Scope() as scope:
        yield scope


def _has_pytest_asyncio(config: pytest.Config) -> bool:
    return any(config.pluginmanager.hasplugin(name) for name in _ASYNCIO)


def _loop_scope(request: pytest.FixtureRequest) -> str:
    """Return the scope of the loop in which pytest-asyncio runs the test."""
    marker = request.node.get_closest_marker("asyncio")
    named: str | None = None if marker is None else marker.kwargs.get("loop_scope")
    return named or str(request.config.getini("asyncio_default_test_loop_scope") or "function")
