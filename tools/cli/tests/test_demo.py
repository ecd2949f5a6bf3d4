"""The demo ends well by itself, by Ctrl-C and by violence, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow]

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

MAIN = "import sys; from kratos_cli.main import main; sys.exit(main())"


@contextmanager
def demo(*arguments: str, temporary: Path) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "NO_COLOR": "1"},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def serving(process: subprocess.Popen[str]) -> str:
    """Read until the services wait for calls, and return what was printed."""
    assert process.stdout is not None
    printed: list[str] = []
    for line in process.stdout:
        printed.append(line)
        if "asyncio.run(main())" in line:
            return "".join(printed)
    raise AssertionError("".join(printed))


def children(process: subprocess.Popen[str]) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


def wait_for_end(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 20)[0], "a service outlived the demo"
        os.close(descriptor)


def test_demo_shows_calls_in_every_way_and_cleans_up(tmp_path: Path) -> None:
    with demo(temporary=tmp_path) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    assert "$ kratos proto helloworld/greeter.proto" in out
    for what in ("HTTP GET /helloworld/{name}", "gRPC SayHello"):
        assert what in out
    for code in ("BOOK_NOT_FOUND", "BOOK_SOLD_OUT", "CODEC", "METHOD_NOT_ALLOWED", "NOT_FOUND"):
        assert code in out
    assert re.search(r"bookshop → greeter\s+gRPC /helloworld.Greeter/SayHello\s+200", out)
    assert "\033[" not in out
    assert list(tmp_path.iterdir()) == []


@linux
def test_demo_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    with demo("--serve", temporary=tmp_path) as process:
        told = serving(process)
        found = re.search(r"curl (http://\S+/helloworld/you)", told)
        assert found is not None
        with urllib.request.urlopen(found[1]) as reply:
            assert reply.read() == b'{"message":"Hello you!"}'
        ends = [os.pidfd_open(child) for child in children(process)]
        assert len(ends) == 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    wait_for_end(ends)
    assert list(tmp_path.iterdir()) == []


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_services_end_with_the_demo_however_it_ends(number: signal.Signals, tmp_path: Path) -> None:
    with demo("--serve", temporary=tmp_path) as process:
        serving(process)
        ends = [os.pidfd_open(child) for child in children(process)]
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode in (-number, 128 + number)
    wait_for_end(ends)
    if number is signal.SIGTERM:
        assert err == ""
        assert list(tmp_path.iterdir()) == []
