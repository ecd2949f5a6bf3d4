"""``kratos run``: an application by its name, with workers or without."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kratos_cli.main import main

MAIN = "import sys; from kratos_cli.main import main; sys.exit(main())"
SERVICE = """
from kratos import App

def build():
    return App(workers=1)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")
@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        (["service:build", "--workers", "2"], 2),
        (["service"], 1),
        (["service.py:build", "-w0"], 0),
    ],
)
def test_service_is_served_until_a_signal_comes(
    arguments: list[str], workers: int, tmp_path: Path
) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        told = ""
        while " kratos: application started" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate()
    assert process.returncode == 0, told + rest
    assert told.count("worker serves") == workers


EVENTFUL = """
from kratos import App
from kratos.process import worker_slot
from kratos_http import HttpServer

print("imported")

def build():
    print("built")
    return App(name="shop", version="1", servers=[HttpServer("127.0.0.1:0")])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")
@pytest.mark.parametrize(("workers", "kinds"), [("0", []), ("1", ["worker_started"])])
def test_events_are_lines_of_json_and_nothing_else_is_on_standard_output(
    workers: str, kinds: list[str], tmp_path: Path
) -> None:
    (tmp_path / "service.py").write_text(EVENTFUL)
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "service", "--json", "--workers", workers],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        events = [json.loads(process.stdout.readline())]
        while events[-1]["event"] not in ("started", "failed"):
            events.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    events += map(json.loads, out.splitlines())
    assert process.returncode == 0, err
    assert [event["event"] for event in events] == ["starting", *kinds, "started", "stopped"]
    assert events[0]["target"] == "service"
    assert (events[0]["pid"], events[0]["folder"]) == (process.pid, str(tmp_path))
    (started,) = (event for event in events if event["event"] == "started")
    assert (started["name"], started["version"]) == ("shop", "1")
    assert started["endpoints"][0].startswith("http://127.0.0.1:")
    assert "imported\n" in err
    assert "application started" in err


@pytest.mark.slow
def test_failure_is_an_event(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(FACTORIES.replace("ADDRESS", "''"))
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "run", "service:fails", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {"event": "failed", "status": 1, "reason": "LookupError: no luck today"}


def test_program_that_tells_no_events_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "src/shop"
    package.mkdir(parents=True)
    for name in ("pyproject.toml", "src/shop/__init__.py", "src/shop/__main__.py"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("PYTHONPATH", "")
    assert main(["run", "--json"]) == 2
    told = capsys.readouterr()
    assert "shop is run as a program, which tells no events" in told.err
    event = json.loads(told.out)
    assert (event["event"], event["status"]) == ("failed", 2)


def test_module_that_is_not_there_is_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "no_such_module:build"])
    assert ended.value.code == 2
    assert "there is no module 'no_such_module'" in capsys.readouterr().err + caplog.text


def test_number_of_workers_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "service", "--workers", "many"])
    assert ended.value.code == 2
    assert "'many' is neither a number nor 'auto'" in capsys.readouterr().err


FACTORIES = """
from kratos import App
from kratos.process import worker_slot
from kratos_http import HttpServer

def fails():
    raise LookupError("no luck today")

def gives():
    return 7

async def waits():
    return App()

def wants(config):
    return App()

def takes():
    return App(servers=[HttpServer(ADDRESS)])

def fails_in_workers():
    if worker_slot() is not None:
        raise LookupError("no luck today")
    return App()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["service:missing"], 2, "ConfigError: 'service:missing': there is no missing in service"),
        (["service:FACTORIES"], 2, "is no function that returns an App"),
        (["service:gives"], 2, "ConfigError: service:gives returns 7; it must return an App"),
        (["service:waits"], 2, "ConfigError: service:waits is async: define it with def"),
        (["service:wants"], 2, "ConfigError: service:wants takes arguments"),
        (["service:takes"], 2, "the address is in use; stop the process that has it"),
        (["service:takes", "-w2"], 2, "the address is in use; stop the process that has it"),
        (["broken"], 1, "SyntaxError: "),
        (["service:fails"], 1, "LookupError: no luck today"),
        (["service:fails", "-w2"], 1, "LookupError: no luck today"),
    ],
)
def test_what_cannot_be_served_is_told_in_the_terms_of_the_program(
    arguments: list[str], code: int, text: str, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        made = FACTORIES.replace("ADDRESS", repr(address))
        (tmp_path / "service.py").write_text(f"{made}\nFACTORIES = 7\n")
        (tmp_path / "broken.py").write_text("def build(:\n")
        ended, errors = _run(arguments, tmp_path)
    assert ended == code
    assert text in errors
    assert "/kratos/" not in errors.replace(str(tmp_path), "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")
def test_failure_of_workers_is_told_by_them_and_once_more_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(FACTORIES)
    code, errors = _run(["service:fails_in_workers", "-w1"], tmp_path)
    assert code == 1
    assert "worker 0 could not start: LookupError: no luck today" in errors
    assert errors.count("Traceback") == 1


def _run(arguments: list[str], folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr
