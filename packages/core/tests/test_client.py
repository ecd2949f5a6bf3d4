"""The client as its users see it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from kratos import plugins
from kratos.client import Client
from kratos.errors import ConfigError, Error, PluginNotFound, TargetError
from kratos.metrics import Across, Gauge, NopMeter
from kratos.middleware import AnyMiddleware
from kratos.registry import ServiceInstance
from kratos.registry.memory import MemoryRegistry
from kratos.selector import Node, RandomChoice
from kratos.testing.connector import FakeConnection, FakeConnector
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, EchoService, text
from kratos.testing.middleware_contract import MiddlewareContract, Served, Transport
from kratos.transport import Call, Caller, CallOptions, Handler, Service
from kratos.transport.local import LocalTransport
from kratos.url import Url
from kratos.watch import Watcher

A, B = "127.0.0.1:9001", "127.0.0.1:9002"


def connector(*addresses: str, scheme: str = "http", lazy: bool = False) -> FakeConnector:
    made = FakeConnector(scheme=scheme, lazy=lazy)
    for address in addresses:
        made.serve(address, EchoService())
    return made


def instance(number: int, endpoint: str, *, version: str = "") -> ServiceInstance:
    return ServiceInstance(id=str(number), name="echo", version=version, endpoints=(endpoint,))


async def echo(caller: Caller, word: str = "ok", options: CallOptions | None = None) -> str:
    return (await caller.unary(ECHO, text(word), options)).value


async def until_tried(connector: FakeConnector) -> None:
    """Return when an attempt to connect was made; the test's time limit bounds it."""
    while not any(each.attempts for each in connector.connections):  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.sleep(0)


@dataclass
class Plugged:
    """Transports that a test installed, and with what they were made."""

    made: list[tuple[str, object]] = field(default_factory=list[tuple[str, object]])
    undo: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def install(self, name: str, connector: FakeConnector) -> None:
        def factory(*, tls: object | None = None) -> FakeConnector:
            self.made.append((name, tls))
            return connector

        self.undo.append(plugins.register("kratos.transport", name, factory))

    def share(self, registry: MemoryRegistry) -> None:
        def factory(_url: Url) -> MemoryRegistry:
            return registry

        self.undo.append(plugins.register("kratos.registry", "shared", factory))


@pytest.fixture
def plugged() -> Generator[Plugged]:
    plugged = Plugged()
    yield plugged
    for undo in plugged.undo:
        undo()


async def test_all_four_arities_reach_the_service() -> None:
    async with Client(A, transport=connector(A)) as caller:
        assert await echo(caller) == "ok"
        assert (await caller.client_stream(COLLECT, [text("a"), text("b")])).value == "a b"
        async with caller.server_stream(WATCH, text("a b")) as replies:
            assert [reply.value async for reply in replies] == ["a", "b"]
        async with caller.bidi_stream(CHAT) as stream:
            await stream.send(text("a"))
            await stream.end()
            assert [reply.value async for reply in stream] == ["a"]


async def test_direct_target_uses_every_address() -> None:
    fake = connector(A, B)
    async with Client(f"direct:///{A},{B}", transport=fake) as caller:
        await caller.ready()
        await asyncio.gather(*(echo(caller) for _ in range(4)))
    assert [connection.calls for connection in fake.connections] == [2, 2]


async def test_unix_target_is_an_address_too() -> None:
    fake = connector("unix:/run/echo.sock")
    async with Client("unix:/run/echo.sock", transport=fake) as caller:
        assert await echo(caller) == "ok"
    assert fake.connections[0].node.unix_path == "/run/echo.sock"


async def test_call_says_what_the_client_was_pointed_at() -> None:
    seen: list[tuple[str, str, str]] = []
    async with Client(f"http://{A}", transport=connector(A)) as caller:
        await echo(
            caller,
            options=CallOptions(
                on_end=lambda call: seen.append((call.transport, call.endpoint, call.peer))
            ),
        )
    assert seen == [("http", f"http://{A}", A)]


async def test_discovered_service_is_called() -> None:
    registry = MemoryRegistry()
    await registry.register(instance(1, f"grpc://{A}"))
    fake = connector(A, scheme="grpc")
    async with Client("discovery:///echo", transport=fake, discovery=registry) as caller:
        assert await echo(caller) == "ok"
        assert [node.id for node in caller.nodes.nodes] == ["1"]


async def test_registry_may_be_named_by_its_url(plugged: Plugged) -> None:
    registry = _ClosingRegistry()
    await registry.register(instance(1, f"http://{A}"))
    plugged.share(registry)
    first = Client("discovery:///echo", transport=connector(A), discovery="shared://x")
    second = Client("discovery:///echo", transport=connector(A), discovery="shared://x")
    async with first:
        async with second:
            assert await echo(second) == "ok"
        assert registry.closed == 0
        assert await echo(first) == "ok"
    assert registry.closed == 1
    assert registry.watches == 1


async def test_call_waits_for_the_registry_to_answer() -> None:
    registry = _SilentRegistry()
    client = Client("discovery:///echo", transport=connector(A), discovery=registry)
    async with client:
        call = asyncio.create_task(echo(client))
        await registry.asked.wait()
        assert not call.done()
        await registry.register(instance(1, f"http://{A}"))
        registry.answer.set()
        assert await call == "ok"


@pytest.mark.parametrize(
    ("scheme", "reason"), [("http", "NODE_NOT_FOUND"), ("grpc", "no_available_node")]
)
async def test_no_node_is_told_as_go_tells_it(scheme: str, reason: str) -> None:
    fake = connector(scheme=scheme)
    client = Client("discovery:///echo", transport=fake, discovery=MemoryRegistry())
    async with client:
        with pytest.raises(Error) as caught:
            await echo(client)
    assert (caught.value.code, caught.value.reason) == (503, reason)


async def test_call_to_an_address_that_refuses_fails_at_once() -> None:
    async with Client(f"direct:///{A},{B}", transport=connector(), timeout=None) as caller:
        for _ in range(2):
            with pytest.raises(Error) as caught:
                async with asyncio.timeout(10):
                    await echo(caller)
            assert (caught.value.code, caught.value.reason) == (503, "NODE_NOT_FOUND")
            assert f"{A}: ConnectionRefusedError" in str(caught.value)


async def test_call_waits_for_an_address_that_refuses_if_it_is_told_to() -> None:
    made = connector()
    async with Client(A, transport=made, timeout=None, fail_fast=False) as caller:
        call = asyncio.create_task(echo(caller))
        await until_tried(made)
        made.serve(A, EchoService())
        assert await call == "ok"


async def test_call_waits_for_a_discovered_node_that_refuses() -> None:
    registry, made = MemoryRegistry(), connector()
    await registry.register(instance(1, f"http://{A}"))
    async with Client(
        "discovery:///echo", transport=made, discovery=registry, timeout=None
    ) as caller:
        call = asyncio.create_task(echo(caller))
        await until_tried(made)
        made.serve(A, EchoService())
        assert await call == "ok"


async def test_version_narrows_the_instances() -> None:
    registry = MemoryRegistry()
    await registry.register(instance(1, f"http://{A}", version="v1"))
    await registry.register(instance(2, f"http://{B}", version="v2"))
    fake = connector(A, B)
    client = Client("discovery:///echo", transport=fake, discovery=registry, version="v2")
    async with client:
        await echo(client)
        assert [node.address for node in client.nodes.nodes] == [B]


async def test_node_filters_of_the_client_hold() -> None:
    def only_b(_call: object, nodes: Sequence[Node]) -> Sequence[Node]:
        return [node for node in nodes if node.address == B]

    fake = connector(A, B)
    async with Client(f"direct:///{A},{B}", transport=fake, filters=[only_b]) as caller:
        for _ in range(3):
            await echo(caller)
    assert [connection.calls for connection in fake.connections] == [0, 3]


async def test_timeout_is_two_seconds_unless_said_otherwise() -> None:
    left: list[float | None] = []

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        left.append(call.remaining())
        return await next(call, request)

    async with Client(A, transport=connector(A), middleware=[note]) as caller:
        await echo(caller)
    async with Client(A, transport=connector(A), middleware=[note], timeout=None) as caller:
        await echo(caller)
    assert left[0] is not None
    assert 1 < left[0] <= 2
    assert left[1] is None


async def test_ready_waits_for_a_node() -> None:
    fake = connector()
    fake.silence(A)
    async with Client(A, transport=fake) as client:
        ready = asyncio.create_task(client.ready())
        await asyncio.sleep(0)
        assert not ready.done()
        fake.serve(A, EchoService())
        await ready
        assert [stats.ready for stats in client.stats()] == [True]


async def test_waiting_for_a_node_ends_when_the_client_is_closed() -> None:
    fake = connector()
    fake.silence(A)
    async with Client(A, transport=fake) as client:
        ready = asyncio.create_task(client.ready())
        await asyncio.sleep(0)
    with pytest.raises(Error, match="the client is closed"):
        await ready


def test_client_is_made_without_an_event_loop() -> None:
    client = Client(f"direct:///{A},{B}", transport=connector(A, B))
    assert client.target == f"direct:///{A},{B}"


async def test_closing_leaves_no_task_and_no_connection() -> None:
    registry = MemoryRegistry()
    await registry.register(instance(1, f"http://{A}"))
    fake = connector(A)
    async with Client("discovery:///echo", transport=fake, discovery=registry) as caller:
        await echo(caller)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert all(connection.closed for connection in fake.connections)


async def test_closing_lets_calls_in_flight_end() -> None:
    service = EchoService()
    fake = FakeConnector()
    fake.serve(A, service)
    client = Client(A, transport=fake)
    async with client:
        async with client.server_stream(WATCH, text("one two")) as stream:
            await stream.__anext__()
            closing = asyncio.create_task(client.aclose(drain=10))
            await asyncio.sleep(0)
            assert [reply.value async for reply in stream] == ["two"]
        await closing
    assert fake.connections[0].drains == [10]


async def test_use_before_entering_is_refused() -> None:
    client = Client(A, transport=connector(A))
    with pytest.raises(RuntimeError, match=f"the client of {A} was not entered: use async with"):
        await echo(client)
    with pytest.raises(RuntimeError, match="was not entered"):
        client.server_stream(WATCH, text("a"))
    with pytest.raises(RuntimeError, match="was not entered"):
        client.bidi_stream(CHAT)
    with pytest.raises(RuntimeError, match="was not entered"):
        await client.client_stream(COLLECT, [])
    with pytest.raises(RuntimeError, match="was not entered"):
        await client.ready()
    assert client.stats() == ()
    assert client.nodes.nodes == ()


async def test_use_after_closing_is_refused() -> None:
    client = Client(A, transport=connector(A))
    async with client:
        pass
    with pytest.raises(RuntimeError, match=f"the client of {A} is closed"):
        await echo(client)


async def test_client_is_entered_once() -> None:
    client = Client(A, transport=connector(A))
    async with client:
        pass
    with pytest.raises(RuntimeError, match="was entered already; make a new one"):
        async with client:
            pass


async def test_closing_without_entering_is_harmless() -> None:
    client = Client(A, transport=connector(A))
    await client.aclose()
    await client.aclose()
    with pytest.raises(RuntimeError, match="is closed"):
        await echo(client)


async def test_entering_that_fails_leaves_nothing_open() -> None:
    class Broken(FakeConnector):
        def connect(self, node: Node, /) -> FakeConnection:
            raise OSError("no more descriptors")

    client = Client(A, transport=Broken())
    with pytest.raises(OSError, match="no more descriptors"):
        async with client:
            pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("target", "transport", "name"),
    [
        (A, None, "http"),
        (f"http://{A}", None, "http"),
        (f"grpc://{A}", None, "grpc"),
        (f"grpc://{A}", "grpc", "grpc"),
        (A, "grpc", "grpc"),
    ],
)
async def test_transport_follows_from_target_or_name(
    plugged: Plugged, target: str, transport: str | None, name: str
) -> None:
    plugged.install("http", connector(A))
    plugged.install("grpc", connector(A, scheme="grpc"))
    async with Client(target, transport=transport) as caller:
        assert await echo(caller) == "ok"
    assert plugged.made == [(name, None)]


@pytest.mark.parametrize("target", [f"https://{A}", f"grpcs://{A}"])
async def test_target_that_asks_for_tls_makes_secure_nodes(plugged: Plugged, target: str) -> None:
    fake = connector(A, scheme=target[:4])
    plugged.install(target[:4], fake)
    async with Client(target):
        assert [connection.node.secure for connection in fake.connections] == [True]


async def test_tls_reaches_the_transport_and_asks_for_secure_endpoints(plugged: Plugged) -> None:
    fake = connector(A, B)
    plugged.install("http", fake)
    registry = MemoryRegistry()
    await registry.register(instance(1, f"http://{A}"))
    await registry.register(instance(2, f"https://{B}"))
    tls = ssl.create_default_context()
    async with Client("discovery:///echo", discovery=registry, tls=tls) as caller:
        await echo(caller)
    assert [connection.node.address for connection in fake.connections] == [B]
    assert plugged.made == [("http", tls)]


@pytest.mark.parametrize(("tls", "secure"), [(True, True), (False, False)])
async def test_tls_may_be_yes_or_no(plugged: Plugged, tls: bool, secure: bool) -> None:
    fake = connector(A)
    plugged.install("http", fake)
    async with Client(A, tls=tls):
        assert [connection.node.secure for connection in fake.connections] == [secure]
    assert plugged.made == [("http", None)]


async def test_nodes_are_a_metric() -> None:
    meter = _Gauges()
    registry = MemoryRegistry()
    registration = await registry.register(instance(1, f"http://{A}"))
    fake = connector(A)
    client = Client("discovery:///echo", transport=fake, discovery=registry, meter=meter)
    async with client:
        await client.ready()
        assert meter.values == {"client_nodes": 1, "client_nodes_stale": 0}
        stale = asyncio.Event()
        meter.told = stale.set
        await registration.withdraw()
        await stale.wait()
        assert meter.values == {"client_nodes": 1, "client_nodes_stale": 1}
    assert meter.values == {"client_nodes": 0, "client_nodes_stale": 0}


def test_transport_that_nobody_brings_is_named() -> None:
    with pytest.raises(PluginNotFound, match=r"no distribution that .* brings it"):
        Client(A, transport="carrier")


def test_target_of_one_transport_on_another_is_refused() -> None:
    with pytest.raises(TargetError, match="is one of grpc, and transport= says http"):
        Client(f"grpc://{A}", transport=connector(scheme="http"))


def test_tls_for_a_plain_target_is_refused() -> None:
    with pytest.raises(TargetError, match="write https:// or leave tls out"):
        Client(f"http://{A}", transport=connector(), tls=ssl.create_default_context())


def test_name_without_discovery_is_refused() -> None:
    with pytest.raises(TargetError, match="pass discovery="):
        Client("discovery:///echo", transport=connector())


def test_discovery_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="is neither a registry nor the URL of one"):
        Client("discovery:///echo", transport=connector(), discovery=cast("Any", 3))


def test_malformed_target_is_refused() -> None:
    with pytest.raises(TargetError, match="write one of discovery:///name"):
        Client("discovery://echo", transport=connector())


def test_health_is_how_to_ask_and_not_whether() -> None:
    whether: Any = True
    with pytest.raises(ConfigError, match=r"an ActiveHealth\(check=\.\.\.\), not True"):
        Client("http://127.0.0.1:1", health=whether)


def test_unknown_on_empty_is_refused() -> None:
    with pytest.raises(ConfigError, match="on_empty is 'keep' or 'apply', not 'drop'"):
        Client(A, transport=connector(), on_empty=cast("Any", "drop"))


async def test_selector_is_chosen_by_name() -> None:
    for name in ("wrr", "p2c", "random"):
        async with Client(A, transport=connector(A), selector=name) as caller:
            assert await echo(caller) == "ok"


def test_selector_that_is_not_installed_is_refused() -> None:
    with pytest.raises(PluginNotFound, match=r"no plug-in 'wr' in kratos\.selector"):
        Client(A, transport=connector(), selector="wr")


def test_selector_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither a name nor an object with apply and select"):
        Client(A, transport=connector(), selector=cast("Any", 3))


async def test_selector_may_be_an_object() -> None:
    async with Client(A, transport=connector(A), selector=RandomChoice()) as caller:
        assert await echo(caller) == "ok"


class _ClosingRegistry(MemoryRegistry):
    def __init__(self) -> None:
        super().__init__()
        self.closed = 0
        self.watches = 0

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        self.watches += 1
        return await super().watch(name)

    async def aclose(self) -> None:
        self.closed += 1


class _SilentRegistry(MemoryRegistry):
    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        self.asked.set()
        await self.answer.wait()
        return await super().watch(name)


class _Gauges(NopMeter):
    """Keeps what gauges show, without their labels."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.told: Callable[[], None] | None = None

    def gauge(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        across: Across = "each",
    ) -> Gauge:
        return _KeptGauge(self, name)


class _KeptGauge:
    def __init__(self, meter: _Gauges, name: str) -> None:
        self._meter = meter
        self._name = name

    def labels(self, *values: str) -> Gauge:
        assert values == ("discovery:///echo",)
        return self

    def set(self, value: float, /) -> None:
        self._meter.values[self._name] = value
        if self._meter.told is not None:
            self._meter.told()

    def add(self, amount: float, /) -> None:
        raise AssertionError("the number is known; nothing is added up")


@dataclass
class _Served:
    caller: Caller
    transport: LocalTransport

    async def drain(self, timeout: float, /) -> None:
        await self.transport.dispatcher.drain(timeout)


@asynccontextmanager
async def open_through_a_client(
    service: Service,
    /,
    *,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    timeouts: dict[str, float] | None = None,
) -> AsyncGenerator[Served]:
    fake = FakeConnector(scheme="local")
    transport = LocalTransport(service, middleware=middleware, timeout=None, timeouts=timeouts)
    fake.put(A, transport)
    client = Client(A, transport=fake, middleware=client_middleware, timeout=None)
    async with client:
        yield _Served(client, transport)


class TestClient(MiddlewareContract):
    """A client keeps the contract of middleware as the transport below it does."""

    @pytest.fixture
    def transport(self) -> Transport:
        return open_through_a_client


async def test_client_with_a_name_uses_the_same_nodes_after_each_start() -> None:
    registry = MemoryRegistry()
    for number in range(1, 9):
        await registry.register(instance(number, f"http://10.0.0.{number}:80"))

    async def used() -> set[str]:
        async with Client(
            "discovery:///echo",
            transport=connector(*(f"10.0.0.{number}:80" for number in range(1, 9))),
            discovery=registry,
            subset=2,
            subset_key="orders-0",
        ) as caller:
            await caller.ready()
            return {node.address for node in caller.nodes.nodes}

    assert await used() == await used()


def test_negative_number_of_a_client_is_refused() -> None:
    with pytest.raises(ConfigError, match="subset_key=-1"):
        Client("discovery:///echo", discovery=MemoryRegistry(), subset_key=-1)


@pytest.mark.parametrize("name", ["hash", "least", "p2c", "random", "wrr"])
async def test_selector_may_be_named(name: str) -> None:
    async with Client(A, transport=connector(A), selector=name) as caller:
        assert await echo(caller) == "ok"
