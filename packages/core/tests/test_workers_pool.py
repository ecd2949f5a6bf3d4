"""A supervisor over workers that are no processes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from kratos import process
from kratos.address import Address
from kratos.app import App
from kratos.clock import Clock
from kratos.config import Config, MemorySource
from kratos.config._states import from_plain
from kratos.errors import ConfigError, KratosError, StartupError
from kratos.health import Health, Kind
from kratos.log import Level
from kratos.metrics import Family, MemoryMeter, Snapshot, to_wire
from kratos.registry import get_service
from kratos.registry.memory import MemoryRegistry
from kratos.testing.app import FakeServer, running
from kratos.testing.clock import FakeClock
from kratos.testing.log import MemoryLogger
from kratos.workers import available_cores, supervise
from kratos.workers._child import Heard
from kratos.workers._messages import (
    Configure,
    Configured,
    Failed,
    Measure,
    Measured,
    Message,
    Published,
    Report,
    Settle,
    Setup,
)
from kratos.workers._pool import Pool
from kratos.workers._supervisor import supervising


class FakeChild:
    """A worker that does what a test says."""

    def __init__(
        self,
        stage: Stage,
        setup: Setup,
        sockets: Sequence[socket.socket],
        changed: Callable[[], None],
        heard: Heard,
    ) -> None:
        self.stage = stage
        self.setup = setup
        self.sockets = sockets
        self.ports = [sock.getsockname()[1] for sock in sockets if sock.family != socket.AF_UNIX]
        self.pid = 1000 + len(stage.children)
        self.ready_at: float | None = None
        self.report: Report | None = None
        self.failure: Failed | None = None
        self.code: int | None = None
        self.holds = False  # calls that keep it from ending
        self.told: list[Message] = []
        self.counted: Snapshot | None = None  # what it answers, if it does
        self._changed = changed
        self._heard = heard
        self._settled = asyncio.Event()
        self._leaving = asyncio.Event()
        self._ended = asyncio.Event()

    def serve(self) -> None:
        self.ready_at = self.stage.clock.time()
        self.report = Report(ready=True)
        self._settled.set()
        self._changed()

    def tell(self, report: Report) -> None:
        self.report = report
        self._changed()

    def die(self, code: int = -9, failure: Failed | None = None) -> None:
        if self.code is None:
            self.code, self.failure = code, failure
            for event in (self._settled, self._leaving, self._ended):
                event.set()
            self.stage.journal.append(f"{self.setup.slot} ended {code}")
            self._changed()

    def send(self, message: Message, /) -> None:
        self.told.append(message)
        if isinstance(message, Measure) and self.counted is not None:
            self.measure(self.counted)

    def measure(self, snapshot: Snapshot) -> None:
        self.hear(Measured(families=to_wire(snapshot)))

    def hear(self, message: Configured | Measured | Published) -> None:
        self._heard(self, message)

    async def settled(self) -> None:
        await self._settled.wait()

    async def leaving(self) -> None:
        await self._leaving.wait()

    async def ended(self) -> None:
        await self._ended.wait()

    def stop(self) -> None:
        self.stage.journal.append(f"{self.setup.slot} stop")
        self._leaving.set()

    def finish(self) -> None:
        self.stage.journal.append(f"{self.setup.slot} finish")
        if not self.holds:
            self.die(0)

    def kill(self) -> None:
        self.die(-9)


class Server(FakeServer):
    """A server that can be shared."""

    def __init__(self, address: str = "127.0.0.1:0", *, takes_socket: bool = True) -> None:
        super().__init__("web")
        self.wanted = Address.parse(address)
        self.takes_socket = takes_socket
        self.places: list[socket.socket | Address] = []

    @property
    def address(self) -> Address | None:
        return self.wanted

    def share(self, place: socket.socket | Address, /) -> None:
        self.places.append(place)

    async def bind(self) -> Sequence[str]:
        place = self.places[-1]
        if isinstance(place, socket.socket):
            host, port, *_ = place.getsockname()
            place.close()
            return [f"http://{host}:{port}"]
        return [f"grpc://{place}"]


class Stage:
    """A supervisor, its workers, and what happened."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.clock = FakeClock()
        self.log = MemoryLogger()
        self.registry = MemoryRegistry()
        self.server = Server()
        self.children: list[FakeChild] = []
        self.serves = True  # whether new workers do at once
        self._started = asyncio.Event()
        self.refusal: Failed | None = None  # why new workers end at once, if they do

    def make(
        self,
        *,
        workers: int = 2,
        launch: Callable[..., Awaitable[FakeChild]] | None = None,
        **options: Any,
    ) -> App:
        made: dict[str, Any] = {
            "name": "orders",
            "id": "host",
            "servers": [self.server],
            "registrar": self.registry,
            "clock": self.clock,
            "log": self.log,
            "signals": (),
            **options,
        }
        app = App(**made)
        self.pool = Pool(
            "module:build",
            app.options,
            workers=workers,
            registered=app.want_registered,
            bus=app.bus,
            launch=self.launch if launch is None else launch,
        )
        app.adapt(lambda options: supervising(options, self.pool))
        return app

    async def launch(
        self,
        target: str,
        setup: Setup,
        sockets: Sequence[socket.socket],
        *,
        clock: Clock,
        changed: Callable[[], None],
        heard: Heard,
    ) -> FakeChild:
        assert target == "module:build"
        child = FakeChild(self, setup, sockets, changed, heard)
        self.children.append(child)
        self._started.set()
        self.journal.append(f"{setup.slot} start")
        if self.refusal is not None:
            child.die(2, self.refusal)
        elif self.serves:
            child.serve()
        return child

    async def registered(self) -> list[str]:
        await self.clock.settle()
        return [instance.id for instance in await get_service(self.registry, "orders")]

    async def launched(self, count: int) -> FakeChild:
        """Return a worker, waiting for its start: addresses are looked up in a thread."""
        async with asyncio.timeout(10):
            while len(self.children) < count:
                self._started.clear()
                await self._started.wait()
        await self.clock.settle()
        return self.children[count - 1]


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_host_is_registered_once_with_the_shared_address(stage: Stage) -> None:
    async with running(stage.make()) as app:
        assert await stage.registered() == ["host"]
        assert len(app.endpoints) == 1
        assert {child.setup.id for child in stage.children} == {"host"}
        assert not any(child.setup.registers for child in stage.children)


async def test_host_is_not_registered_before_every_worker_has_served(stage: Stage) -> None:
    stage.serves = False
    run = asyncio.create_task((app := stage.make()).run())
    (await stage.launched(2)).serve()
    assert await stage.registered() == []
    stage.children[0].serve()
    await app.ready()
    assert await stage.registered() == ["host"]
    app.stop()
    await run


async def test_host_is_registered_only_while_enough_workers_serve(stage: Stage) -> None:
    async with running(stage.make(min_ready=2)):
        assert await stage.registered() == ["host"]
        stage.serves = False
        stage.children[0].die()
        assert await stage.registered() == []
        (await stage.launched(3)).serve()
        assert await stage.registered() == ["host"]


async def test_worker_that_dies_is_replaced_at_once_and_by_one_of_its_slot(stage: Stage) -> None:
    async with running(stage.make()):
        stage.children[1].die()
        successor = await stage.launched(3)
        assert successor.setup.slot == stage.children[1].setup.slot
        assert successor.setup.sockets == stage.children[1].setup.sockets
        assert "worker ended by itself: SIGKILL" in stage.log.messages(Level.ERROR)


async def test_worker_that_cannot_start_again_is_waited_for_and_its_socket_is_closed(
    stage: Stage,
) -> None:
    async with running(stage.make()) as app:
        address = app.endpoints[0].partition("://")[2]
        port = int(address.rpartition(":")[2])
        stage.refusal = Failed(reason="ConfigError: no luck today", refused=True)
        stage.children[0].die()
        await stage.launched(3)
        assert "worker 0 could not start: ConfigError: no luck today" in stage.log.messages()
        assert [sock.fileno() for sock in stage.children[0].sockets] == [-1]
        assert [sock.fileno() for sock in stage.children[1].sockets] != [-1]
        stage.refusal = None
        await stage.clock.advance(60)
        successor = await stage.launched(4)
        assert successor.setup.slot == 0
        assert successor.ports == [port]


async def test_start_ends_with_the_reason_of_the_first_worker_that_cannot_start(
    stage: Stage,
) -> None:
    stage.refusal = Failed(reason="ConfigError: no luck today", refused=True)
    with pytest.raises(StartupError, match="worker 0 could not start: ConfigError: no luck today"):
        await stage.make().run()
    assert all(child.code is not None for child in stage.children)


async def test_first_worker_that_failed_otherwise_may_be_started_again(stage: Stage) -> None:
    stage.refusal = Failed(reason="LookupError: no luck today")
    with pytest.raises(KratosError, match="no luck today") as caught:
        await stage.make().run()
    assert not isinstance(caught.value, StartupError)


async def test_worker_that_is_not_ready_in_time_is_killed(stage: Stage) -> None:
    stage.serves = False
    run = asyncio.create_task(stage.make(startup_timeout=1.0).run())
    await stage.launched(2)
    await stage.clock.advance(31.0)
    with pytest.raises(KratosError, match=r"was not ready within 31\.0 s"):
        await run
    assert stage.children[0].code == -9


async def test_worker_that_serves_ends_in_order_when_another_cannot_start(stage: Stage) -> None:
    stage.serves = False
    run = asyncio.create_task(stage.make().run())
    await stage.launched(2)
    stage.children[0].serve()
    stage.children[1].die(1)
    with pytest.raises(KratosError, match="worker 1 could not start"):
        await run
    assert stage.children[0].code == 0


async def test_worker_that_is_being_made_when_the_application_stops_is_not_left(
    stage: Stage,
) -> None:
    asked, made = asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any, **options: Any) -> FakeChild:
        asked.set()
        await made.wait()
        return await stage.launch(*arguments, **options)

    run = asyncio.create_task((app := stage.make(workers=1, launch=slow)).run())
    await asked.wait()
    app.stop()
    await stage.clock.settle()
    made.set()
    await run
    assert {child.code for child in stage.children} == {0}


async def test_stop_goes_in_order(stage: Stage) -> None:
    async with running(stage.make(drain_delay=5.0)) as app:
        stage.journal.clear()
        app.stop()
        assert await stage.registered() == []
        assert stage.journal == ["0 stop", "1 stop"]
        await stage.clock.advance(5.0)
    assert stage.journal == [
        *("0 stop", "1 stop"),
        *("0 finish", "0 ended 0", "1 finish", "1 ended 0"),
    ]


async def test_worker_that_does_not_end_is_killed(stage: Stage) -> None:
    run = asyncio.create_task((app := stage.make(stop_timeout=3.0)).run())
    await app.ready()
    stage.children[0].holds = True
    app.stop()
    await stage.clock.advance(3.0)
    assert stage.children[0].code is None
    await stage.clock.advance(10.0)
    await run
    assert stage.children[0].code == -9


async def test_worker_that_dies_during_the_stop_is_not_replaced(stage: Stage) -> None:
    async with running(stage.make(drain_delay=5.0)) as app:
        app.stop()
        await stage.clock.settle()
        stage.children[0].die()
        await stage.clock.advance(60.0)
    assert len(stage.children) == 2


async def test_reload_replaces_one_worker_after_another(stage: Stage) -> None:
    async with running(stage.make()):
        stage.journal.clear()
        stage.pool.reload()
        await stage.launched(3)
        assert stage.journal == ["0 start", "0 stop"]
        await stage.clock.advance(1.0)
        await stage.launched(4)
        await stage.clock.advance(1.0)
        assert stage.journal == [
            *("0 start", "0 stop", "0 finish", "0 ended 0"),
            *("1 start", "1 stop", "1 finish", "1 ended 0"),
        ]
        assert await stage.registered() == ["host"]
        assert stage.log.messages()[-1] == "workers are replaced"


async def test_reload_ends_where_a_new_worker_cannot_start(stage: Stage) -> None:
    async with running(stage.make()):
        stage.refusal = Failed(reason="SyntaxError: oh")
        stage.pool.reload()
        await stage.launched(3)
        assert "the reload ends here" in stage.log.messages(Level.ERROR)
        assert [child.code for child in stage.children] == [None, None, 2]


async def test_reload_that_is_asked_for_twice_meanwhile_is_done_once_more(stage: Stage) -> None:
    async with running(stage.make(workers=1)):
        stage.pool.reload()
        await stage.launched(2)
        stage.pool.reload()
        stage.pool.reload()
        await stage.clock.advance(1.0)
        await stage.launched(3)
        await stage.clock.advance(10.0)
        assert len(stage.children) == 3


async def test_stop_during_a_reload_lets_the_replaced_worker_finish(stage: Stage) -> None:
    run = asyncio.create_task((app := stage.make(workers=1)).run())
    await app.ready()
    replaced = stage.children[0]
    replaced.holds = True
    stage.pool.reload()
    await stage.launched(2)
    await stage.clock.advance(1.0)
    assert stage.journal[-1] == "0 finish"
    app.stop()
    await stage.clock.settle()
    assert replaced.code is None
    replaced.die(0)
    await run
    assert {child.code for child in stage.children} == {0}


async def test_replaced_worker_that_does_not_end_is_killed(stage: Stage) -> None:
    async with running(stage.make(workers=1, stop_timeout=3.0)):
        stage.children[0].holds = True
        stage.pool.reload()
        await stage.launched(2)
        await stage.clock.advance(13.0)
        assert "0 ended -9" not in stage.journal
        await stage.clock.advance(1.0)
        assert "0 ended -9" in stage.journal
        assert "a worker did not end in time and is killed" in stage.log.messages(Level.WARN)


async def test_worker_that_dies_while_it_is_replaced_gets_one_successor(stage: Stage) -> None:
    async with running(stage.make(workers=1)):
        stage.serves = False
        stage.pool.reload()
        successor = await stage.launched(2)
        stage.children[0].die()
        await stage.clock.settle()
        successor.serve()
        await stage.clock.advance(60.0)
        assert len(stage.children) == 2
        assert successor.code is None


async def test_reload_starts_what_waits_for_its_next_start(stage: Stage) -> None:
    async with running(stage.make(workers=1)):
        stage.refusal = Failed(reason="no luck")
        stage.children[0].die()
        await stage.launched(2)
        stage.refusal = None
        stage.pool.reload()
        await stage.launched(3)
        await stage.clock.advance(60.0)
        assert len(stage.children) == 3
        assert stage.children[2].code is None


async def test_health_of_the_host_is_that_of_its_workers(stage: Stage) -> None:
    async with running(stage.make()) as app:
        await stage.clock.settle()
        assert (await app.health.report(Kind.READY)).ok
        stage.children[1].tell(Report(ready=False, failed={"database": "away"}))
        report = await app.health.report(Kind.READY)
        assert report.ok
        told = {result.name: result.message for result in report.results}
        assert told["worker 1"] == "KratosError: database: away"
        stage.children[0].tell(Report(ready=False))
        report = await app.health.report(Kind.READY)
        assert [result.message for result in report.failed] == [
            "KratosError: 0 of 2 workers are ready; min_ready=1"
        ]


async def test_host_has_started_when_every_worker_has_served(stage: Stage) -> None:
    stage.serves = False
    run = asyncio.create_task((app := stage.make()).run())
    (await stage.launched(2)).serve()
    await stage.clock.settle()
    assert not (await app.health.report(Kind.STARTUP)).ok
    stage.children[0].serve()
    await app.ready()
    assert (await app.health.report(Kind.STARTUP)).ok
    app.stop()
    await run


async def test_host_lives_on_while_too_few_of_its_workers_serve(stage: Stage) -> None:
    async with running(stage.make(min_ready=2)) as app:
        stage.serves = False
        stage.children[0].die()
        await stage.clock.settle()
        assert not (await app.health.report(Kind.READY)).ok
        assert (await app.health.report(Kind.LIVE)).ok
        assert (await app.health.report(Kind.STARTUP)).ok


async def test_checks_of_the_application_are_left_to_the_workers(stage: Stage) -> None:
    health = Health(clock=stage.clock)
    health.add_check("migrated", lambda: False, kind=Kind.STARTUP)
    async with running(stage.make(health=health)) as app:
        await stage.clock.settle()
        report = await app.health.report(Kind.READY)
        assert {result.name for result in report.results} == {
            "registration",
            "worker 0",
            "worker 1",
            "workers",
        }


async def test_each_worker_gets_an_id_and_a_port_of_its_own_when_it_registers(
    stage: Stage,
) -> None:
    async with running(stage.make(registration="worker")) as app:
        setups = [child.setup for child in stage.children]
        assert len({setup.id for setup in setups}) == 2
        assert all(setup.registers for setup in setups)
        assert stage.children[0].ports != stage.children[1].ports
        assert app.endpoints == ()
        assert await stage.registered() == []


async def test_port_of_a_worker_that_cannot_start_refuses_connections(stage: Stage) -> None:
    async with running(stage.make(registration="worker", workers=1)):
        (sock,) = stage.children[0].sockets
        sock.listen()  # as the worker does
        where = sock.getsockname()
        stage.refusal = Failed(reason="no luck")
        stage.children[0].die()
        await stage.launched(2)
        with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
            caller.connect(where)


async def test_workers_that_would_have_ports_beyond_the_last_one_are_refused(
    stage: Stage,
) -> None:
    stage.server = Server("127.0.0.1:65535")
    with pytest.raises(StartupError, match=r"127\.0\.0\.1:65535 leaves no port for worker 1"):
        await stage.make(registration="worker").run()


async def test_successor_that_registers_is_not_taken_for_the_one_before(stage: Stage) -> None:
    async with running(stage.make(registration="worker", workers=1)):
        stage.children[0].die()
        successor = await stage.launched(2)
        assert successor.setup.id != stage.children[0].setup.id


async def test_server_that_takes_no_socket_gets_the_address_that_is_held(stage: Stage) -> None:
    stage.server = Server(takes_socket=False)
    async with running(stage.make()) as app:
        address = app.endpoints[0].partition("://")[2]
        assert {child.setup.addresses["0"] for child in stage.children} == {address}
        with socket.socket() as probe, pytest.raises(OSError, match="in use"):
            probe.bind(("127.0.0.1", int(address.rpartition(":")[2])))


async def test_unix_socket_is_one_for_all_workers_and_gone_at_the_end(
    stage: Stage, tmp_path: Any
) -> None:
    path = tmp_path / "socket"

    class Local(Server):
        async def bind(self) -> Sequence[str]:
            place = self.places[-1]
            assert isinstance(place, socket.socket)
            place.close()
            return ()

    stage.server = Local(f"unix:{path}")
    async with running(stage.make()):
        names = {child.sockets[0].getsockname() for child in stage.children}
        assert names == {str(path)}
    assert not path.exists()


async def test_server_that_cannot_be_shared_is_refused(stage: Stage) -> None:
    app = stage.make(servers=[FakeServer("legacy", endpoint="tcp://10.0.0.1:1")])
    with pytest.raises(StartupError, match="legacy has an address, and cannot share it"):
        await app.run()


async def test_servers_of_the_host_run_once_beside_the_workers(stage: Stage) -> None:
    admin = FakeServer("admin", endpoint="http://10.0.0.1:9")
    async with running(stage.make(host_servers=[admin])) as app:
        assert admin.mounts[0].health is app.health
        assert admin.mounts[0].services == ()
        assert len(app.endpoints) == 1
    assert admin.journal[-1] == "admin end"


def counted(calls: float) -> Snapshot:
    return [
        Family(name="calls_total", kind="counter", series={(): calls}),
        Family(name="open", kind="gauge", series={(): calls}),
    ]


async def test_metrics_of_the_host_are_those_of_all_workers(stage: Stage) -> None:
    meter = MemoryMeter()
    async with running(stage.make(metrics=meter)):
        for child, calls in zip(stage.children, (1.0, 2.0), strict=True):
            child.counted = counted(calls)
        told = (await meter.render()).splitlines()
    assert "calls_total 3.0" in told
    assert 'open{worker="0"} 1.0' in told
    assert 'open{worker="1"} 2.0' in told
    assert "kratos_workers_ready 2.0" in told


async def test_what_dead_workers_have_counted_is_kept_as_one_sum(stage: Stage) -> None:
    meter = MemoryMeter()
    async with running(stage.make(workers=1, metrics=meter)):
        sizes: set[int] = set()
        told: list[str] = []
        for number in range(1, 101):
            child = await stage.launched(number)
            child.measure(counted(1.0))
            child.counted = counted(1.0)
            told = (await meter.render()).splitlines()
            assert f"calls_total {float(number)}" in told
            sizes.add(len(told))
            child.die()
            await stage.clock.advance(60.0)
        assert len(sizes) == 1
        assert 'kratos_workers_started_total{worker="0"} 100.0' in told


async def test_worker_that_is_silent_counts_as_it_last_did(stage: Stage) -> None:
    meter = MemoryMeter()
    async with running(stage.make(metrics=meter)):
        stage.children[0].measure(counted(5.0))
        rendering = asyncio.create_task(meter.render())
        await stage.clock.advance(1.0)
        assert "calls_total 5.0" in (await rendering).splitlines()


async def test_worker_that_ends_while_it_is_asked_is_not_waited_for(stage: Stage) -> None:
    meter = MemoryMeter()
    async with running(stage.make(workers=1, metrics=meter)):
        stage.children[0].measure(counted(5.0))
        rendering = asyncio.create_task(meter.render())
        await stage.clock.settle()
        stage.children[0].die()
        told = (await rendering).splitlines()
    assert "calls_total 5.0" in told
    assert not any(line.startswith("open") for line in told)


async def test_metrics_that_are_none_are_told_and_spoil_nothing(stage: Stage) -> None:
    meter = MemoryMeter()
    async with running(stage.make(workers=1, metrics=meter)):
        child = stage.children[0]
        child.measure(counted(5.0))
        child.hear(Measured(families=[7]))
        assert stage.log.messages(Level.ERROR) == ["a worker told no metrics"]
        assert await calls_shown(stage, meter) == "5.0", "the sum never falls"


async def calls_shown(stage: Stage, meter: MemoryMeter) -> str:
    """Return the sum of all workers, of which none answers."""
    text = await shown_by(stage, meter)
    found = [line for line in text.splitlines() if line.startswith("calls_total")]
    return found[0].rpartition(" ")[2] if found else ""


async def shown_by(stage: Stage, meter: MemoryMeter) -> str:
    rendering = asyncio.create_task(meter.render())
    await stage.clock.advance(1.0)
    return await rendering


async def test_worker_that_cannot_tell_counts_as_it_last_did_and_is_not_waited_for(
    stage: Stage,
) -> None:
    meter = MemoryMeter()
    async with running(stage.make(workers=1, metrics=meter)):
        child = stage.children[0]
        child.measure(counted(5.0))
        rendering = asyncio.create_task(meter.render())
        await stage.clock.settle()
        child.hear(Measured(failed=True))
        assert "calls_total 5.0" in (await rendering).splitlines()


async def test_parts_count_when_all_of_them_are_there(stage: Stage) -> None:
    meter = MemoryMeter()
    async with running(stage.make(workers=1, metrics=meter)):
        child = stage.children[0]
        child.measure(counted(5.0))
        first, second = (to_wire(counted(7.0)[:1]), to_wire(counted(7.0)[1:]))
        child.hear(Measured(families=first, more=True))
        assert await calls_shown(stage, meter) == "5.0"
        child.hear(Measured(families=second, begins=False))
        assert await calls_shown(stage, meter) == "7.0"


async def test_part_that_is_broken_spoils_its_snapshot_alone(stage: Stage) -> None:
    meter = MemoryMeter()
    async with running(stage.make(workers=1, metrics=meter)):
        child = stage.children[0]
        child.measure(counted(5.0))
        child.hear(Measured(families=to_wire(counted(9.0)), more=True))
        child.hear(Measured(families=[7], begins=False, more=True))
        child.hear(Measured(families=to_wire(counted(9.0)), begins=False))
        assert await calls_shown(stage, meter) == "5.0"
        child.measure(counted(6.0))
        assert await calls_shown(stage, meter) == "6.0"


async def test_snapshot_that_begins_anew_leaves_nothing_of_the_one_before(stage: Stage) -> None:
    meter = MemoryMeter()
    async with running(stage.make(workers=1, metrics=meter)):
        child = stage.children[0]
        gone = Family(name="gone_total", kind="counter", series={(): 1.0})
        child.hear(Measured(families=to_wire([gone]), more=True))
        child.measure(counted(6.0))
        assert "gone_total" not in await shown_by(stage, meter)


async def test_message_of_the_supervisor_goes_to_all_workers(stage: Stage) -> None:
    async with running(stage.make()) as app:
        app.bus.publish("config", {"version": 2})
        message = Published(topic="config", value={"version": 2})
        assert [child.told for child in stage.children] == [[message], [message]]


async def test_message_of_a_worker_goes_to_everybody_else(stage: Stage) -> None:
    heard: list[object] = []
    async with running(stage.make(workers=3)) as app:
        app.bus.subscribe("stale", heard.append)
        message = Published(topic="stale", value="key")
        stage.children[1].hear(message)
        assert [child.told for child in stage.children] == [[message], [], [message]]
        assert heard == ["key"]


async def test_message_that_is_kept_comes_back_to_its_worker_in_its_place(stage: Stage) -> None:
    async with running(stage.make()) as app:
        app.bus.publish("config", 1, keep=True)
        own = Published(topic="config", value=2, keep=True, number=7)
        stage.children[1].hear(own)
        first = Published(topic="config", value=1, keep=True)
        second = Published(topic="config", value=2, keep=True)
        assert [child.told for child in stage.children] == [[first, second], [first, own]]


async def test_worker_that_starts_later_gets_the_newest_message_that_is_kept(
    stage: Stage,
) -> None:
    async with running(stage.make()) as app:
        app.bus.publish("config", 1, keep=True)
        stage.children[1].hear(Published(topic="config", value=2, keep=True))
        app.bus.publish("news", 3)
        stage.children[0].die()
        successor = await stage.launched(3)
        assert successor.told == [Published(topic="config", value=2, keep=True)]


class Followed:
    """A supervisor with a configuration, whose workers answer as a test says."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.meter = MemoryMeter()
        self.source = MemorySource.of({"a": 1})
        self.config = Config(self.source, clock=stage.clock)

    def make(self, **options: Any) -> App:
        return self.stage.make(config=self.config, metrics=self.meter, **options)

    def value(self) -> object:
        return self.config.snapshot["a"]

    async def change(self, tree: dict[str, Any]) -> None:
        self.source.set(tree)
        await self.stage.clock.settle()

    def answer(self, number: int, problem: str = "") -> None:
        """Answer the newest question to a worker."""
        child = self.stage.children[number]
        asked = [each for each in child.told if isinstance(each, Configure)][-1]
        child.hear(Configured(number=asked.number, problem=problem))

    def settled(self, number: int) -> list[tuple[bool, str]]:
        told = self.stage.children[number].told
        return [(each.commit, each.reason) for each in told if isinstance(each, Settle)]

    def present(self, message: Setup | Configure) -> object:
        (entries,) = from_plain(message.config).values()
        return json.loads(entries[0].value)


@pytest.fixture
def followed(stage: Stage) -> Followed:
    return Followed(stage)


async def test_worker_is_told_at_its_start_what_the_configuration_says(
    stage: Stage, followed: Followed
) -> None:
    async with running(followed.make()):
        assert [followed.present(child.setup) for child in stage.children] == [{"a": 1}] * 2
        await followed.change({"a": 2})
        followed.answer(0)
        followed.answer(1)
        await stage.clock.settle()
        stage.children[0].die()
        successor = await stage.launched(3)
        assert (followed.present(successor.setup), successor.setup.revision) == ({"a": 2}, 1)


async def test_change_is_in_force_when_every_worker_has_prepared(
    stage: Stage, followed: Followed
) -> None:
    async with running(followed.make()):
        await followed.change({"a": 2})
        followed.answer(0)
        await stage.clock.settle()
        assert followed.value() == 1
        assert followed.settled(0) == []
        followed.answer(1)
        await stage.clock.settle()
        assert followed.value() == 2
        assert [followed.settled(number) for number in (0, 1)] == [[(True, "")]] * 2
        assert followed.meter.value("config_reload_total", result="applied") == 1


async def test_worker_that_refuses_a_change_refuses_it_for_all(
    stage: Stage, followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    reason = "worker 1 refuses it: ConfigError: no luck today"
    async with running(followed.make()):
        await followed.change({"a": 2})
        followed.answer(0)
        followed.answer(1, "ConfigError: no luck today")
        await stage.clock.settle()
        assert followed.value() == 1
        assert str(followed.config.last_error) == reason
        assert [followed.settled(number) for number in (0, 1)] == [[(False, reason)]] * 2
        assert followed.meter.value("config_reload_total", result="refused") == 1
        assert caplog.text.count("is refused") == 1
        await followed.change({"a": 3})
        followed.answer(0)
        followed.answer(1)
        await stage.clock.settle()
        assert followed.value() == 3


async def test_worker_that_does_not_answer_in_time_refuses_a_change(
    stage: Stage, followed: Followed
) -> None:
    async with running(followed.make()):
        await followed.change({"a": 2})
        followed.answer(0)
        await stage.clock.advance(10.0)
        assert followed.value() == 1
        assert str(followed.config.last_error) == "worker 1 was not ready within 10 s"
        assert followed.settled(0) == [(False, "worker 1: no answer in time")]
        followed.answer(1, "LookupError: too late")
        assert "a worker keeps its old configuration" not in stage.log.messages()


async def test_worker_that_dies_meanwhile_holds_nobody_up(stage: Stage, followed: Followed) -> None:
    async with running(followed.make()):
        await followed.change({"a": 2})
        followed.answer(0)
        stage.children[1].die()
        await stage.clock.settle()
        assert followed.value() == 2


async def test_change_that_no_worker_has_survived_is_refused(
    stage: Stage, followed: Followed
) -> None:
    async with running(followed.make()):
        await followed.change({"a": 2})
        for child in stage.children[:2]:
            child.die()
        successor = await stage.launched(4)
        assert followed.value() == 1
        assert "every worker that was asked" in str(followed.config.last_error)
        assert followed.present(successor.setup) == {"a": 1}


async def test_worker_that_started_meanwhile_gets_what_is_in_force(
    stage: Stage, followed: Followed
) -> None:
    async with running(followed.make()):
        stage.serves = False
        stage.children[1].die()
        late = await stage.launched(3)
        assert followed.present(late.setup) == {"a": 1}
        await followed.change({"a": 2})
        assert late.told == []
        followed.answer(0)
        await stage.clock.settle()
        (told,) = late.told
        assert isinstance(told, Configure)
        assert (told.at_once, followed.present(told), told.revision) == (True, {"a": 2}, 1)


async def test_worker_that_keeps_its_old_configuration_is_shown_until_it_follows_or_ends(
    stage: Stage, followed: Followed
) -> None:
    async with running(followed.make()) as app:
        stage.serves = False
        stage.children[1].die()
        late = await stage.launched(3)
        await followed.change({"a": 2})
        followed.answer(0)
        await stage.clock.settle()
        late.serve()
        await stage.clock.settle()
        followed.answer(2, "ConfigError: no luck today")
        assert stage.log.messages(Level.ERROR)[-1] == "a worker keeps its old configuration"
        assert followed.meter.value("kratos_workers_config_behind") == 1
        results = {each.name: each for each in (await app.health.report(Kind.READY)).results}
        assert "no luck today" in results["worker 1"].message
        assert results["worker 0"].ok
        await followed.change({"a": 3})
        followed.answer(0)
        followed.answer(2)
        await stage.clock.settle()
        assert followed.meter.value("kratos_workers_config_behind") == 0


async def test_what_joined_in_the_factory_is_left_to_the_workers(
    stage: Stage, followed: Followed
) -> None:
    class Refusing:
        async def prepare(self, _old: object, _new: object, /) -> Any:
            raise ConfigError("asked in the supervisor")

    followed.config.join(Refusing())
    async with running(followed.make()):
        await followed.change({"a": 2})
        followed.answer(0)
        followed.answer(1)
        await stage.clock.settle()
        assert followed.value() == 2


async def test_configuration_that_is_too_large_to_be_told_ends_the_start(
    stage: Stage, followed: Followed
) -> None:
    followed.source.set({"a": "x" * 7_000_000})
    with pytest.raises(ConfigError, match="workers can be told 8388608: leave data files out"):
        await followed.make().run()
    assert stage.children == []


async def test_change_that_is_too_large_to_be_told_is_refused(
    stage: Stage, followed: Followed
) -> None:
    async with running(followed.make()):
        await followed.change({"a": "x" * 7_000_000})
        assert followed.value() == 1
        assert "workers can be told 8388608" in str(followed.config.last_error)
        assert all(child.told == [] for child in stage.children)


def test_more_ready_workers_than_there_are_cannot_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="min_ready=3 can never be met by workers=2"):
        supervise(App(min_ready=3), "module:build", workers=2)


def test_process_that_is_tied_to_something_does_not_become_a_supervisor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_probes", [lambda: None, lambda: "a library (with threads)"])
    with pytest.raises(StartupError, match=r"uses a library \(with threads\)") as caught:
        supervise(App(), "module:build", workers=2)
    assert "App(resources=...)" in str(caught.value)


def test_worker_does_not_become_a_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_slots", [])
    process.become_worker(1)
    assert process.worker_slot() == 1
    with pytest.raises(StartupError, match="if __name__ == '__main__'"):
        supervise(App(), "module:build", workers=2)


def test_there_is_a_core() -> None:
    assert available_cores() >= 1
