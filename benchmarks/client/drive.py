"""One client in a process of its own: ``drive MODULE SUBJECT CASE ADDRESS SECONDS``.

Prints how many requests were answered, and the seconds of CPU that the process used meanwhile,
in all its threads.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from typing import Any, Final

import uvloop

from benchmarks.client.case import Ask

_IN_FLIGHT: Final = 32
_WARMING: Final = 0.25  # seconds


async def _ask(ask: Ask, end: float) -> int:
    answered = 0
    while time.monotonic() < end:
        await ask()
        answered += 1
    return answered


async def _all(ask: Ask, seconds: float) -> int:
    end = time.monotonic() + seconds
    return sum(await asyncio.gather(*(_ask(ask, end) for _ in range(_IN_FLIGHT))))


async def _drive(rival: Any, subject: str, case: str, address: str, seconds: float) -> None:
    async with rival.SUBJECTS[subject](address) as cases:
        ask = cases[case]
        await _all(ask, min(_WARMING, seconds))
        before = time.process_time()
        answered = await _all(ask, seconds)
        used = time.process_time() - before
    print(json.dumps([answered, used]))


def main(module: str, subject: str, case: str, address: str, seconds: str) -> None:
    """Measure one subject."""
    rival = importlib.import_module(module)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_drive(rival, subject, case, address, float(seconds)))


if __name__ == "__main__":
    main(*sys.argv[1:])
