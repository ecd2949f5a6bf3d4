"""Worker processes: started by exec, told apart, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kratos.bus import Published
from kratos.clock import SYSTEM_CLOCK
from kratos.metrics import from_wire
from kratos.workers._child import ChildProcess, start
from kratos.workers._messages import LARGEST, Failed, Measure, Measured, Setup

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]

SERVICE = """
import asyncio, os, sys, threading, time
from kratos import App, process
from kratos.metrics import MemoryMeter, NopMeter

def serve():
    return App(name="idle", after_start=[note])

def note(app):
    with open(sys.argv[1], "a") as file:
        print(app.id, process.worker_slot(), *sys.argv[2:], file=file)

def refuse():
    raise ValueError("no luck today")

def leave():
    sys.exit(7)

def stubborn():
    async def hang(app):
        await asyncio.Event().wait()
    return App(before_stop=[hang])

def counting():
    meter = MemoryMeter()
    calls = meter.counter("calls_total")
    app = App(metrics=meter, before_stop=[lambda app: calls.inc(40)])
    app.bus.subscribe("count", calls.inc)
    app.bus.subscribe("ask", lambda value: app.bus.publish("answer", value))
    return app

def immeasurable():
    class Broken(NopMeter):
        def snapshot(self):
            raise LookupError("no luck today")
    return App(metrics=Broken())

def restless():
    return App(after_start=[lambda app: app.stop()])

def forgetful():
    threading.Thread(target=time.sleep, args=(3600,)).start()
    refuse()

def what():
    return 7

if __name__ != "__main__" and os.environ.get("NO_GUARD"):
    import kratos
    kratos.run(serve)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "idle.py").write_text(SERVICE)
    return tmp_path


class Starter:
    """Starts workers of one program and ends what a test leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[ChildProcess] = []
        self.heard: asyncio.Queue[Measured | Published] = asyncio.Queue()

    async def __call__(self, factory: str) -> ChildProcess:
        child = await start(
            f"{self.folder / 'idle.py'}:{factory}",
            Setup(
                slot=3,
                id="id-1",
                path=list(sys.path),
                argv=["idle.py", str(self.folder / "notes"), "--option"],
            ),
            (),
            clock=SYSTEM_CLOCK,
            changed=lambda: None,
            heard=lambda _, message: self.heard.put_nowait(message),
        )
        self.made.append(child)
        return child


@pytest.fixture
async def launch(folder: Path) -> AsyncIterator[Starter]:
    starter = Starter(folder)
    yield starter
    for child in starter.made:
        child.kill()
        await child.ended()


async def test_worker_knows_who_it_is_and_ends_when_it_is_told_to(launch: Starter) -> None:
    child = await launch("serve")
    await child.settled()
    assert (launch.folder / "notes").read_text() == "id-1 3 --option\n"
    assert child.ready_at is not None
    assert child.report is not None
    assert child.report.ready
    child.stop()
    await child.leaving()
    child.finish()
    await child.ended()
    assert (child.code, child.failure) == (0, None)


async def test_worker_that_is_told_to_end_before_it_has_begun_does_not_serve(
    launch: Starter,
) -> None:
    child = await launch("serve")
    child.finish()
    await child.ended()
    assert (child.code, child.ready_at) == (0, None)
    assert not (launch.folder / "notes").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
async def test_worker_leaves_signals_to_its_supervisor(
    number: signal.Signals, launch: Starter
) -> None:
    child = await launch("serve")
    await child.settled()
    os.kill(child.pid, number)
    child.stop()
    await child.leaving()
    child.finish()
    await child.ended()
    assert child.code == 0


async def test_worker_tells_why_it_could_not_start(launch: Starter) -> None:
    child = await launch("refuse")
    await child.settled()
    await child.ended()
    assert child.failure == Failed(reason="ValueError: no luck today")
    assert child.code == 1


@pytest.mark.parametrize(
    ("factory", "reason", "code"),
    [
        ("missing", "there is no missing in", 2),
        ("what", "returns 7; it must return an App", 2),
        ("leave", "SystemExit: 7", 1),
    ],
)
async def test_factory_that_makes_no_application_is_told_apart(
    factory: str, reason: str, code: int, launch: Starter
) -> None:
    child = await launch(factory)
    await child.ended()
    assert child.failure is not None
    assert reason in child.failure.reason
    assert child.code == code


async def test_program_that_runs_on_import_is_refused_and_told_what_to_do(
    launch: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_GUARD", "1")
    child = await launch("serve")
    await child.ended()
    assert child.failure is not None
    assert child.failure.refused
    assert "if __name__ == '__main__':" in child.failure.reason


async def test_worker_that_stops_of_its_own_accord_ends(launch: Starter) -> None:
    child = await launch("restless")
    await child.ended()
    assert child.code == 0


async def test_thread_that_was_forgotten_does_not_keep_a_worker_that_has_failed(
    launch: Starter,
) -> None:
    child = await launch("forgetful")
    await child.ended()
    assert child.failure == Failed(reason="ValueError: no luck today")
    assert child.code == 1


async def test_worker_that_does_not_listen_is_killed(launch: Starter) -> None:
    child = await launch("stubborn")
    await child.settled()
    child.finish()
    child.kill()
    child.kill()
    await child.ended()
    assert child.code == -signal.SIGKILL


def exists(pid: int) -> bool:
    """Tell whether there is a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


def open_descriptors() -> set[str]:
    return {link.name for link in Path("/proc/self/fd").iterdir()}


async def counted(launch: Starter) -> object:
    """Return the calls that the worker tells of next; it tells of its start, too."""
    while True:
        message = await launch.heard.get()
        assert isinstance(message, Measured)
        for family in from_wire(message.families):
            if family.name == "calls_total" and family.series:
                return family.series[()]


async def test_worker_tells_what_it_has_counted_when_asked_and_at_its_end(
    launch: Starter,
) -> None:
    child = await launch("counting")
    await child.settled()
    child.send(Published(topic="count", value=2.0))
    child.send(Measure())
    assert await counted(launch) == 2.0
    child.finish()
    assert await counted(launch) == 42.0


@pytest.mark.parametrize("factory", ["serve", "immeasurable"])
async def test_worker_whose_meter_cannot_tell_answers_that_there_is_nothing(
    factory: str, launch: Starter
) -> None:
    child = await launch(factory)
    await child.settled()
    child.send(Measure())
    assert await launch.heard.get() == Measured()


async def test_worker_hears_messages_and_publishes_its_own(launch: Starter) -> None:
    child = await launch("counting")
    child.send(Published(topic="ask", value=["a", 1], keep=True))
    while not isinstance(message := await launch.heard.get(), Published):
        continue
    assert message == Published(topic="answer", value=["a", 1])


async def test_worker_that_starts_may_take_its_time_over_all_messages_that_are_kept(
    launch: Starter,
) -> None:
    child = await launch("serve")
    for number in range(2 + LARGEST // 1_000_000):
        child.send(Published(topic=f"kept {number}", value="x" * 1_000_000, keep=True))
    child.send(Published(topic="news"))
    await child.settled()
    assert child.code is None


async def test_worker_that_leaves_its_messages_unread_is_killed(launch: Starter) -> None:
    child = await launch("serve")
    await child.settled()
    os.kill(child.pid, signal.SIGSTOP)
    for _ in range(2 + LARGEST // 1_000_000):
        child.send(Published(topic="news", value="x" * 1_000_000))
    child.send(Published(topic="news"))
    await child.ended()
    assert child.code == -signal.SIGKILL
    assert child.failure is not None
    assert "bytes unread" in child.failure.reason


async def test_ended_workers_leave_no_process_no_descriptor_and_no_thread(
    launch: Starter,
) -> None:
    before, threads = open_descriptors(), threading.active_count()
    for _ in range(3):
        child = await launch("serve")
        child.kill()
        await child.ended()
        assert not exists(child.pid)
    for thread in threading.enumerate():
        if thread.name.startswith("kratos-wait"):
            thread.join()
    await asyncio.sleep(0)
    assert open_descriptors() <= before
    assert threading.active_count() <= threads


def name_of(sock: socket.socket) -> str:
    return str(Path(f"/proc/self/fd/{sock.fileno()}").readlink())


async def test_worker_inherits_the_sockets_it_is_given_and_nothing_else(folder: Path) -> None:
    (folder / "seen.py").write_text(
        "import os, sys\n"
        "def names():\n"
        "    for fd in range(100):\n"
        "        try: yield os.readlink(f'/proc/self/fd/{fd}')\n"
        "        except FileNotFoundError: pass\n"
        "sys.exit(' '.join(name for name in names() if name.startswith('socket')))\n"
    )
    with socket.socket() as given, socket.socket() as kept:
        names = {name_of(sock): sock for sock in (given, kept)}
        child = await start(
            f"{folder / 'seen.py'}:build",
            Setup(slot=0, id="a", path=list(sys.path)),
            (given,),
            clock=SYSTEM_CLOCK,
            changed=lambda: None,
            heard=lambda _child, _message: None,
        )
        await child.ended()
        assert child.failure is not None
        seen = {name for name in names if name in child.failure.reason}
        assert seen == {name for name, sock in names.items() if sock is given}


GUARDED = """
import socket, sys, time
from kratos.workers._guard import Guard
ours, theirs = socket.socketpair()
guard = Guard(ours)
guard.patience = float(sys.argv[1])
guard.start()
theirs.close()
time.sleep(3600)
"""


def test_process_whose_supervisor_is_gone_ends_though_its_loop_is_stuck() -> None:
    ended = subprocess.run([sys.executable, "-c", GUARDED, "0.05"], check=False, timeout=30)
    assert ended.returncode == 3
