"""What an application logs of its life, as events."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kratos import App
from kratos.log import Level
from kratos.testing import MemoryLogger
from kratos_cli.events import Events
from kratos_cli.running.life import following

MAIN = "import sys; from kratos_cli.main import main; sys.exit(main())"


def test_records_of_its_life_become_events_and_are_logged_all_the_same() -> None:
    log, out = MemoryLogger(), io.StringIO()
    app = App(log=log)
    app.adapt(following(Events(out)))
    tell = app.options.log.log
    tell(Level.INFO, "application started", {"id": "a", "endpoints": "grpc://x:1,http://x:2"})
    tell(Level.INFO, "application started", {"id": "b", "endpoints": ""})
    tell(Level.ERROR, "worker ended by itself: SIGKILL", {"worker": 0, "pid": 7})
    tell(Level.INFO, "server call", {"operation": "/a.B/C"})
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"event": "started", "id": "a", "endpoints": ["grpc://x:1", "http://x:2"]},
        {"event": "started", "id": "b", "endpoints": []},
        {"event": "worker_ended", "worker": 0, "pid": 7, "reason": "SIGKILL"},
    ]
    assert len(log.records) == 4


def test_nothing_is_told_to_nobody() -> None:
    Events().tell("started")
    assert not Events().told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")
def test_worker_that_dies_is_an_event(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text("from kratos import App\ndef build(): return App()\n")
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "service", "--json", "--workers", "1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None

        def until(kind: str) -> dict[str, object]:
            while True:
                event: dict[str, object] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
                if event["event"] == kind:
                    return event

        first = until("worker_started")
        until("started")
        os.kill(int(str(first["pid"])), signal.SIGKILL)
        ended, second = until("worker_ended"), until("worker_started")
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert (ended["pid"], ended["reason"]) == (first["pid"], "SIGKILL")
    assert second["pid"] != first["pid"]
    assert process.returncode == 0
