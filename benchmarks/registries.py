"""What registries cost, on real servers: time for a change to arrive, CPU and memory to watch."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from typing import Final

from benchmarks import kubernetes
from benchmarks.measure import Result
from kratos.registry import (
    Keeper,
    RegistrationState,
    Registry,
    ServiceInstance,
    from_url,
    instance_feed,
)
from kratos.watch import Feed

__all__ = ["measured"]

_CHANGES: Final = 100  # a round
_SERVICES: Final = 100
_INSTANCES: Final = 10  # of each
_IDLE: Final = 10.0  # seconds
_AT_ONCE: Final = 20  # registrations that are on their way
_PATIENCE: Final = 60.0
_UNITS: Final = {
    "list-1000": "ms",
    "list-1000-cpu": "cpu_ms",
    "watch-1000": "cpu_ms_per_second",
    "watch-1000-memory": "KiB",
}

# Where a back end is, by the variable in which `.ci/services` says so, and its URL. A ttl that is
# longer than the bench, so that what is measured are changes that are told.
_URLS: Final[Mapping[str, Callable[[str], str]]] = {
    "KRATOS_TEST_CONSUL": lambda at: (
        f"consul://{_host(at)}?health_check=false&health_check_interval=30s"
    ),
    "KRATOS_TEST_ETCD": lambda at: f"etcd://{_host(at)}/bench?ttl=60s",
    "KRATOS_TEST_NACOS": lambda at: f"nacos://{_host(at)}",
    "KRATOS_TEST_REDIS": lambda at: f"{at}?ttl=60s",
    "KRATOS_TEST_ZOOKEEPER": lambda at: f"zookeeper://{_host(at)}/bench",
}


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure each registry whose server's address is known.

    Args:
        rounds: How many count; the first warms up.
        seconds: Not of interest: each case takes as long as it takes.
    """
    del seconds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        urls = {"file": f"file://{folder}"}
        for variable, made in _URLS.items():
            if variable in os.environ:
                urls[variable.rpartition("_")[2].lower()] = made(os.environ[variable])
            else:
                print(f"left out: there is no {variable}; see .ci/services", file=sys.stderr)
        if kubernetes.PROGRAM in os.environ:
            urls["kubernetes"] = stack.enter_context(kubernetes.serving())
            kubernetes.make_pods(urls["kubernetes"], ["changes"])
        else:
            print(f"left out: there is no {kubernetes.PROGRAM}; see .ci/services", file=sys.stderr)
        results: dict[tuple[str, str], Result] = {}
        for subject, url in urls.items():
            for number in range(rounds + 1):
                for (case, unit), value in asyncio.run(_round(url)).items():
                    if number:
                        empty = Result("registries", case, subject, unit=unit)
                        results.setdefault((case, subject), empty).values.append(value)
            print(f"{subject} done", file=sys.stderr)
    return list(results.values())


async def _round(url: str) -> dict[tuple[str, str], float]:
    return {**await _changes(url), **await _crowd(url)}


# --- changes


async def _changes(url: str) -> dict[tuple[str, str], float]:
    """Register and withdraw an instance again and again, and time how long the news takes."""
    taken: dict[str, list[float]] = {"register": [], "deregister": []}
    async with _registry(_of_pod(url, "changes")) as publisher, _registry(url) as observer:
        name = f"bench-{time.time_ns()}"
        feed = instance_feed(observer, name)
        try:
            await feed.first()
            for number in range(_CHANGES):
                instance = ServiceInstance(
                    id=f"{number}", name=name, endpoints=("grpc://127.0.0.1:9000",)
                )
                began = time.perf_counter()
                registration = await publisher.register(instance)
                await _until(feed, 1)
                taken["register"].append((time.perf_counter() - began) * 1000)
                began = time.perf_counter()
                await registration.withdraw()
                await _until(feed, 0)
                taken["deregister"].append((time.perf_counter() - began) * 1000)
        finally:
            await feed.aclose()
    told: dict[tuple[str, str], float] = {}
    for case, values in taken.items():
        percent = quantiles(values, n=100)
        told[f"{case}-p50", "ms"] = percent[49]
        told[f"{case}-p99", "ms"] = percent[98]
    return told


async def _until(feed: Feed[Sequence[ServiceInstance]], count: int) -> None:
    """Return when the feed knows that many instances."""
    async with asyncio.timeout(_PATIENCE):
        async for instances in feed.values():
            if len(instances) == count:
                return


# --- crowd


async def _crowd(url: str) -> dict[tuple[str, str], float]:
    """List and watch a thousand instances, which one process keeps registered, in another.

    Both are fresh: a process that has done this before has the memory for it.
    """
    prefix = f"crowd-{time.time_ns()}"
    keeping = await _run("keep", url, prefix)
    try:
        if (ready := await _line(keeping)) != "ready":
            raise SystemExit(f"the process that registers says {ready!r}")
        watching = await _run("watch", url, prefix)
        told: dict[str, float] = json.loads(await _line(watching))
        await watching.communicate(b"")
    finally:
        await keeping.communicate(b"")  # ends its standard input, which ends it
    return {(case, unit): told[case] for case, unit in _UNITS.items()}


async def _run(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.registries", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def _watch(url: str, prefix: str) -> None:
    """Print what listing and watching takes, as one object."""
    async with _registry(url) as registry:
        feed = instance_feed(registry, f"{prefix}-none")
        await feed.first()  # whatever a connection takes is not of interest
        await feed.aclose()
        print(json.dumps(await _watched(registry, prefix)))


async def _watched(registry: Registry, prefix: str) -> dict[str, float]:
    feeds = [instance_feed(registry, f"{prefix}-{at}") for at in range(_SERVICES)]
    gc.collect()
    memory, began, used = _resident(), time.perf_counter(), time.process_time()
    try:
        await asyncio.gather(*(_until(feed, _INSTANCES) for feed in feeds))
        listed, cpu = time.perf_counter() - began, time.process_time() - used
        gc.collect()
        more = _resident() - memory
        used = time.process_time()
        await asyncio.sleep(_IDLE)
        idle = (time.process_time() - used) / _IDLE
    finally:
        await asyncio.gather(*(feed.aclose() for feed in feeds))
    values = (listed * 1000, cpu * 1000, idle * 1000, more / 1024)
    return dict(zip(_UNITS, values, strict=True))


def _resident() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


async def _keep(url: str, prefix: str) -> None:
    """Keep a thousand instances registered until standard input ends."""
    gate = asyncio.Semaphore(_AT_ONCE)
    instances = [
        ServiceInstance(
            id=f"{service}-{number}",
            name=f"{prefix}-{service}",
            version="v1.0.0",
            metadata={"zone": "a"},
            endpoints=(f"grpc://10.0.{service}.{number}:9000", "http://10.0.0.1:8000"),
        )
        for service in range(_SERVICES)
        for number in range(_INSTANCES)
    ]
    pods = url.startswith("kubernetes:")
    if pods:  # an instance is a pod there, and has a registry of its own
        names = [f"{prefix}-{instance.id}" for instance in instances]
        await asyncio.to_thread(kubernetes.make_pods, url, names)
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(_registry(url))
        keepers: list[Keeper] = []
        for instance in instances:
            registry = shared
            if pods:
                own = _of_pod(url, f"{prefix}-{instance.id}")
                registry = await stack.enter_async_context(_registry(own))
            keepers.append(Keeper(registry, instance, timeout=_PATIENCE))

        async def each(doing: Callable[[Keeper], Coroutine[None, None, None]]) -> None:
            async def one(keeper: Keeper) -> None:
                async with gate:
                    await doing(keeper)

            await asyncio.gather(*map(one, keepers))

        await each(lambda keeper: keeper.start(require=True))
        assert all(keeper.status.state is RegistrationState.HELD for keeper in keepers)
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await each(Keeper.aclose)


@asynccontextmanager
async def _registry(url: str) -> AsyncGenerator[Registry]:
    registry = from_url(url)
    try:
        yield registry
    finally:
        await registry.aclose()


def _of_pod(url: str, name: str) -> str:
    return f"{url}&pod={name}" if url.startswith("kubernetes:") else url


def _host(address: str) -> str:
    return address.rpartition("//")[2].partition("/")[0]


if __name__ == "__main__":
    part = {"keep": _keep, "watch": _watch}[sys.argv[1]]
    asyncio.run(part(*sys.argv[2:]))
