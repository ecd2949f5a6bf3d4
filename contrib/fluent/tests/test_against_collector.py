"""A collector of OpenTelemetry, whose receiver is an implementation of the protocol by others."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kratos.log import Level
from kratos_fluent import FluentLogger

PATIENCE = 30  # seconds, on a busy machine
MODES = ("packed", "forward", "message")
CONFIGURATION = """
receivers: {fluentforward: {endpoint: "%s"}}
exporters: {debug: {verbosity: detailed}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {logs: {receivers: [fluentforward], exporters: [debug]}}
"""

pytestmark = pytest.mark.service("otelcol")

Writing = Callable[..., FluentLogger]


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def printed(mark: str, log: Path | None = None) -> list[dict[str, str]]:
    """Return the records that hold a text, as the collector has printed them."""
    file = Path(os.environ["KRATOS_TEST_OTELCOL_LOG"]) if log is None else log
    found: list[dict[str, str]] = []
    for part in file.read_text(errors="replace").split("LogRecord #")[1:]:
        if mark not in part:
            continue
        told = dict(re.findall(r"^     -> (.+?): Str\((.*)\)$", part, re.MULTILINE))
        for name in ("Body", "Timestamp"):
            match = re.search(rf"^{name}: (?:Str\()?(.*?)\)?$", part, re.MULTILINE)
            told[name] = "" if match is None else match[1]
        found.append(told)
    return found


@pytest.fixture
def address() -> str:
    return f"tcp://{os.environ['KRATOS_TEST_OTELCOL_FLUENT']}"


@pytest.mark.parametrize("ack", [False, True], ids=["", "ack"])
@pytest.mark.parametrize("mode", MODES)
def test_records_arrive_in_each_mode(writing: Writing, address: str, mode: str, ack: bool) -> None:
    mark = uuid4().hex
    logger = writing(
        address,
        mode=mode,
        ack=ack,
        tag_prefix="shop",
        message_key="message",  # which the collector takes for the body
        now=lambda: 1_700_000_000.123456789,
    )
    for number in range(20):
        logger.log(Level.WARN, "late", {"mark": mark, "number": number, "text": "ünï\n"})
    assert logger.flush(PATIENCE)
    eventually(lambda: len(printed(mark)) >= 20)
    records = printed(mark)
    assert len(records) == 20
    assert {record["number"] for record in records} == set(map(str, range(20)))
    assert {record["fluent.tag"] for record in records} == {"shop.WARN"}
    assert {record["Body"] for record in records} == {"late"}
    # As exact as a number of seconds since the epoch can be.
    times = {record["Timestamp"] for record in records}
    assert times == {"2023-11-14 22:13:20.123456716 +0000 UTC"}


def test_compressed_records_arrive(writing: Writing, address: str) -> None:
    mark = uuid4().hex
    logger = writing(address, ack=True, compress=True)
    for number in range(100):
        logger.log(Level.INFO, "m", {"mark": mark, "number": number})
    assert logger.flush(PATIENCE)
    eventually(lambda: len(printed(mark)) == 100)


def test_awkward_records_arrive(writing: Writing, address: str) -> None:
    mark = uuid4().hex
    for typed in (False, True):
        logger = writing(address, ack=True, typed=typed)
        fields: dict[str, Any] = {
            "mark": mark,
            "deep": {"a": [1, {"b": None}]},
            "half": "\ud800",
            "nul": "a\x00b",
            "": "no name",
            "huge": 1 << 100,
            "nan": float("nan"),
            "long": "x" * 100_000,
        }
        logger.log(Level.ERROR, "m", fields)
        assert logger.flush(PATIENCE)
    eventually(lambda: len(printed(mark)) == 2)


class Collector:
    """One of a test's own, which is killed and started again at the same address."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.log = folder / "log"
        self._configuration = folder / "otelcol.yaml"
        self._configuration.write_text(CONFIGURATION % endpoint)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ready = self._said()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [os.environ["KRATOS_TEST_OTELCOL_SERVER"], "--config", self._configuration],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(lambda: self._said() > ready)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self.kill()

    def _said(self) -> int:
        return self.log.read_text().count("Everything is ready") if self.log.exists() else 0


Start = Callable[[str], Collector]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Start]:
    made: list[Collector] = []

    def make(endpoint: str) -> Collector:
        made.append(Collector(tmp_path, endpoint))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.mark.slow
def test_nothing_that_is_acknowledged_is_lost_when_the_collector_is_killed(
    writing: Writing, collector: Start
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    one = collector(f"127.0.0.1:{port}")
    logger = writing(f"tcp://127.0.0.1:{port}", ack=True, max_retry_wait=0.1)
    for number in range(600):
        logger.log(Level.INFO, "m", {"number": f"n{number};"})
        if number % 200 == 100:
            one.kill()
        if number % 200 == 150:
            one.start()
        time.sleep(0.001)  # so that some are on their way whenever it is killed
    assert logger.flush(PATIENCE)
    assert logger.dropped == 0
    text = one.log.read_text(errors="replace")
    assert [number for number in range(600) if f"n{number};" not in text] == []


@pytest.mark.slow
def test_unix_socket_of_a_collector_takes_them(
    writing: Writing, collector: Start, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    one = collector(f"unix://{path}")
    logger = writing(f"unix://{path}", ack=True)
    logger.log(Level.INFO, "over the socket")
    assert logger.flush(PATIENCE)
    eventually(lambda: bool(printed("over the socket", one.log)))
