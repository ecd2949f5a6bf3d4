"""A service of several workers: what each of them sends adds up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SERVING = re.compile(r"serving HTTP on (http://[^\s\"]+)")
PATIENCE = 60  # seconds, on a busy machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]


@pytest.fixture
def service(agent: Any, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    environment = {
        **os.environ,
        "KRATOS_PLUGINS_DISABLED": "kratos.metrics:otel,kratos.metrics:prometheus",
        "DD_DOGSTATSD_URL": agent.address,
    }
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
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


def test_counts_of_workers_add_up_and_their_gauges_are_told_apart(
    agent: Any, service: tuple[str, subprocess.Popen[bytes]]
) -> None:
    url, process = service
    both = {("worker:0",), ("worker:1",)}
    while {line.tags for line in agent.read() if line.name == "begun"} != both:
        agent.wait()
    calls = 30  # each over a connection of its own, which some worker takes
    for _ in range(calls):
        request = urllib.request.Request(
            f"{url}/kratos.testing/echo",
            json.dumps("hello").encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
    process.terminate()
    assert process.wait(PATIENCE) == 0

    told = agent.read()
    counted = [line for line in told if line.name == "server_requests_code_total"]
    assert sum(line.values[0] for line in counted) == calls
    assert {line.tags for line in counted} == {
        ("kind:http", "operation:/kratos.testing.Echo/Echo", "code:200", "reason:")
    }
    seconds = [line for line in told if line.name == "server_requests_seconds"]
    assert sum(len(line.values) for line in seconds) == calls
