"""A real server that takes events as Sentry does, and a service of several workers."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

SERVING = re.compile(r"serving HTTP on (http://[^\s\"]+)")
PATIENCE = 60  # seconds, on a busy machine

pytestmark = [
    pytest.mark.service("bugsink"),
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]


def stored(mark: str) -> list[dict[str, Any]]:
    """Return the events that Bugsink has stored and that hold a text."""
    file = Path(os.environ["KRATOS_TEST_BUGSINK_EVENTS"])
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base:
        rows = base.execute("select data from events_event").fetchall()
    return [json.loads(data) for (data,) in rows if mark in data]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    environment = {**os.environ, "SENTRY_DSN": os.environ["KRATOS_TEST_BUGSINK"]}
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("shop.py")],
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        end = time.monotonic() + PATIENCE
        while not (found := SERVING.search(log.read_text(errors="replace"))):
            assert time.monotonic() < end, log.read_text(errors="replace")
            assert process.poll() is None, log.read_text(errors="replace")
            time.sleep(0.05)
        yield found[1], process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


def post(url: str, word: str, **headers: str) -> int:
    request = urllib.request.Request(
        f"{url}/kratos.testing/echo",
        json.dumps(word).encode(),
        {"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_what_waits_when_a_service_stops_is_stored(
    service: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, process = service
    mark = uuid4().hex
    trace = uuid4().hex
    told = {"x-request-id": mark, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    calls = 6  # each over a connection of its own, which some worker takes
    for _ in range(calls):
        assert post(url, "crash", authorization="Bearer hunter2hunter2", **told) == 500
    assert post(url, "fail", **told) == 409
    process.terminate()
    assert process.wait(PATIENCE) == 0

    events = stored(mark)
    assert len(events) == calls
    for event in events:
        assert event["transaction"] == "/kratos.testing.Echo/Echo"
        assert event["release"] == "shop@1.2.0"
        assert event["exception"]["values"][-1]["type"] == "RuntimeError"
        tags = event["tags"]
        assert tags["request_id"] == mark
        assert tags["component"] == "http"
        assert tags["code"] == "500"
        assert tags["worker"] in ("0", "1")
        assert event["contexts"]["trace"]["trace_id"] == trace
        assert event["request"]["url"] == f"{url}/kratos.testing/echo"
        assert event["request"]["method"] == "POST"
        assert "hunter2" not in json.dumps(event)
