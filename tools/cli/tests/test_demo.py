"""The demo ends well by itself, by Ctrl-C and by violence, and leaves nothing behind."""

from __future__ import annotations

import itertools
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kratos import plugins

pytestmark = [pytest.mark.slow]

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

WAYS = (
    "HTTP GET /helloworld/{name}",
    "HTTP GET /v1/shelves/{shelf}/books?page_token=…",
    "HTTP PATCH /v1/{book.name}?update_mask=price.cents",
    "HTTP DELETE /v1/{name}",
    "HTTP POST /v1/{name}:reserve",
    "HTTP PUT /v1/{name}/cover",
    "HTTP GET /v1/{name}/cover",
    "SSE  GET /v1/shelves/{shelf}/books:watch",
    "WS   GET /v1/shelves/{shelf}/chat",
    "gRPC SayHello",
    "gRPC WatchBooks",
    "gRPC Chat",
)
REASONS = (
    "BOOK_CHANGED",
    "BOOK_EXISTS",
    "BOOK_INVALID",
    "BOOK_NOT_FOUND",
    "BOOK_SOLD_OUT",
    "CODEC",
    "COVER_INVALID",
    "COVER_NOT_FOUND",
    "FIELD_MASK",
    "METHOD_NOT_ALLOWED",
    "NAME_MISSING",
    "NOT_FOUND",
    "PAGE_TOKEN",
)

INVITED = {
    "http": "text/html",
    "curl -X PATCH": '"cents":"850"',
    "curl http": "Hello you!",
    "curl 'http": '"nextPageToken":"',
    "curl -N": "text/event-stream",
    "curl -o": "image/png",
}

MAIN = "import sys; from kratos_cli.main import main; sys.exit(main())"


@contextmanager
def demo(
    *arguments: str, temporary: Path, counting: bool = False
) -> Generator[subprocess.Popen[str]]:
    disabled = os.environ.get(plugins.DISABLED, "")
    others = [each for each in disabled.split(",") if each != "kratos.metrics:prometheus"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "TMPDIR": str(temporary),
            "NO_COLOR": "1",
            plugins.DISABLED: ",".join(others) if counting else disabled,
        },
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


def tried(start: str, told: str, *, path: str = "", lines: int = 1) -> str:
    """Run the command that was printed and starts like this, and return what it says."""
    found = re.search(rf"^  ({re.escape(start)}.*{re.escape(path)}.*)$", told, re.MULTILINE)
    assert found is not None, told
    words = shlex.split(found[1])
    url = next(word for word in words if word.startswith("http://"))
    data = words[words.index("-d") + 1].encode() if "-d" in words else None
    verb = words[words.index("-X") + 1] if "-X" in words else None
    request = urllib.request.Request(url, data, method=verb)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as reply:
        said = b"".join(itertools.islice(reply, lines))
        return f"{reply.headers['content-type']} {said.decode('latin-1')}"


def wait_for_end(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 20)[0], "a service outlived the demo"
        os.close(descriptor)


def test_demo_shows_calls_in_every_way_and_cleans_up(tmp_path: Path) -> None:
    with demo(temporary=tmp_path) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == ""
    assert "$ kratos proto bookshop helloworld" in out
    for what in WAYS:
        assert what in out
    for reason in REASONS:
        assert reason in out
    assert re.search(r"↳ bookshop → greeter\s+gRPC SayHello\s+200", out)
    assert "\033[" not in out
    assert "counted" not in out, "no meter is installed, so nobody speaks of one"
    assert list(tmp_path.iterdir()) == []


def test_demo_tells_of_its_figures_where_a_meter_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("kratos_prometheus")
    with demo("--serve", temporary=tmp_path, counting=True) as process:
        told = serving(process)
        counted = dict(re.findall(r"(greeter|bookshop) +(\d+) calls  http://", told))
        assert {"greeter", "bookshop"} == counted.keys()
        assert 'le="+Inf"' in tried("curl http", told, path="/metrics", lines=10_000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 0, err


def test_demo_ends_quietly_when_nobody_reads_on(tmp_path: Path) -> None:
    with demo(temporary=tmp_path) as process:
        assert process.stdout is not None
        while "A greeting" not in process.stdout.readline():
            pass
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert process.returncode == 128 + signal.SIGPIPE, err
    assert err == ""
    assert list(tmp_path.iterdir()) == []


@linux
def test_demo_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    with demo("--serve", temporary=tmp_path) as process:
        told = serving(process)
        for command, answer in INVITED.items():
            assert answer in tried(command, told)
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
