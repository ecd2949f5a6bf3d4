"""Time all subjects of a case in turn, as the least of many short samples.

A sample of one millisecond is shorter than a turn of the scheduler, so on a shared machine many of
them are undisturbed, and the least says what the code needs. Subjects alternate.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import pkgutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from inspect import isawaitable
from time import perf_counter_ns
from typing import Any, Final

from benchmarks.aegis import rivals
from benchmarks.aegis.case import Kept, Loop, Timed
from benchmarks.measure import Result

__all__ = ["measured"]

_SAMPLE: Final = 1_000_000  # nanoseconds
_SAMPLES: Final = 4  # in a row
_FULL: Final = 2.0  # seconds per round and case that make a full measurement
_WEIGHED: Final = 20_000  # keys


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure everything; ``seconds`` for each subject in each round, or a short try of it all."""
    found = list(_rivals())
    passes = max(1, int(10 * seconds / _FULL))
    results = asyncio.run(_timed(found, rounds=rounds, passes=passes))
    results += [_weighed(kept) for rival in found for kept in rival.keepers()]
    return [*results, *_offered(int(10_000_000 * min(1.0, seconds / _FULL)))]


def _rivals() -> Iterator[Any]:
    """Yield the modules, one for each rival; one whose package is missing is named."""
    for found in pkgutil.iter_modules(rivals.__path__):
        try:
            yield importlib.import_module(f"{rivals.__name__}.{found.name}")
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] in {"aegis", "benchmarks"}:
                raise  # that is ours
            print(f"left out {found.name}: {error}", file=sys.stderr)


async def _timed(found: Sequence[Any], *, rounds: int, passes: int) -> list[Result]:
    timed: list[Timed] = [each for rival in found for each in rival.loops()]  # some need a loop
    results = [Result("aegis", each.case, each.subject, unit="ns_per_call") for each in timed]
    calls = [await _calls(each.loop) for each in timed]
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            await _round(timed, results, calls, passes)
            print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    finally:
        gc.enable()
    return results


async def _round(
    timed: Sequence[Timed], results: Sequence[Result], calls: Sequence[int], passes: int
) -> None:
    """Add one value to each result, its least, from some passes through all subjects."""
    for number in range(passes):
        for each, result, n in zip(timed, results, calls, strict=True):
            value = min([await _sample(each.loop, n) for _ in range(_SAMPLES)]) / n
            if number == 0:
                result.values.append(value)
            result.values[-1] = min(result.values[-1], value)
            result.rate = max(result.rate, 1e9 / value)
        gc.collect()


async def _calls(loop: Loop) -> int:
    """Return how many calls make a sample."""
    n = 8
    while await _sample(loop, n) < _SAMPLE:
        n *= 2
    return max(1, n // 2)


async def _sample(loop: Loop, n: int) -> int:
    start = perf_counter_ns()
    awaiting = loop(n)
    if isawaitable(awaiting):
        await awaiting
    return perf_counter_ns() - start


def _weighed(kept: Kept) -> Result:
    """Return what a key costs in memory, beside its own text."""
    keys = [f"user:{number:08}" for number in range(_WEIGHED)]
    kept.fill(keys[:10])  # what is made once
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    held = kept.fill(keys)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del held
    result = Result("aegis", kept.case, kept.subject, unit="bytes_per_key")
    result.values.append((after - before) / _WEIGHED)
    return result


def _offered(count: int) -> Iterator[Result]:
    """Yield by how much a process grows while it is offered so many different keys."""
    case = f"keys-{count // 1_000_000}m" if count >= 1_000_000 else f"keys-{count}"
    command = [sys.executable, "-m", "benchmarks.aegis.offer", str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    for line in done.stdout.splitlines():
        subject, grown = json.loads(line)
        result = Result("aegis", case, subject, unit="mb_grown")
        result.values.append(grown)
        yield result
