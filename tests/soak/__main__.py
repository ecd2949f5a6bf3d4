"""``./hatchw run soak [--seconds N] [--json] [load...]``: a server under all kinds of load at once.

Samples its memory, file descriptors and tasks. Fails if memory grows in the second half, or if
descriptors or tasks stay when the load has gone. With ``--gateway`` the load passes a gateway, and
that is what is judged. ``soak cancelled`` and ``soak large`` are others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from tests.soak import cancelled, large
from tests.soak.judge import Sample, growth, troubles
from tests.soak.load import LOADS
from tests.soak.look import sample

__all__ = ["main", "soak"]

_EVERY: Final = 0.5  # seconds between two samples
_STARTING: Final = 120.0  # seconds for the loads to end after their time
_OTHERS: Final = {"cancelled": cancelled.main, "large": large.main}
_LEAVING: Final = 15.0  # seconds for what a load has left to go away


def soak(kinds: Sequence[str], *, seconds: float, gateway: bool = False) -> dict[str, Any]:
    """Put a server under load and return what became of it.

    Args:
        kinds: Kinds of load, all at once.
        seconds: For how long.
        gateway: Whether a gateway before the server is judged in its place.
    """
    with _running("tests.soak.service") as (pid, addresses):
        if not gateway:
            return _soak(pid, addresses, kinds, seconds)
        with _running("tests.soak.gateway", addresses["http"]) as (before, passed):
            return {**_soak(before, passed, kinds, seconds), "soak": "gateway"}


@contextmanager
def _running(module: str, *arguments: str) -> Generator[tuple[int, dict[str, str]]]:
    """Run a server; yield its process, and the addresses that it tells."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            yield server.pid, json.loads(server.stdout.readline())
        finally:
            server.terminate()
            server.wait(20)


def _soak(
    pid: int, addresses: dict[str, str], kinds: Sequence[str], seconds: float
) -> dict[str, Any]:
    _load(kinds, addresses, 1.0)  # what is made once is made
    own = addresses.get("tasks", addresses["http"])
    before = _settled(pid, own)
    started = time.monotonic()
    during: list[Sample] = []

    def look() -> None:
        at = time.monotonic() - started
        if at < seconds:
            during.append(sample(pid, own, at))

    answered = _load(kinds, addresses, seconds, look)
    after = _settled(pid, own, like=before)
    fds, tasks = [each.fds for each in during], [each.tasks for each in during]
    return {
        "soak": "server",
        "seconds": seconds,
        "answered": answered,
        "rss_before": before.rss,
        "rss_middle": during[len(during) // 2].rss,
        "rss_end": during[-1].rss,
        "rss_grown_in_second_half": round(growth(during)),
        "fds": {"before": before.fds, "most": max(fds), "after": after.fds},
        "tasks": {"before": before.tasks, "most": max(tasks), "after": after.tasks},
        "troubles": troubles(before, during, after),
    }


def _load(
    kinds: Sequence[str],
    addresses: dict[str, str],
    seconds: float,
    look: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Run all loads, looking at the server meanwhile; return how much each has done."""
    loads: dict[str, subprocess.Popen[str]] = {}
    for kind in kinds:
        address = addresses["grpcio" if kind == "grpcio" else "http"]
        command = [sys.executable, "-m", "tests.soak.load", kind, address, f"{seconds:g}"]
        loads[kind] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + seconds + _STARTING
    try:
        while any(load.poll() is None for load in loads.values()) and time.monotonic() < end:
            time.sleep(_EVERY)
            look()
        return {kind: int(load.communicate(timeout=1)[0] or -1) for kind, load in loads.items()}
    finally:
        for load in loads.values():
            load.kill()
            load.wait()


def _settled(pid: int, address: str, *, like: Sample | None = None) -> Sample:
    """Return a sample once nothing changes any more, or what stays is no more than before."""
    end = time.monotonic() + _LEAVING
    last: Sample | None = None
    while True:
        now = sample(pid, address, -1.0)
        same = last is not None and (now.fds, now.tasks) == (last.fds, last.tasks)
        fits = like is None or (now.fds <= like.fds and now.tasks <= like.tasks)
        if (same and fits) or time.monotonic() > end:
            return now
        last = now
        time.sleep(_EVERY)


def main(arguments: Sequence[str]) -> int:
    """Soak a server; return 1 if it did not stay as it was."""
    if arguments and arguments[0] in _OTHERS:
        return _OTHERS[arguments[0]](arguments[1:])
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("loads", nargs="*", metavar="load", help=" ".join(LOADS))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--gateway", action="store_true", help="before the server; judge that")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    kinds: list[str] = options.loads or [
        each for each in LOADS if not (options.gateway and each == "grpcio")
    ]
    unknown = [kind for kind in kinds if kind not in LOADS]
    if unknown:
        parser.error(f"loads are {', '.join(LOADS)}, not {', '.join(unknown)}")
    if options.gateway and "grpcio" in kinds:
        parser.error("grpcio is another server, which no gateway is before")
    found = soak(kinds, seconds=options.seconds, gateway=options.gateway)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:26} {value}")
    return 1 if found["troubles"] or min(found["answered"].values()) <= 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
