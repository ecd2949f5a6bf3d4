"""``kratos run``: an application by its name, with workers or without."""

from __future__ import annotations

import signal
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
