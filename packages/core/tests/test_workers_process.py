"""Worker processes: started by exec, told apart, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kratos.bus import Published
from kratos.clock import SYSTEM_CLOCK
from kratos.config import KeyValue
from kratos.config._states import to_plain
from kratos.metrics import from_wire
from kratos.workers._child import ChildProcess, start
from kratos.workers._messages import (
    LARGEST,
    Configure,
    Configured,
    Failed,
    Measure,
    Measured,
    Settle,
    Setup,
)
from kratos.workers._parts import joined

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]

SERVICE = """
import asyncio, os, sys, threading, time
from dataclasses import dataclass
from kratos import App, process
from kratos.config import Config, MemorySource
from kratos.errors import ConfigError
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

def give_up():
    raise asyncio.CancelledError

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

def varied():
    meter = MemoryMeter()
    calls = meter.counter("calls_total", labels=("number",))
    for number in range(1200):
        calls.labels(str(number)).inc()
    return App(metrics=meter)

def immeasurable():
    class Broken(NopMeter):
        def snapshot(self):
            raise LookupError("no luck today")
    return App(metrics=Broken())

class Participant:
    def __init__(self, app):
        self.app = app

    async def prepare(self, old, new):
        self.app.bus.publish("prepares", new["a"])
        if new["a"] == "refused":
            raise ConfigError("no luck today")
        if new["a"] == "slow":
            await asyncio.Event().wait()
        return self

    def commit(self):
        pass

    async def rollback(self):
        self.app.bus.publish("rolls back", None)

def following():
    config = Config(MemorySource.of({"a": "own"}))
    app = App(config=config)
    config.join(Participant(app))
    config.watch("a", lambda old, new: app.bus.publish("changed", [old["a"], new["a"]]))
    def tell(_):
        app.bus.publish("a", [config.snapshot["a"], config.snapshot.revision])
        app.bus.publish("error", str(config.last_error))
    app.bus.subscribe("ask", tell)
    return app

@dataclass
class Settings:
    a: int

def reading():
    config = Config(MemorySource.of({"a": "refused"}), schema=Settings)
    a = config.read(Settings).a
    app = App(config=config)
    app.bus.subscribe("ask", lambda _: app.bus.publish("read", a))
    return app

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


def carried(tree: dict[str, Any]) -> dict[str, Any]:
    entry = KeyValue(key="", value=json.dumps(tree).encode(), format="json")
    return to_plain({"memory": [entry]})


class Starter:
    """Starts workers of one program and ends what a test leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[ChildProcess] = []
        self.heard: asyncio.Queue[Configured | Measured | Published] = asyncio.Queue()

    async def __call__(
        self,
        factory: str,
        config: dict[str, Any] | None = None,
        *,
        settled: bool = False,
        parts: bool = False,
    ) -> ChildProcess:
        child = await start(
            f"{self.folder / 'idle.py'}:{factory}",
            Setup(
                slot=3,
                id="id-1",
                path=list(sys.path),
                argv=["idle.py", str(self.folder / "notes"), "--option"],
                revision=7,
                config={} if config is None else carried(config),
                parts=parts,
            ),
            (),
            clock=SYSTEM_CLOCK,
            changed=lambda: None,
            heard=lambda _, message: self.heard.put_nowait(message),
        )
        self.made.append(child)
        if settled:
            await child.settled()
        return child

    async def published(self, topic: str) -> Any:
        """Return the value of the next message of a topic."""
        while True:
            message = await self.heard.get()
            if isinstance(message, Published) and message.topic == topic:
                return message.value

    async def answered(self) -> Configured:
        while not isinstance(message := await self.heard.get(), Configured):
            continue
        return message


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
        ("give_up", "CancelledError", 1),
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
async def test_worker_whose_meter_cannot_tell_answers_that_it_cannot(
    factory: str, launch: Starter
) -> None:
    child = await launch(factory)
    await child.settled()
    child.send(Measure())
    assert await launch.heard.get() == Measured(failed=True)


async def test_worker_tells_of_many_series_in_parts_and_of_all_of_them_at_its_end(
    launch: Starter,
) -> None:
    child = await launch("varied", parts=True)
    for _ in range(2):  # at its start, or when it is asked; and at its end
        parts = await told(launch)
        assert len(parts) > 2
        assert [part.begins for part in parts] == [True] + [False] * (len(parts) - 1)
        (family,) = [
            each
            for each in joined(from_wire(part.families) for part in parts)
            if each.name == "calls_total"
        ]
        assert len(family.series) == 1200
        child.finish()


async def told(launch: Starter) -> list[Measured]:
    """Return the parts of the next snapshot."""
    parts: list[Measured] = []
    while not parts or parts[-1].more:
        message = await launch.heard.get()
        assert isinstance(message, Measured)
        parts.append(message)
    return parts


async def test_worker_of_an_older_supervisor_tells_all_at_once(launch: Starter) -> None:
    await launch("varied")
    (whole,) = await told(launch)
    assert {len(family.series) for family in from_wire(whole.families)} >= {1200}


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


async def test_worker_has_the_configuration_that_it_was_told_and_not_that_of_its_sources(
    launch: Starter,
) -> None:
    child = await launch("following", {"a": "told"}, settled=True)
    child.send(Published(topic="ask"))
    assert await launch.published("a") == ["told", 7]


async def test_factory_of_a_worker_reads_what_is_in_force_whatever_the_sources_say_by_then(
    launch: Starter,
) -> None:
    child = await launch("reading", {"a": 7}, settled=True)
    child.send(Published(topic="ask"))
    assert await launch.published("read") == 7


async def test_worker_without_a_word_of_its_supervisor_reads_its_sources(launch: Starter) -> None:
    child = await launch("following", settled=True)
    child.send(Published(topic="ask"))
    assert await launch.published("a") == ["own", 0]


async def test_worker_puts_a_change_in_force_when_it_is_told_to(launch: Starter) -> None:
    child = await launch("following", {"a": "old"}, settled=True)
    child.send(Configure(number=1, revision=8, config=carried({"a": "new"})))
    assert await launch.answered() == Configured(number=1)
    child.send(Published(topic="ask"))
    assert await launch.published("a") == ["old", 7]
    child.send(Settle(number=1, commit=True))
    assert await launch.published("changed") == ["old", "new"]
    child.send(Published(topic="ask"))
    assert await launch.published("a") == ["new", 8]


async def test_worker_rolls_back_what_another_has_refused(launch: Starter) -> None:
    child = await launch("following", {"a": "old"}, settled=True)
    child.send(Configure(number=1, revision=8, config=carried({"a": "new"})))
    await launch.answered()
    child.send(Settle(number=1, commit=False, reason="worker 5 refuses it"))
    await launch.published("rolls back")
    child.send(Published(topic="ask"))
    assert await launch.published("a") == ["old", 7]
    assert await launch.published("error") == "worker 5 refuses it"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"a": "refused"}, "ConfigError: no luck today"),
        ({"a": "${b}${a}"}, "refers to itself"),
    ],
)
async def test_worker_says_why_it_refuses(
    launch: Starter, document: dict[str, Any], problem: str
) -> None:
    child = await launch("following", {"a": "old"}, settled=True)
    child.send(Configure(number=1, revision=8, config=carried(document)))
    assert problem in (await launch.answered()).problem


async def test_worker_gives_up_preparing_when_it_is_told_to(launch: Starter) -> None:
    child = await launch("following", {"a": "old"}, settled=True)
    child.send(Configure(number=1, revision=8, config=carried({"a": "slow"})))
    assert await launch.published("prepares") == "slow"
    child.send(Settle(number=1, commit=False, reason="no answer in time"))
    child.send(Configure(number=2, revision=8, config=carried({"a": "new"})))
    assert await launch.answered() == Configured(number=2)
    child.send(Settle(number=2, commit=True))
    assert await launch.published("changed") == ["old", "new"]


async def test_worker_puts_in_force_at_once_what_is_so_already(launch: Starter) -> None:
    child = await launch("following", {"a": "old"})
    child.send(Configure(number=1, revision=9, at_once=True, config=carried({"a": "new"})))
    await child.settled()
    child.send(Configure(number=1, revision=10, at_once=True, config=carried({"a": "newer"})))
    await launch.answered()
    await launch.answered()
    child.send(Published(topic="ask"))
    assert await launch.published("a") == ["newer", 10]


async def test_worker_stops_while_it_prepares(launch: Starter) -> None:
    child = await launch("following", {"a": "old"}, settled=True)
    child.send(Configure(number=1, revision=8, config=carried({"a": "slow"})))
    assert await launch.published("prepares") == "slow"
    child.finish()
    await child.ended()
    assert (child.code, child.failure) == (0, None)


async def test_supervisor_carries_a_changed_file_to_all_workers_and_a_refusal_to_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "app.yaml").write_text("a: first")
    (tmp_path / "service.py").write_text(FOLLOWERS)
    lines: asyncio.Queue[str] = asyncio.Queue()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "service.py", str(tmp_path / "conf")),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            lines.put_nowait(line.decode().strip())

    async def until(*wanted: str) -> None:
        left = set(wanted)
        while left:
            left.discard(await lines.get())

    reading = asyncio.create_task(read())
    try:
        async with asyncio.timeout(60):
            await until("0 starts with first", "1 starts with first")
            (tmp_path / "conf" / "app.yaml").write_text("a: second")
            await until("0 has second", "1 has second", "None has second")
            (tmp_path / "conf" / "app.yaml").write_text("{a: third, refuses: 1}")
            while "worker 1 refuses it: ConfigError: no luck today" not in await lines.get():
                continue
            (tmp_path / "conf" / "app.yaml").write_text("a: fourth")
            await until("0 has fourth", "1 has fourth", "None has fourth")
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


FOLLOWERS = """
import sys
import kratos
from kratos import App
from kratos.config import Config, FileSource
from kratos.errors import ConfigError
from kratos.process import worker_slot

def tell(*words):
    # In one piece also where standard output has no buffer, since several write to it.
    print(" ".join(map(str, (worker_slot(), *words))) + "\\n", end="", flush=True)

class Participant:
    async def prepare(self, old, new):
        if worker_slot() == new.get("refuses", int, default=-1):
            raise ConfigError("no luck today")
        return self
    def commit(self):
        pass
    async def rollback(self):
        pass

def build():
    config = Config(FileSource(sys.argv[1]))
    config.join(Participant())
    config.watch("a", lambda old, new: tell("has", new["a"]))
    def start(app):
        tell("starts with", config.snapshot["a"])
    return App(config=config, after_start=[start])

if __name__ == "__main__":
    kratos.run(build, workers=2)
"""
