"""``kratos run --reload``: the service is always that of the newest sources that work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kratos_cli.proto import compile_protos

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="--reload needs a POSIX system"),
]

MAIN = "import sys; from kratos_cli.main import main; sys.exit(main())"
SERVED = "application started"
APP = """
import os
import sys

from kratos import App

def build():
    print("process", os.getpid(), "serves", {value}, file=sys.stderr)
    return App()
"""
DEFINITION = 'syntax = "proto3";\npackage shop.v1;\nmessage Order {\n  string first = 1;\n}\n'
FIELDS = "__import__('shop.api.order_pb2', fromlist=['x']).Order.DESCRIPTOR.fields_by_name.keys()"


class Running:
    """A ``kratos run --reload`` and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""

    def until(self, text: str) -> str:
        """Return what is said up to a line with a text."""
        assert self.process.stderr is not None
        told = ""
        while text not in told:
            line = self.process.stderr.readline()
            assert line, self.said + told
            told += line
        self.said += told
        return told

    def end(self) -> str:
        """Ask it to end, and return the rest of what it says."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate()[1]


@contextmanager
def running(folder: Path, *words: str) -> Generator[Running]:
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "--reload", *words],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Running(process)
        finally:
            process.terminate()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    package = tmp_path / "src/shop"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    (package / "__init__.py").touch()
    (package / "app.py").write_text(APP.format(value="'one'"))
    return tmp_path


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def process_of(told: str) -> int:
    return int(told.partition("process ")[2].split()[0])


def test_change_restarts_it_and_broken_code_waits_for_the_next_change(project: Path) -> None:
    app = project / "src/shop/app.py"
    with running(project) as service:
        first = process_of(service.until(SERVED))
        app.write_text(APP.format(value="'two'"))
        told = service.until(SERVED)
        assert "src/shop/app.py changed" in told
        assert told.index("application stopped") < told.index("serves two")
        assert not is_there(first)
        app.write_text("def build(:\n")
        service.until("waiting for the next change")
        (project / "src/shop/more.py").write_text("x = 'three'\n")
        service.until("waiting for the next change")
        app.write_text(APP.format(value="'four'"))
        last = process_of(service.until(SERVED))
        rest = service.end()
        assert "application stopped" in rest
        assert service.process.returncode == 0
    assert not is_there(last)


def test_it_ends_in_order_with_the_hatchw_that_it_was_started_by(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which waits, as Hatch does, and is ended by a signal.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as hatchw:
        monkeypatch.setenv("KRATOS_HATCHW", str(hatchw.pid))
        with running(project) as service:
            served = process_of(service.until(SERVED))
            hatchw.terminate()
            hatchw.wait()
            assert "application stopped" in service.until("application stopped")
            assert service.process.wait() == 0
        assert not is_there(served)


def test_it_stays_when_a_process_of_another_session_ends(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as other:
        monkeypatch.setenv("KRATOS_HATCHW", str(other.pid))
        with running(project) as service:
            service.until(SERVED)
            other.terminate()
            other.wait()
            (project / "src/shop/app.py").write_text(APP.format(value="'two'"))
            assert "serves two" in service.until(SERVED)
            service.end()
        assert service.process.returncode == 0


def test_code_of_the_same_size_and_second_is_no_longer_what_was_compiled(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(project / "build"))
    app, second = project / "src/shop/app.py", 1_700_000_000 * 10**9
    os.utime(app, ns=(second, second))
    with running(project) as service:
        assert "serves one" in service.until(SERVED)
        app.write_text(APP.format(value="'two'"))
        os.utime(app, ns=(second, second + 1))
        assert "serves two" in service.until(SERVED)


def test_changed_definitions_are_generated_before_it_is_restarted(project: Path) -> None:
    definition = project / "api/order.proto"
    definition.parent.mkdir()
    definition.write_text(DEFINITION)
    compile_protos([definition], roots=[project / "api"], out=project / "src/shop/api")
    (project / "src/shop/app.py").write_text(APP.format(value=f"list({FIELDS})"))
    with running(project) as service:
        assert "serves ['first']" in service.until(SERVED)
        definition.write_text(DEFINITION.replace("first", "second"))
        told = service.until(SERVED)
        assert "generated src/shop/api/order_pb2.py" in told
        assert "serves ['second']" in told
        definition.write_text("nonsense\n")
        assert SERVED not in service.until("what was served is served on")
        definition.write_text(DEFINITION.replace("first", "third"))
        assert "serves ['third']" in service.until(SERVED)
        service.end()
    assert service.process.returncode == 0


def test_events_are_lines_of_json(project: Path) -> None:
    app = project / "src/shop/app.py"
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "--reload", "--json"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        events: list[dict[str, object]] = []

        def until(kind: str) -> None:
            while not events or events[-1]["event"] != kind:
                events.append(json.loads(process.stdout.readline()))  # type: ignore[union-attr]

        until("started")
        app.write_text("def build(:\n")
        until("ended")
        app.write_text(APP.format(value="'two'"))
        until("started")
        process.send_signal(signal.SIGTERM)
        events += map(json.loads, process.communicate()[0].splitlines())
    assert process.returncode == 0
    assert [event["event"] for event in events] == [
        *("starting", "started", "changed", "stopped"),
        *("starting", "failed", "ended", "changed"),
        *("starting", "started", "stopped"),
    ]
    assert events[2]["files"] == ["src/shop/app.py"]
    assert "SyntaxError" in str(events[5]["reason"])


@pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")
def test_workers_are_restarted_too(project: Path) -> None:
    with running(project, "--workers", "1") as service:
        service.until(SERVED)
        (project / "src/shop/app.py").write_text(APP.format(value="'two'"))
        service.until("serves two")
        service.until("worker serves")
        service.end()
    assert service.process.returncode == 0


def test_nothing_is_left_if_it_is_killed(project: Path) -> None:
    with running(project) as service:
        service.until(SERVED)
        service.process.kill()
        assert service.process.stderr is not None
        # The end of this pipe is the end of the last process that could write to it.
        assert "application stopped" in service.process.stderr.read()
