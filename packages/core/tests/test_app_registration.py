"""An application in its registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from kratos import plugins
from kratos.app import App
from kratos.errors import PluginNotFound
from kratos.health import Kind, Status
from kratos.log import Level
from kratos.metrics import Across, Counter, Gauge, NopMeter
from kratos.registry import Registration, RegistrationState, ServiceInstance, get_service
from kratos.registry.memory import MemoryRegistry
from kratos.testing.app import FakeServer, running
from kratos.testing.clock import FakeClock
from kratos.testing.log import MemoryLogger
from kratos.url import Url


class Registry(MemoryRegistry):
    """A registry that can be down, and keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.told: list[ServiceInstance] = []
        self.closed = 0

    async def register(self, instance: ServiceInstance, /) -> Registration:
        if self.down:
            raise ConnectionError("registry is down")
        self.told.append(instance)
        return await super().register(instance)

    async def aclose(self) -> None:
        self.closed += 1

    async def names(self) -> list[str]:
        return [instance.id for instance in await get_service(self, "orders")]


class FakeMeter(NopMeter):
    """Keeps what the gauge and the counter of registrations were told."""

    def __init__(self) -> None:
        self.states: list[tuple[str, float]] = []
        self.failures = 0.0

    def gauge(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        across: Across = "each",
    ) -> Gauge:
        assert (name, labels) == ("kratos_registration_state", ("state",))
        return FakeGauge(self.states)

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        assert (name, labels) == ("kratos_registration_failures_total", ())
        return FakeCounter(self)


class FakeGauge:
    def __init__(self, states: list[tuple[str, float]], state: str = "") -> None:
        self.states = states
        self.state = state

    def labels(self, *values: str) -> Gauge:
        return FakeGauge(self.states, values[0])

    def set(self, value: float, /) -> None:
        self.states.append((self.state, value))

    def add(self, amount: float, /) -> None:
        raise AssertionError


class FakeCounter:
    def __init__(self, meter: FakeMeter) -> None:
        self.meter = meter

    def labels(self, *values: str) -> Counter:
        raise AssertionError

    def inc(self, amount: float = 1.0, /) -> None:
        self.meter.failures += amount


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def log() -> MemoryLogger:
    return MemoryLogger()


@pytest.fixture
def options(clock: FakeClock, registry: Registry, log: MemoryLogger) -> dict[str, Any]:
    return {
        "id": "id-1",
        "name": "orders",
        "version": "v1",
        "metadata": {"zone": "a"},
        "servers": [
            FakeServer(endpoint="http://10.0.0.1:80"),
            FakeServer(),
            FakeServer(endpoint="grpc://10.0.0.1:90"),
        ],
        "registrar": registry,
        "clock": clock,
        "log": log,
        "signals": (),
    }


async def test_registry_learns_who_the_application_is(
    options: dict[str, Any], clock: FakeClock, registry: Registry
) -> None:
    async with running(App(**options)):
        await clock.settle()
        while_serving = await registry.names()
    assert (while_serving, await registry.names()) == (["id-1"], [])
    assert registry.told == [
        ServiceInstance(
            id="id-1",
            name="orders",
            version="v1",
            metadata={"zone": "a"},
            endpoints=("http://10.0.0.1:80", "grpc://10.0.0.1:90"),
        )
    ]


async def test_given_endpoints_are_published_in_place_of_the_servers(
    options: dict[str, Any], clock: FakeClock, registry: Registry
) -> None:
    async with running(App(**options, endpoints=["https://orders.example:443"])) as app:
        await clock.settle()
        assert app.endpoints == ("https://orders.example:443",)
    assert registry.told[0].endpoints == ("https://orders.example:443",)


async def test_application_serves_unready_while_the_registry_is_away(
    options: dict[str, Any], clock: FakeClock, registry: Registry
) -> None:
    registry.down = True
    async with running(App(**options)) as app:
        await clock.settle()
        away = await app.health.report(Kind.READY)
        alive = await app.health.report(Kind.LIVE)
        registry.down = False
        await clock.advance(60.0)
        assert app.health.ready
    assert (away.ok, alive.ok) == (False, True)
    assert "ConnectionError: registry is down" in away.failed[0].message


async def test_readiness_is_on_once_registered_without_anybody_asking(
    options: dict[str, Any], clock: FakeClock
) -> None:
    heard: list[Status | None] = []
    app = App(**options)
    app.health.subscribe("", heard.append)
    async with running(app):
        await clock.settle()
    assert heard == [Status.NOT_SERVING, Status.SERVING, Status.NOT_SERVING]


async def test_registration_can_be_looked_at(
    options: dict[str, Any], clock: FakeClock, registry: Registry
) -> None:
    app = App(**options)
    before = app.registration
    async with running(app):
        await clock.settle()
        serving = app.registration
    after = app.registration
    assert before is None
    assert serving is not None
    assert after is not None
    assert (serving.state, after.state) == (RegistrationState.HELD, RegistrationState.GONE)


async def test_changed_metadata_are_published_in_place(
    options: dict[str, Any], clock: FakeClock, registry: Registry
) -> None:
    async with running(App(**options)) as app:
        await clock.settle()
        app.update_metadata({"weight": "50"})
        await clock.settle()
        assert app.metadata == {"weight": "50"}
        assert await registry.names() == ["id-1"]
    assert [told.metadata for told in registry.told] == [{"zone": "a"}, {"weight": "50"}]


async def test_metadata_changed_before_the_registration_are_published_with_it(
    options: dict[str, Any], clock: FakeClock, registry: Registry
) -> None:
    def change(app: App) -> None:
        app.update_metadata({"weight": "50"})

    async with running(App(**options, before_start=[change])):
        await clock.settle()
    assert [told.metadata for told in registry.told] == [{"weight": "50"}]


async def test_registration_is_a_metric(
    options: dict[str, Any], clock: FakeClock, registry: Registry
) -> None:
    meter = FakeMeter()
    registry.down = True
    async with running(App(**options, metrics=meter)):
        await clock.settle()
        refused = meter.failures
        registry.down = False
        await clock.advance(60.0)
    present = [state for state, value in meter.states if value]
    assert refused == 1.0
    assert present[0] == "pending"
    assert present[-2:] == ["held", "gone"]
    assert {state for state, _ in meter.states} == {state.value for state in RegistrationState}


@pytest.fixture
def scheme(registry: Registry) -> Iterator[str]:
    def from_url(_url: Url) -> Registry:
        return registry

    undo = plugins.register("kratos.registry", "stage", from_url)
    yield "stage"
    undo()


async def test_registry_made_from_a_url_is_released_at_the_end(
    options: dict[str, Any], clock: FakeClock, registry: Registry, scheme: str
) -> None:
    options["registrar"] = f"{scheme}://host"
    async with running(App(**options)):
        await clock.settle()
        assert await registry.names() == ["id-1"]
        assert registry.closed == 0
    assert (await registry.names(), registry.closed) == ([], 1)


async def test_registry_given_as_an_object_stays_open(
    options: dict[str, Any], registry: Registry
) -> None:
    async with running(App(**options)):
        pass
    assert registry.closed == 0


async def test_unknown_registry_fails_the_start_before_anything_is_bound(
    options: dict[str, Any],
) -> None:
    server = FakeServer()
    options |= {"registrar": "nosuch://127.0.0.1", "servers": [server]}
    with pytest.raises(PluginNotFound, match="nosuch"):
        await App(**options).run()
    assert server.journal == []


async def test_registering_without_an_endpoint_is_warned_of(
    options: dict[str, Any], log: MemoryLogger
) -> None:
    options["servers"] = [FakeServer()]
    async with running(App(**options)):
        pass
    assert log.messages(Level.WARN) == [
        "the application registers without an endpoint: nobody can call it"
    ]


async def test_registration_follows_what_is_wanted(
    options: dict[str, Any], registry: Registry, clock: FakeClock
) -> None:
    async with running(App(**options)) as app:
        await clock.settle()
        assert await registry.names() == [app.id]
        app.want_registered(False)
        await clock.settle()
        assert await registry.names() == []
        assert not app.health.ready
        app.update_metadata({"weight": "7"})
        app.want_registered(True)
        await clock.settle()
        assert await registry.names() == [app.id]
        assert registry.told[-1].metadata == {"weight": "7"}
    assert await registry.names() == []


async def test_registration_that_is_wanted_no_more_ends_with_the_application(
    options: dict[str, Any], registry: Registry, clock: FakeClock
) -> None:
    async with running(App(**options)) as app:
        app.want_registered(False)
        await clock.settle()
    app.want_registered(True)
    await clock.settle()
    assert await registry.names() == []
