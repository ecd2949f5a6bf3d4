"""Workers that are real processes: one answer for all, whatever happens to them."""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics_parser

from kratos.registry import from_url, get_service

PATIENCE = 90  # seconds, on a busy machine
BOUND = 1.0  # seconds that a supervisor waits for its workers
SLACK = 8.0  # seconds, on a busy machine
BUILDS = 3  # of two workers, and of their supervisor, which builds the application for its options
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
DEBUG = re.compile(r"serving HTTP on (http://\S+)")
CALLS = "server_requests_code_total"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]


class Crew:
    """A supervisor with its workers, as a scraper and as a client see it."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.calls = 0
        self.debug = ""
        self.url = ""

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pids(self) -> list[int]:
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def call(self, count: int) -> None:
        """Call by connections of their own, which the kernel spreads over the workers."""
        for _ in range(count):
            request = urllib.request.Request(f"{self.url}/kratos.testing/echo", b'"hello"')
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request, timeout=30) as reply:
                assert reply.status == 200
            self.calls += 1

    def scrape(self, accept: str = "") -> str:
        request = urllib.request.Request(f"{self.debug}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return str(reply.read().decode())

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the series of a name that have these labels."""
        return value(self.scrape(), name, **labels)

    def until(self, holds: Callable[[], bool], why: str) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, f"not within {PATIENCE} s: {why}\n{self.log}"
            time.sleep(0.05)

    def until_served(self, count: int) -> None:
        """Return when so many workers have served, those that have ended included."""
        self.until(lambda: self.log.count("worker serves") == count, f"{count} have served")


def value(text: str, name: str, **labels: str) -> float:
    """Return the sum of the series of a name that have these labels, soon also of megabytes."""
    wanted = [f'{label}="{told}"' for label, told in labels.items()]
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return sum(float(number) for told, number in found if all(each in told for each in wanted))


@contextmanager
def crew(folder: Path, *, workers: int = 2, wide: int = 0) -> Generator[Crew]:
    """Run a supervisor for the block; it has ended well afterwards."""
    registry = f"file://{folder / 'registry'}"
    temporary = folder / "temporary"
    temporary.mkdir()
    with (folder / "log").open("w") as log:
        script = Path(__file__).with_name("crew.py")
        process = subprocess.Popen(
            [sys.executable, script, registry, str(workers), str(wide)],
            env={
                **os.environ,
                "KRATOS_PLUGINS_DISABLED": "kratos.metrics:datadog,kratos.metrics:otel",
                "TMPDIR": str(temporary),
            },
            stdout=log,
            stderr=log,
        )
    made = Crew(process, folder)
    try:
        made.until(lambda: DEBUG.search(made.log) is not None, "it listens")
        found = DEBUG.search(made.log)
        assert found is not None
        made.debug = found[1]
        made.until(lambda: " is held at " in made.log, "it is registered")
        made.url = asyncio.run(url_of(registry))
        yield made
        process.terminate()
        assert process.wait(60) == 0, made.log
        assert list(temporary.iterdir()) == [], "no files are written"
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def url_of(registry: str) -> str:
    (instance,) = await get_service(from_url(registry), "crew")
    return instance.endpoints[0]


def test_one_scrape_has_the_sum_of_both_workers_and_their_traces(tmp_path: Path) -> None:
    with crew(tmp_path) as both:
        both.until(lambda: spread(both), "both workers have served")
        text = both.scrape()
        assert value(text, CALLS, code="200") == both.calls
        assert value(text, "server_requests_seconds_count") == both.calls
        exemplars = [
            sample.exemplar.labels
            for family in openmetrics_parser.text_string_to_metric_families(  # type: ignore[no-untyped-call]
                both.scrape(OPENMETRICS)
            )
            for sample in family.samples
            if sample.exemplar is not None and sample.name == CALLS
        ]
        assert [set(labels) for labels in exemplars] == [{"trace_id", "span_id"}]


def spread(both: Crew) -> bool:
    """Call once more, and tell whether each of two workers has had a call."""
    both.call(1)
    text = both.scrape()
    shares = [value(text, "crew_served", worker=str(number)) for number in range(2)]
    assert sum(shares) == both.calls
    return all(shares)


def test_nothing_grows_over_many_restarts_and_no_call_is_forgotten(tmp_path: Path) -> None:
    """Of ``KRATOS_TEST_RESTARTS``, in five rounds; each costs half a second of a core."""
    rounds = 5
    workers = math.ceil(int(os.environ.get("KRATOS_TEST_RESTARTS", "20")) / rounds)
    seen: list[tuple[int, int, int]] = []
    with crew(tmp_path, workers=workers) as many:
        for number in range(1, rounds + 1):
            many.call(20)
            many.scrape()  # a killed worker takes along what nobody has asked it for
            for pid in many.pids:
                os.kill(pid, signal.SIGKILL)
            many.until_served(workers * (number + 1))
            text = many.scrape()
            assert value(text, "kratos_workers_started_total") == workers * (number + 1)
            assert value(text, "kratos_workers_ready") == workers
            assert value(text, CALLS, code="200") == many.calls
            memory = value(text, "process_resident_memory_bytes", worker="host")
            files = value(text, "process_open_fds", worker="host")
            seen.append((len(text.splitlines()), int(files), int(memory)))
        assert many.log.count("worker ended by itself") == workers * rounds
    assert len({lines for lines, _, _ in seen}) == 1, seen
    opened = [each for _, each, _ in seen]
    assert max(opened) - min(opened) <= 2, seen  # a scrape itself has one
    assert seen[-1][2] - seen[0][2] < 4 * 1024 * 1024, seen


def test_scrapes_go_on_while_workers_are_replaced_and_no_sum_falls(tmp_path: Path) -> None:
    with crew(tmp_path) as both:
        both.call(20)
        sums: list[float] = []
        over = threading.Event()

        def scrape() -> None:
            while not over.is_set():
                sums.append(both.value(CALLS, code="200"))

        scraping = threading.Thread(target=scrape)
        scraping.start()
        try:
            both.process.send_signal(signal.SIGHUP)
            both.until(lambda: "workers are replaced" in both.log, "they are replaced")
            both.call(20)
        finally:
            over.set()
            scraping.join()
        assert both.value("kratos_workers_started_total") == 4
        assert both.value(CALLS, code="200") == 40
        assert sums == sorted(sums)
        assert sums[0] == 20


def test_scrape_of_a_worker_that_hangs_is_bounded_in_time_and_loses_nothing(
    tmp_path: Path,
) -> None:
    with crew(tmp_path) as both:
        both.until(lambda: spread(both), "both workers have served")
        stopped = both.pids[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            for _ in range(3):
                begin = time.monotonic()
                text = both.scrape()
                took = time.monotonic() - begin
                assert BOUND <= took < BOUND + SLACK
                assert value(text, CALLS, code="200") == both.calls
        finally:
            os.kill(stopped, signal.SIGCONT)
        both.until(lambda: quick(both), "it answers as before")
        assert both.value(CALLS, code="200") == both.calls


def quick(both: Crew) -> bool:
    begin = time.monotonic()
    both.scrape()
    return time.monotonic() - begin < BOUND


def test_scrapers_that_do_not_read_are_cut_off_and_keep_nobody_from_it(tmp_path: Path) -> None:
    with crew(tmp_path, wide=5000) as wide:
        address = wide.debug.removeprefix("http://").rsplit(":", 1)
        request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        idle: list[socket.socket] = []
        try:
            for number in range(40):
                peer = socket.create_connection((address[0], int(address[1])))
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.sendall(request * 8 if number % 2 else request)
                idle.append(peer)
            begin = time.monotonic()
            text = wide.scrape()
            assert value(text, "wide_seconds_count") == BUILDS * 5000
            assert time.monotonic() - begin < SLACK + PATIENCE / 3
            wide.until(
                lambda: wide.value("process_open_fds", worker="host") < 40, "they are cut off"
            )
        finally:
            for peer in idle:
                peer.close()


def test_series_without_end_are_bounded_in_each_worker_and_told_in_the_log(
    tmp_path: Path,
) -> None:
    with crew(tmp_path, wide=10_050) as wide:
        text = wide.scrape()
        assert value(text, "wide_seconds_count", number="other") == BUILDS * 50
        assert text.count("wide_seconds_count{") == 10_001
        told = [line for line in wide.log.splitlines() if "too many series" in line]
        assert len(told) == BUILDS
        assert all("wide_seconds" in line and "10000" in line for line in told)
