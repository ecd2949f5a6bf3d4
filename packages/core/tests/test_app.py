"""The start order, the stop order, and every way out of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Self

import pytest

from kratos.app import App, Hook, app_info, current_app
from kratos.errors import Error, KratosError, RegistryUnavailable, StartupError
from kratos.health import Kind, Phase, Status
from kratos.log import Level
from kratos.offload import offload
from kratos.registry import Registration, RegistrationState, ServiceInstance
from kratos.testing.app import FakeServer, running
from kratos.testing.clock import FakeClock
from kratos.testing.echo import EchoService
from kratos.testing.log import MemoryLogger


class FakeRegistrar:
    """A registry that writes down what happens and fails where it is told."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.instances: list[ServiceInstance] = []
        self.failures: dict[str, BaseException] = {}
        self.held = False

    def __str__(self) -> str:
        return "fake://"

    @property
    def ttl(self) -> float | None:
        return None

    async def register(self, instance: ServiceInstance, /) -> Registration:
        self._step("register")
        self.instances.append(instance)
        self.held = True
        return self

    async def renew(self) -> None:
        self._step("renew")

    async def lost(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def withdraw(self) -> None:
        self._step("withdraw")
        self.held = False

    def _step(self, step: str) -> None:
        self.journal.append(step)
        if step in self.failures:
            raise self.failures[step]


class Stage:
    """An application of fakes that all write into one journal."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.clock = FakeClock()
        self.log = MemoryLogger()
        self.registrar = FakeRegistrar(self.journal)
        self.web = FakeServer("web", endpoint="http://10.0.0.1:80", journal=self.journal)
        self.rpc = FakeServer("rpc", endpoint="grpc://10.0.0.1:90", journal=self.journal)
        self.failures: dict[str, BaseException] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.app = self.make()

    def make(self, **changes: Any) -> App:
        options: dict[str, Any] = {
            "name": "orders",
            "id": "id-1",
            "version": "v1",
            "metadata": {"zone": "a"},
            "servers": [self.web, self.rpc],
            "registrar": self.registrar,
            "clock": self.clock,
            "log": self.log,
            "signals": (),
            **{
                name: [self.hook(name)]
                for name in ("before_start", "after_start", "before_stop", "after_stop")
            },
            **changes,
        }
        self.app = App(**options)
        return self.app

    def hook(self, name: str) -> Hook:
        async def hook(app: App) -> None:
            assert app is self.app
            ready = "ready" if app.health.ready else "unready"
            self.journal.append(f"{name} {ready}" if "before_stop" in name else name)
            if name in self.gates:
                await self.gates[name].wait()
            if name in self.failures:
                raise self.failures[name]

        hook.__qualname__ = f"{name}_hook"
        return hook

    async def start(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self.app.run())
        await self.clock.settle()
        return task

    async def fail(self) -> BaseException:
        """Run to the end and return what was raised."""
        task = await self.start()
        await asyncio.wait({task})
        failure = task.exception()
        assert failure is not None
        return failure

    def assert_nothing_left(self) -> None:
        assert not self.web.bound
        assert not self.rpc.bound
        assert not self.registrar.held
        assert self.journal[-1] == "after_stop"
        assert self.app.health.phase is Phase.STOPPING
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    assert asyncio.all_tasks() == {asyncio.current_task()}


UP = [
    "web mount",
    "rpc mount",
    "web bind",
    "rpc bind",
    "before_start",
    "web start",
    "rpc start",
    "web ready",
    "rpc ready",
    "after_start",
    "register",
]
DOWN = [
    "before_stop unready",
    "withdraw",
    "rpc stop",
    "web stop",
    "rpc end",
    "web end",
    "after_stop",
]


async def test_start_and_stop_keep_their_order(stage: Stage) -> None:
    task = await stage.start()
    started = list(stage.journal)
    stage.app.stop()
    await task
    # Registration goes on in the background, so hooks need not wait for the registry.
    assert started == UP
    assert stage.journal[len(UP) :] == DOWN
    stage.assert_nothing_left()


class Resource(AbstractAsyncContextManager["Resource"]):
    def __init__(self, name: str, journal: list[str], *, broken: bool = False) -> None:
        self.name = name
        self.journal = journal
        self.broken = broken

    async def __aenter__(self) -> Self:
        if self.broken:
            raise OSError(f"{self.name} is broken")
        self.journal.append(f"{self.name} enter")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.journal.append(f"{self.name} exit")


async def test_resources_are_entered_first_and_left_after_the_last_call(stage: Stage) -> None:
    stage.make(resources=[Resource("pool", stage.journal), Resource("client", stage.journal)])
    async with running(stage.app):
        assert stage.journal == ["pool enter", "client enter", *UP]
    assert stage.journal[-4:] == ["web end", "client exit", "pool exit", "after_stop"]
    stage.assert_nothing_left()


async def test_resource_that_fails_to_open_ends_the_start_and_closes_the_others(
    stage: Stage,
) -> None:
    broken = Resource("client", stage.journal, broken=True)
    stage.make(resources=[Resource("pool", stage.journal), broken])
    failure = await stage.fail()
    assert str(failure) == "client is broken"
    assert stage.journal == ["pool enter", "pool exit", "after_stop"]
    stage.assert_nothing_left()


async def test_resource_that_is_entered_as_the_start_is_stopped_is_left(stage: Stage) -> None:
    class Stopping(Resource):
        async def __aenter__(self) -> Self:
            entered = await super().__aenter__()
            stage.app.stop()
            return entered

    stage.make(resources=[Stopping("pool", stage.journal)])
    await stage.app.run()
    assert stage.journal == ["pool enter", "pool exit", "after_stop"]
    stage.assert_nothing_left()


async def test_required_registration_comes_before_the_hooks(stage: Stage) -> None:
    stage.make(require_registration=True)
    async with running(stage.app):
        assert stage.journal[-2:] == ["register", "after_start"]


async def test_endpoints_are_known_from_the_first_hook_on(stage: Stage) -> None:
    seen: list[tuple[str, ...]] = []

    def look(app: App) -> None:
        seen.append(app.endpoints)

    stage.make(before_start=[look])
    assert stage.app.endpoints == ()
    async with running(stage.app):
        assert seen == [("http://10.0.0.1:80", "grpc://10.0.0.1:90")]


async def test_servers_get_services_middleware_and_health(stage: Stage) -> None:
    service = EchoService()

    async def chain(call: Any, request: Any, next: Any, /) -> Any:
        return await next(call, request)

    stage.make(services=[service], middleware=[chain])
    async with running(stage.app) as app:
        mount = stage.web.mounts[0]
        assert list(mount.services) == [service]
        assert list(mount.middleware) == [chain]
        assert mount.health is app.health
        assert mount.info is not None
        assert mount.info.id == "id-1"
    assert stage.rpc.mounts == [mount]


async def test_services_have_a_status_of_their_own(stage: Stage) -> None:
    stage.make(services=[EchoService()], registrar=None)
    async with running(stage.app) as app:
        assert app.health.status("kratos.testing.Echo") is Status.SERVING
    assert app.health.status("kratos.testing.Echo") is Status.NOT_SERVING


# The ways out that Go Kratos leaves open: servers keep running, or stay registered.


async def test_failing_mount_binds_nothing(stage: Stage) -> None:
    stage.rpc.failures["mount"] = StartupError("Greeter.say_hello is not implemented")
    assert await stage.fail() is stage.rpc.failures["mount"]
    assert stage.journal == ["web mount", "rpc mount", "after_stop"]
    stage.assert_nothing_left()


async def test_failing_bind_releases_the_ports_already_bound(stage: Stage) -> None:
    stage.rpc.failures["bind"] = OSError(98, "Address already in use")
    failure = await stage.fail()
    assert isinstance(failure, StartupError)
    assert str(failure) == "rpc cannot listen: [Errno 98] Address already in use"
    assert stage.journal[-3:] == ["rpc bind", "web stop", "after_stop"]
    stage.assert_nothing_left()


async def test_two_servers_with_one_address_are_refused_by_name(stage: Stage) -> None:
    twin = FakeServer("twin", endpoint="https://10.0.0.1:80", journal=stage.journal)
    stage.make(servers=[stage.web, twin])
    failure = await stage.fail()
    assert "web and twin have the same address in https://10.0.0.1:80" in str(failure)
    assert not twin.bound
    stage.assert_nothing_left()


async def test_who_waits_for_a_start_that_fails_is_told(stage: Stage) -> None:
    server = FakeServer()
    server.failures["bind"] = OSError("in use")
    app = App(servers=[server])
    run = asyncio.create_task(app.run())
    with pytest.raises(StartupError, match="ends before it has started") as told:
        await app.ready()
    with pytest.raises(StartupError, match="in use") as raised:
        await run
    assert told.value.__cause__ is raised.value


async def test_who_waits_for_a_start_that_is_stopped_is_told() -> None:
    def stop(app: App) -> None:
        app.stop()

    app = App(servers=[FakeServer()], before_start=[stop])
    run = asyncio.create_task(app.run())
    with pytest.raises(StartupError) as told:
        await app.ready()
    assert told.value.__cause__ is None
    await run


async def test_failing_hook_before_start_starts_nothing(stage: Stage) -> None:
    stage.failures["before_start"] = ValueError("no data base")
    assert await stage.fail() is stage.failures["before_start"]
    assert stage.journal == [*UP[:5], "rpc stop", "web stop", "after_stop"]
    stage.assert_nothing_left()


async def test_failing_server_stops_the_others(stage: Stage) -> None:
    stage.rpc.failures["start"] = OSError("no certificate")
    failure = await stage.fail()
    assert failure is stage.rpc.failures["start"]
    assert "register" not in stage.journal
    assert "web stop" in stage.journal
    stage.assert_nothing_left()


async def test_server_that_ends_before_it_serves_fails_the_start(stage: Stage) -> None:
    stage.rpc.gates["ready"] = asyncio.Event()
    task = await stage.start()
    stage.rpc.end()
    await asyncio.wait({task})
    assert str(task.exception()) == "rpc ended before it served"
    assert "register" not in stage.journal
    stage.assert_nothing_left()


async def test_failing_readiness_of_a_server_fails_the_start(stage: Stage) -> None:
    stage.rpc.failures["ready"] = ValueError("no route")
    assert await stage.fail() is stage.rpc.failures["ready"]
    stage.assert_nothing_left()


async def test_timeout_of_a_servers_own_is_not_taken_for_the_limit(stage: Stage) -> None:
    stage.rpc.failures["ready"] = TimeoutError("certificate service")
    assert await stage.fail() is stage.rpc.failures["ready"]
    stage.assert_nothing_left()


async def test_one_failure_told_twice_is_told_once(stage: Stage) -> None:
    failure = ValueError("no route")
    stage.rpc.failures = {"start": failure, "stop": failure}
    assert await stage.fail() is failure
    assert failure.__notes__ == ["rpc failed"]


async def test_slow_server_fails_the_start_by_name(stage: Stage) -> None:
    stage.rpc.gates["ready"] = asyncio.Event()
    task = await stage.start()
    await stage.clock.advance(30.0)
    await asyncio.wait({task})
    failure = task.exception()
    assert isinstance(failure, StartupError)
    assert str(failure) == "not started within startup_timeout=30.0 s; not ready: rpc"
    stage.assert_nothing_left()


async def test_failing_required_registration_stops_the_servers(stage: Stage) -> None:
    stage.make(require_registration=True)
    stage.registrar.failures["register"] = ConnectionError("registry is down")
    failure = await stage.fail()
    assert isinstance(failure, RegistryUnavailable)
    assert stage.journal[-6:] == ["register", *DOWN[2:]]
    stage.assert_nothing_left()


async def test_failing_hook_after_start_deregisters_and_stops(stage: Stage) -> None:
    stage.make(require_registration=True)
    stage.failures["after_start"] = ValueError("no leader")
    assert await stage.fail() is stage.failures["after_start"]
    assert stage.journal[-7:] == DOWN
    stage.assert_nothing_left()


async def test_server_that_fails_while_serving_stops_in_order(stage: Stage) -> None:
    task = await stage.start()
    failure = OSError("broken listener")
    stage.web.end(failure)
    await asyncio.wait({task})
    assert task.exception() is failure
    assert failure.__notes__ == ["web failed"]
    assert stage.journal[len(UP) :] == ["web end", *[x for x in DOWN if x != "web end"]]
    stage.assert_nothing_left()


async def test_server_that_ends_by_itself_stops_the_application(stage: Stage) -> None:
    task = await stage.start()
    stage.web.end()
    await task
    assert ("application stops", {"reason": "web ended"}) in [r[1:] for r in stage.log.records]
    stage.assert_nothing_left()


async def test_server_that_cancels_itself_is_a_failure(stage: Stage) -> None:
    task = await stage.start()
    stage.web.end(asyncio.CancelledError())
    await asyncio.wait({task})
    assert str(task.exception()) == "web cancelled itself"
    stage.assert_nothing_left()


@pytest.mark.parametrize("step", ["before_start", "after_start"])
async def test_hook_that_is_cancelled_from_within_fails_the_start_and_cancels_nobody(
    stage: Stage, step: str
) -> None:
    cause = stage.failures[step] = asyncio.CancelledError()
    failure = await stage.fail()
    assert isinstance(failure, StartupError)
    kind = step.replace("_", "-")
    assert str(failure) == f"{kind} hook {step}_hook awaited something that was cancelled"
    assert failure.__cause__ is cause
    stage.assert_nothing_left()


@pytest.mark.parametrize("step", ["before_stop", "after_stop"])
async def test_hook_that_is_cancelled_from_within_fails_the_stop_and_cancels_nobody(
    stage: Stage, step: str
) -> None:
    cause = stage.failures[step] = asyncio.CancelledError()
    task = await stage.start()
    stage.app.stop()
    await asyncio.wait({task})
    failure = task.exception()
    assert type(failure) is KratosError
    kind = step.replace("_", "-")
    assert str(failure) == f"{kind} hook {step}_hook awaited something that was cancelled"
    assert failure.__cause__ is cause
    assert stage.journal[len(UP) :] == DOWN
    stage.assert_nothing_left()


async def test_resource_whose_exit_is_cancelled_from_within_fails_the_stop(stage: Stage) -> None:
    class Cancelled(Resource):
        async def __aexit__(self, *_: object) -> None:
            raise asyncio.CancelledError

    stage.make(resources=[Cancelled("pool", stage.journal)])
    task = await stage.start()
    stage.app.stop()
    await asyncio.wait({task})
    assert str(task.exception()) == "exit of Cancelled awaited something that was cancelled"
    stage.assert_nothing_left()


async def test_cancelled_run_stops_in_order_and_stays_cancelled(stage: Stage) -> None:
    task = await stage.start()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert stage.journal[len(UP) :] == DOWN
    stage.assert_nothing_left()


async def test_failures_of_a_cancelled_stop_are_notes_on_the_cancellation(stage: Stage) -> None:
    stage.failures["before_stop"] = ValueError("cannot flush")
    task = await stage.start()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.__notes__ == [
        "ValueError: cannot flush",
        "before-stop hook before_stop_hook failed",
    ]


async def test_failing_deregistration_is_logged_and_stops_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    task = await stage.start()
    stage.registrar.failures["withdraw"] = ConnectionError("registry is down")
    stage.app.stop()
    await task
    assert stage.journal[len(UP) :] == DOWN
    assert "registry is down" in caplog.text
    status = stage.app.registration
    assert status is not None
    assert status.state is RegistrationState.GONE


async def test_first_cause_is_raised_and_later_ones_are_its_notes(stage: Stage) -> None:
    task = await stage.start()
    first = stage.failures["before_stop"] = ValueError("cannot flush")
    stage.rpc.failures["stop"] = OSError("cannot close")
    stage.failures["after_stop"] = KeyError("pool")
    stage.app.stop()
    await asyncio.wait({task})
    assert task.exception() is first
    assert first.__notes__ == [
        "before-stop hook before_stop_hook failed",
        "later, stop of rpc failed: OSError: cannot close",
        "later, after-stop hook after_stop_hook failed: KeyError: 'pool'",
    ]
    assert stage.log.messages(Level.ERROR) == [
        "before-stop hook before_stop_hook failed",
        "stop of rpc failed",
        "after-stop hook after_stop_hook failed",
    ]
    stage.registrar.held = False
    stage.assert_nothing_left()


async def test_every_stop_hook_runs_although_one_fails(stage: Stage) -> None:
    stage.failures["after_stop_1"] = ValueError("first")
    stage.make(after_stop=[stage.hook("after_stop_1"), stage.hook("after_stop")])
    with pytest.raises(ValueError, match="first"):
        async with running(stage.app):
            pass
    assert stage.journal[-2:] == ["after_stop_1", "after_stop"]


async def test_start_hooks_end_at_the_first_failure(stage: Stage) -> None:
    stage.failures["one"] = ValueError("first")
    stage.make(before_start=[stage.hook("one"), stage.hook("two")])
    await stage.fail()
    assert "two" not in stage.journal


# Stopping, at any time.


async def test_stop_during_the_start_unwinds_what_was_started(stage: Stage) -> None:
    stage.gates["before_start"] = asyncio.Event()
    task = await stage.start()
    stage.app.stop()
    await task
    assert stage.journal == [*UP[:5], "rpc stop", "web stop", "after_stop"]
    stage.assert_nothing_left()


async def test_hook_that_swallows_its_cancellation_does_not_keep_the_start_going(
    stage: Stage,
) -> None:
    async def stubborn(_app: App) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            stage.journal.append("swallowed")

    stage.make(before_start=[stubborn, stage.hook("second")])
    task = await stage.start()
    stage.app.stop()
    await task
    assert "second" not in stage.journal
    assert "web start" not in stage.journal
    stage.assert_nothing_left()


async def test_stop_before_run_keeps_the_application_from_starting(stage: Stage) -> None:
    stage.app.stop()
    await stage.app.run()
    assert stage.journal == ["after_stop"]


async def test_stop_twice_is_stop_once(stage: Stage) -> None:
    task = await stage.start()
    stage.app.stop()
    stage.app.stop()
    await task
    assert stage.journal[len(UP) :] == DOWN


async def test_application_runs_once(stage: Stage) -> None:
    async with running(stage.app):
        with pytest.raises(RuntimeError, match="build another"):
            await stage.app.run()


async def test_drain_delay_lies_between_deregistration_and_the_servers(stage: Stage) -> None:
    stage.make(drain_delay=7.0)
    task = await stage.start()
    stage.app.stop()
    await stage.clock.advance(6.9)
    draining = stage.journal[len(UP) :]
    alive = (await stage.app.health.report(Kind.LIVE)).ok
    await stage.clock.advance(0.1)
    await task
    assert draining == DOWN[:2]
    assert alive
    assert stage.journal[len(UP) :] == DOWN


async def test_drain_delay_is_left_out_when_nothing_was_served(stage: Stage) -> None:
    stage.make(drain_delay=7.0)
    stage.failures["before_start"] = ValueError("no")
    await stage.fail()
    stage.assert_nothing_left()


async def test_second_cancellation_skips_the_drain_delay(stage: Stage) -> None:
    stage.make(drain_delay=7.0)
    task = await stage.start()
    task.cancel()
    await stage.clock.settle()
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})
    assert stage.journal[len(UP) :] == DOWN


async def test_third_cancellation_gives_up_the_step_under_way(stage: Stage) -> None:
    stage.gates["before_stop"] = asyncio.Event()
    task = await stage.start()
    for _ in range(3):
        task.cancel()
        await stage.clock.settle()
    await asyncio.wait({task})
    assert task.cancelled()
    assert stage.journal[len(UP) :] == DOWN
    stage.assert_nothing_left()


async def test_servers_stop_side_by_side(stage: Stage) -> None:
    stage.rpc.gates["stop"] = asyncio.Event()
    task = await stage.start()
    stage.app.stop()
    await stage.clock.settle()
    waiting = stage.journal[-3:]
    stage.rpc.gates["stop"].set()
    await task
    assert waiting == ["rpc stop", "web stop", "web end"]


@pytest.mark.parametrize("step", ["stop", "end"])
async def test_server_that_does_not_stop_in_time_is_cancelled(stage: Stage, step: str) -> None:
    stage.rpc.gates[step] = asyncio.Event()
    task = await stage.start()
    stage.app.stop()
    await stage.clock.advance(9.9)
    early = task.done()
    await stage.clock.advance(0.1)
    await task
    assert not early
    assert (
        Level.WARN,
        "servers did not stop in time and are cancelled",
        {"servers": "rpc", "stop_timeout": 10.0},
    ) in stage.log.records
    stage.assert_nothing_left()


async def test_without_a_stop_timeout_servers_have_all_the_time(stage: Stage) -> None:
    stage.make(stop_timeout=None)
    stage.rpc.gates["stop"] = asyncio.Event()
    task = await stage.start()
    stage.app.stop()
    await stage.clock.advance(1_000_000.0)
    assert not task.done()
    stage.rpc.gates["stop"].set()
    await task


async def test_server_whose_stop_fails_is_cancelled_at_once(stage: Stage) -> None:
    stage.make(stop_timeout=None)
    stage.rpc.failures["stop"] = OSError("cannot close")
    task = await stage.start()
    stage.app.stop()
    await asyncio.wait({task})
    assert task.exception() is stage.rpc.failures["stop"]
    stage.assert_nothing_left()


async def test_server_whose_stop_is_cancelled_from_within_has_failed_to_stop(stage: Stage) -> None:
    stage.make(stop_timeout=None)
    stage.rpc.failures["stop"] = asyncio.CancelledError()
    task = await stage.start()
    stage.app.stop()
    await asyncio.wait({task})
    failure = task.exception()
    assert str(failure) == "stop of rpc awaited something that was cancelled"
    stage.assert_nothing_left()


class Plain:
    """A member with only what a cron job or a consumer needs."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.over = asyncio.Event()

    async def start(self) -> None:
        self.journal.append("job start")
        await self.over.wait()
        self.journal.append("job end")

    async def stop(self) -> None:
        self.journal.append("job stop")
        self.over.set()


async def test_member_with_only_start_and_stop_takes_part_in_both(stage: Stage) -> None:
    stage.make(servers=[stage.web, Plain(stage.journal)])
    async with running(stage.app):
        assert "job start" in stage.journal
    assert stage.journal[-5:] == ["job stop", "web stop", "job end", "web end", "after_stop"]


async def test_member_that_ignores_its_cancellation_is_named_and_left_behind(
    stage: Stage,
) -> None:
    release = asyncio.Event()

    class Stubborn(Plain):
        async def start(self) -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    stage.make(servers=[Stubborn(stage.journal)])
    task = await stage.start()
    stage.app.stop()
    await stage.clock.advance(20.0)
    await task
    assert "a server ignores its cancellation and is left behind" in stage.log.messages(Level.ERROR)
    release.set()
    await stage.clock.settle()


async def test_start_that_is_not_async_is_refused_by_name(stage: Stage) -> None:
    class Blocking(Plain):
        def start(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            return None

    stage.make(servers=[Blocking(stage.journal)])
    failure = await stage.fail()
    assert isinstance(failure, StartupError)
    assert "start of Blocking must be async def" in str(failure)


# Health.


async def test_start_waits_for_startup_checks(stage: Stage) -> None:
    migrated = [False, False, True]
    stage.app.health.add_check("migrated", lambda: migrated.pop(0), kind=Kind.STARTUP)
    task = await stage.start()
    before = list(stage.journal)
    await stage.clock.advance(2.0)
    stage.app.stop()
    await task
    assert before == UP[:9]
    assert stage.journal[: len(UP)] == UP


async def test_startup_check_that_hangs_fails_the_start(stage: Stage) -> None:
    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    stage.app.health.add_check("hangs", hang, kind=Kind.STARTUP, timeout=99.0)
    task = await stage.start()
    await stage.clock.advance(31.0)
    await asyncio.wait({task})
    assert str(task.exception()).endswith("; startup checks are still under way")
    stage.assert_nothing_left()


async def test_startup_check_that_never_passes_fails_the_start_by_name(stage: Stage) -> None:
    stage.app.health.add_check("migrated", lambda: False, kind=Kind.STARTUP)
    task = await stage.start()
    await stage.clock.advance(31.0)
    await asyncio.wait({task})
    failure = task.exception()
    assert str(failure).endswith("; migrated: the check returned False")
    stage.assert_nothing_left()


# Who am I.


PHASE: ContextVar[str] = ContextVar("phase", default="unset")


async def test_application_is_known_to_hooks_servers_and_tasks(stage: Stage) -> None:
    seen: list[object] = []

    class Member(Plain):
        async def start(self) -> None:
            seen.append(current_app())
            seen.append(app_info())
            await super().start()

    def look(_app: App) -> None:
        seen.append(current_app())

    stage.make(servers=[Member(stage.journal)], after_stop=[look])
    async with running(stage.app) as app:
        pass
    assert seen == [app, app.info, app]


def test_outside_of_an_application_there_is_none() -> None:
    assert app_info() is None
    with pytest.raises(RuntimeError, match=r"inside of App\.run"):
        current_app()


async def test_context_set_by_a_hook_reaches_servers_and_stop_hooks(stage: Stage) -> None:
    seen: list[str] = []

    class Member(Plain):
        async def start(self) -> None:
            seen.append(PHASE.get())
            await super().start()

    def change(_app: App) -> None:
        PHASE.set("hook")

    def look(_app: App) -> None:
        seen.append(PHASE.get())

    stage.make(servers=[Member(stage.journal)], before_start=[change], after_stop=[look])
    async with running(stage.app):
        pass
    assert seen == ["hook", "hook"]
    assert PHASE.get() == "unset"


async def test_blocking_code_of_hooks_runs_in_the_applications_threads(stage: Stage) -> None:
    threads: list[object] = []

    async def hook(app: App) -> None:
        import threading

        threads.append(await offload(lambda: threading.current_thread().name))
        assert app.offload.running == 0

    stage.make(before_start=[hook], after_stop=[hook])
    async with running(stage.app):
        pass
    assert threads == ["kratos-offload-1", "kratos-offload-1"]
    with pytest.raises(RuntimeError, match="closed"):
        await stage.app.offload.run(int)


async def test_running_raises_what_the_application_raises() -> None:
    server = FakeServer()
    server.failures["start"] = Error(500, "BROKEN")
    with pytest.raises(Error, match="BROKEN"):
        async with running(App(servers=[server], signals=())):
            pytest.fail("the block must not run")


async def test_running_notices_a_stop_before_the_start() -> None:
    app = App(signals=())
    app.stop()
    with pytest.raises(RuntimeError, match="stopped before it served"):
        async with running(app):
            pytest.fail("the block must not run")


async def test_drain_delay_can_be_cut_short(stage: Stage) -> None:
    run = await start_of(stage, drain_delay=3600.0)
    stage.app.stop("somebody says so")
    await stage.clock.settle()
    assert not run.done()
    stage.app.hurry()
    await run
    assert ("application stops", {"reason": "somebody says so"}) in [
        (message, fields) for _, message, fields in stage.log.records
    ]


async def start_of(stage: Stage, **changes: Any) -> asyncio.Task[None]:
    stage.make(**changes)
    return await stage.start()


async def test_options_can_be_changed_before_it_runs_and_not_after(stage: Stage) -> None:
    stage.app.adapt(lambda options: replace(options, id="other", registrar=None))
    assert stage.app.id == stage.app.options.id == "other"
    run = await stage.start()
    assert "register" not in stage.journal
    with pytest.raises(RuntimeError, match="cannot be changed"):
        stage.app.adapt(lambda options: options)
    stage.app.stop()
    await run


async def test_application_that_runs_without_its_workers_says_so(stage: Stage) -> None:
    run = await start_of(stage, workers=2)
    assert any("this process serves alone" in text for text in stage.log.messages(Level.WARN))
    stage.app.stop()
    await run


async def test_server_of_the_host_is_served_without_workers_and_not_published(
    stage: Stage,
) -> None:
    admin = FakeServer("admin", endpoint="http://10.0.0.1:99", journal=stage.journal)
    run = await start_of(stage, host_servers=[admin], services=[EchoService()])
    assert admin.mounts[0].services == ()
    assert stage.web.mounts[0].services != ()
    assert "http://10.0.0.1:99" not in stage.app.endpoints
    assert "admin ready" in stage.journal
    stage.app.stop()
    await run
