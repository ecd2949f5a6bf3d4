"""The soak runs, and its judgement sees what grows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.soak.cancelled import cancelled
from tests.soak.judge import ALLOWED, Sample, growth, troubles
from tests.soak.large import WAYS, large
from tests.soak.load import LOADS

ROOT = Path(__file__).parents[2]
CALM = Sample(at=-1.0, rss=50 << 20, fds=20, tasks=10)


def samples(*sizes: int) -> list[Sample]:
    return [Sample(at=float(at), rss=rss, fds=50, tasks=40) for at, rss in enumerate(sizes)]


def test_growth_is_that_of_the_second_half() -> None:
    warm = [at << 20 for at in range(10)]
    assert growth(samples(*warm, *[10 << 20] * 10)) == 0
    assert growth(samples(*[0] * 10, *warm)) == pytest.approx(9 << 20)


def test_growth_is_not_misled_by_one_sample() -> None:
    flat = [50 << 20] * 100
    flat[-1] += 20 << 20
    assert growth(samples(*flat)) < ALLOWED


def test_what_stays_as_it_was_has_no_troubles() -> None:
    assert troubles(CALM, samples(*[60 << 20] * 20), CALM) == []


def test_what_grows_or_stays_is_told() -> None:
    after = Sample(at=-1.0, rss=0, fds=23, tasks=11)
    assert troubles(CALM, samples(*(at << 20 for at in range(20))), after) == [
        "memory grew by 9.0 MiB in the second half",
        "3 file descriptors stay open",
        "1 tasks do not end",
    ]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
@pytest.mark.parametrize(
    ("options", "loads"), [([], set(LOADS)), (["--gateway"], set(LOADS) - {"grpcio"})]
)
def test_soak_prints_one_object_with_every_load(options: list[str], loads: set[str]) -> None:
    command = [sys.executable, "-m", "tests.soak", "--json", "--seconds=2", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert set(found["answered"]) == loads
    assert min(found["answered"].values()) > 0
    # Of memory two seconds tell nothing.
    assert [trouble for trouble in found["troubles"] if "memory" not in trouble] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
@pytest.mark.parametrize(
    "kind",
    [
        "grpc-server-stream",
        "grpc-client-stream",
        "grpc-bidi-stream",
        "grpcio-server-stream",
        "grpcio-client-stream",
        "grpcio-bidi-stream",
        "sse",
        "websocket",
    ],
)
def test_streams_that_their_clients_cancel_leave_nothing_at_the_server(kind: str) -> None:
    found = cancelled(kind, streams=3_400)
    assert found["troubles"] == []
    assert found["calls"]["after"] == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
@pytest.mark.parametrize("way", list(WAYS))
def test_stream_with_a_slow_reader_is_held_up_by_it(way: str) -> None:
    found = large(way, mib=64)
    assert found["troubles"] == []
