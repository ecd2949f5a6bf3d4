"""Eight processes offer five times the rate, with Redis and with an interruption of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.service("redis"), pytest.mark.slow]

PROCESSES = 8
RATE = 200
BURST = 40

Offer = Callable[..., "Offering"]


class Offering:
    """Processes that have begun to offer calls, at the same time."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self._processes = processes
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        self.begin = time.time() + 0.1
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{self.begin}\n")
            process.stdin.flush()

    def wait_for(self, word: str) -> None:
        """Wait until each of them has said it."""
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{word}\n"

    def results(self) -> dict[str, Any]:
        """Return the sums of what they tell, and how late the latest was."""
        told = [json.loads(process.communicate()[0].split("\n")[-2]) for process in self._processes]
        assert [process.returncode for process in self._processes] == [0] * PROCESSES
        sums = {name: sum(one[name] for one in told) for name in told[0]}
        return sums | {"late": max(0, *(one["late"] for one in told))}


@pytest.fixture
def offer(prefix: str) -> Iterator[Offer]:
    processes: list[subprocess.Popen[str]] = []

    def start(url: str, *, seconds: float, timeout: float) -> Offering:
        options = {
            "prefix": prefix,
            "rate": RATE,
            "burst": BURST,
            "processes": PROCESSES,
            "offered": 5 * RATE,
            "timeout": timeout,
            "seconds": seconds,
        }
        program = [sys.executable, str(Path(__file__).with_name("offering.py"))]
        processes.extend(
            subprocess.Popen(
                [*program, url, json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(PROCESSES)
        )
        return Offering(processes)

    yield start
    for process in processes:
        process.kill()
        with process:
            pass  # closes its pipes and waits for it


@pytest.mark.parametrize("seconds", [3, pytest.param(20, id="20 seconds")])
def test_processes_together_are_admitted_what_the_limit_says(
    offer: Offer, url: str, seconds: int
) -> None:
    # With the patience to wait for a server on a crowded machine; outages have tests of their own.
    told = offer(url, seconds=seconds, timeout=10.0).results()

    expected = BURST + RATE * seconds
    assert told["unanswered"] == 0
    assert told["calls"] == pytest.approx(5 * RATE * seconds, abs=PROCESSES)
    assert 0.99 * expected <= told["admitted"] <= 1.01 * expected + RATE * told["late"]


def test_outage_ends_no_process_and_lets_through_no_more_than_documented(
    offer: Offer, own_server: Any
) -> None:
    offering = offer(own_server.url, seconds=6, timeout=0.5)
    offering.wait_for("answered")
    own_server.stop()
    offering.wait_for("unanswered")
    own_server.start()
    offering.wait_for("answered again")
    told = offering.results()

    # One burst at the start, one of the local limiters, one of the Redis that came back empty; and
    # both sides count until the last process has noticed: for the timeout and the back-off.
    assert told["admitted"] <= 3 * BURST + RATE * (6 + told["late"] + 0.5 + 0.2)
    assert told["admitted"] >= 0.8 * RATE * 6
