"""Signals, event loops and exit codes."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NoReturn

import pytest

import kratos
from kratos.app import App
from kratos.errors import ConfigError, StartupError
from kratos.testing.app import FakeServer, running
from kratos.testing.log import MemoryLogger

LOOPS = [
    "asyncio",
    pytest.param(
        "uvloop",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
        ),
    ),
]

PROGRAM = """
import asyncio, logging, sys
loop, hang, drain, level = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
logging.getLogger("kratos").setLevel(level)
if loop == "asyncio":
    sys.modules["uvloop"] = None
import kratos

def say(step):
    async def hook(app):
        print(step, flush=True)
        if step == hang:
            await asyncio.Event().wait()
        if step == "after_start":
            app.spawn(tell(app))
    return hook

async def tell(app):
    await app.ready()
    print("serving", flush=True)

steps = ("before_start", "after_start", "before_stop", "after_stop")
kratos.run(lambda: kratos.App(drain_delay=drain, servers=[Job()], **{s: [say(s)] for s in steps}))
"""
JOB = """
class Job:
    def __init__(self):
        import asyncio
        self.over = asyncio.Event()
    async def start(self):
        await self.over.wait()
    async def stop(self):
        print("stop", flush=True)
        self.over.set()
"""


class Program:
    """An application in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def until(self, step: str) -> None:
        assert self.process.stdout is not None
        while (line := await self.process.stdout.readline()).decode().strip() != step:
            assert line, f"the program ended before {step}"

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def result(self) -> tuple[int, str]:
        _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def program(
    loop: str, *, hang: str = "-", drain: float = 0.0, level: str = "WARNING"
) -> AsyncGenerator[Program]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", JOB + PROGRAM, loop, hang, str(drain), level),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
async def test_signal_stops_in_order_and_well(loop: str, number: signal.Signals) -> None:
    async with program(loop) as app:
        await app.until("serving")
        app.send(number)
        await app.until("before_stop")
        await app.until("stop")
        await app.until("after_stop")
        assert await app.result() == (0, "")


async def test_program_that_configures_no_logging_tells_what_it_does() -> None:
    async with program("asyncio", level="NOTSET") as app:
        await app.until("serving")
        app.send(signal.SIGTERM)
        _, errors = await app.result()
    started, stops, stopped = errors.splitlines()
    assert "INFO kratos: application started id=" in started
    assert 'application stops reason="signal SIGTERM"' in stops
    assert "application stopped" in stopped


@pytest.mark.parametrize("loop", LOOPS)
async def test_signal_during_the_start_ends_it(loop: str) -> None:
    async with program(loop, hang="before_start") as app:
        await app.until("before_start")
        app.send(signal.SIGTERM)
        await app.until("after_stop")
        assert await app.result() == (0, "")


@pytest.mark.parametrize("loop", LOOPS)
async def test_second_signal_skips_the_drain_delay(loop: str) -> None:
    async with program(loop, drain=3600.0) as app:
        await app.until("serving")
        app.send(signal.SIGTERM)
        await app.until("before_stop")
        app.send(signal.SIGINT)
        await app.until("after_stop")
        assert await app.result() == (0, "")


@pytest.mark.parametrize("loop", LOOPS)
async def test_third_signal_ends_the_process_as_that_signal_does(loop: str) -> None:
    async with program(loop, hang="after_stop", drain=3600.0) as app:
        await app.until("serving")
        app.send(signal.SIGINT)
        await app.until("before_stop")
        app.send(signal.SIGINT)
        await app.until("after_stop")
        app.send(signal.SIGTERM)
        code, errors = await app.result()
        assert code == -signal.SIGTERM
        assert "application ends at once" in errors


async def test_first_signal_of_a_stop_that_began_otherwise_skips_the_drain_delay() -> None:
    app = App(drain_delay=3600.0, servers=[FakeServer()], signals=[signal.SIGUSR1])
    run = asyncio.create_task(app.run())
    await app.ready()
    app.stop()
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGUSR1)
    await run


async def test_every_application_of_a_process_gets_the_signal() -> None:
    apps = [App(signals=[signal.SIGUSR1]) for _ in range(2)]
    runs = [asyncio.create_task(app.run()) for app in apps]
    for app in apps:
        await app.ready()
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.gather(*runs)


async def test_application_that_ends_leaves_signals_to_the_others() -> None:
    first, second = (App(signals=[signal.SIGUSR1]) for _ in range(2))
    run = asyncio.create_task(second.run())
    await second.ready()
    async with running(first):
        pass
    os.kill(os.getpid(), signal.SIGUSR1)
    await run


async def test_what_handled_a_signal_before_does_so_again() -> None:
    heard: list[int] = []

    def handler(number: int, _frame: object) -> None:
        heard.append(number)

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        async with running(App(signals=[signal.SIGUSR1])):
            assert signal.getsignal(signal.SIGUSR1) is not handler
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert heard == [signal.SIGUSR1]


class Unsignalled(asyncio.SelectorEventLoop):
    """Like the loops of Windows, which know no signals."""

    def add_signal_handler(self, sig: int, callback: object, *args: object) -> NoReturn:
        raise NotImplementedError

    def remove_signal_handler(self, sig: int) -> NoReturn:
        raise NotImplementedError


def test_signal_arrives_where_the_loop_knows_none() -> None:
    def send(_app: App) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    previous = signal.getsignal(signal.SIGUSR1)
    App(signals=[signal.SIGUSR1], after_start=[send]).serve(loop_factory=Unsignalled)
    assert signal.getsignal(signal.SIGUSR1) is previous


def test_application_runs_in_a_thread_too() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        def stop(app: App) -> None:
            app.stop()

        try:
            App(after_start=[stop]).serve(loop_factory=asyncio.new_event_loop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


def stop(app: App) -> None:
    app.stop()


def loop_of(**options: Callable[[], asyncio.AbstractEventLoop]) -> str:
    seen: list[str] = []

    def look(app: App) -> None:
        seen.append(type(asyncio.get_running_loop()).__module__)
        app.stop()

    App(after_start=[look]).serve(**options)
    return seen[0]


def test_uvloop_is_used_where_it_is_installed() -> None:
    pytest.importorskip("uvloop")
    assert loop_of() == "uvloop"


def test_loop_of_asyncio_is_used_where_uvloop_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_of().startswith("asyncio.")


def test_loop_can_be_chosen() -> None:
    assert loop_of(loop_factory=asyncio.new_event_loop).startswith("asyncio.")


def test_program_that_stops_as_asked_returns() -> None:
    kratos.run(lambda: App(after_start=[stop]))


def failing(error: Exception) -> Callable[[], App]:
    def fail(_app: App) -> None:
        raise error

    return lambda: App(before_start=[fail])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StartupError("port 80 is taken"), 2),
        (ConfigError("no such option"), 2),
        (ValueError("anything else"), 1),
    ],
)
def test_exit_code_tells_whether_starting_again_may_help(
    error: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as caught:
        kratos.run(failing(error))
    assert caught.value.code == code
    assert str(error) in caplog.text


def test_exit_from_inside_of_a_server_still_unwinds() -> None:
    stopped: list[str] = []
    server = FakeServer()
    server.failures["end"] = SystemExit(3)

    async def close(_app: App) -> None:
        await asyncio.sleep(0)
        stopped.append("after_stop")

    def leave(_app: App) -> None:
        server.end()

    with pytest.raises(SystemExit) as caught:
        kratos.run(lambda: App(servers=[server], after_start=[leave], after_stop=[close]))
    assert caught.value.code == 3
    assert stopped == ["after_stop"]


def test_factory_that_fails_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def build() -> NoReturn:
        raise ConfigError("no such option")

    with pytest.raises(SystemExit) as caught:
        kratos.run(build)
    assert caught.value.code == 2
    assert [record.getMessage() for record in caplog.records] == [
        'application failed error="ConfigError: no such option"'
    ]
    assert not caplog.records[0].exc_info


def test_hook_that_is_cancelled_from_within_is_told_and_refuses_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def connect(_app: App) -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        task.cancel()
        await task

    with pytest.raises(SystemExit) as caught:
        kratos.run(lambda: App(before_start=[connect], signals=()))
    assert caught.value.code == 2
    told = caplog.messages[-1]
    assert told.startswith('application failed error="StartupError: before-start hook ')
    assert told.endswith('connect awaited something that was cancelled"')


def test_factory_that_is_cancelled_from_within_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def build() -> NoReturn:
        raise asyncio.CancelledError

    with pytest.raises(SystemExit) as caught:
        kratos.run(build)
    assert caught.value.code == 1
    assert caplog.messages == ["application failed error=CancelledError"]


def test_options_are_adapted_before_it_runs() -> None:
    names: list[str] = []
    log = MemoryLogger()

    def stop(app: App) -> None:
        names.append(app.name)
        app.stop()

    def adapt(options: Any) -> Any:
        return replace(options, log=log, after_start=[stop])

    kratos.run(lambda: App(name="shop"), adapt=adapt)
    assert names == ["shop"]
    assert log.messages()[-1] == "application stopped"
