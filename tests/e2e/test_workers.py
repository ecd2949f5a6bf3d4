"""Several workers behind one address: what is asked of them is answered, whatever ends."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from kratos import Client, Error
from kratos.registry import ServiceInstance, from_url, get_service
from kratos.testing.echo import ECHO, text
from kratos_grpc import GrpcConnector

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]

SCRIPT: Final = Path(__file__).with_name("worker_service.py")
CONNECTIONS: Final = 64
ANY: Final = "127.0.0.1:0"
WAYS = [("http", "grpcio"), ("grpc", "grpcio"), ("grpc", "kratos")]  # and the engine of gRPC
REPEATABLE: Final = dataclasses.replace(ECHO, idempotent=True)


class Service:
    """A supervisor and its workers, as a program that started them sees them."""

    def __init__(self, process: asyncio.subprocess.Process, registry: str) -> None:
        self.process = process
        self.registry = registry
        self.workers: list[int] = []  # those that serve, in the order in which they began to
        self.heard: Counter[str] = Counter()

    async def hear(self) -> str:
        """Return the next line of any of its processes."""
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode().strip()
        word, _, pid = line.partition(" ")
        if word == "serving":
            self.workers.append(int(pid))
        elif word == "stopped":
            self.workers.remove(int(pid))
        self.heard[word] += 1
        return line

    async def until(self, word: str, count: int) -> None:
        while self.heard[word] < count:
            assert await self.hear(), f"all processes ended before {word} was heard {count} times"

    async def told(self, text: str) -> str:
        """Return the rest of the first line of the supervisor's log that has a text."""
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            if text in line:
                return line.partition(text)[2]
        raise AssertionError(f"the log ended without {text!r}")

    async def instances(self, count: int) -> list[ServiceInstance]:
        """Return what is in the registry when there is so much."""
        watcher = await from_url(self.registry).watch("held")
        try:
            seen = await watcher.read()
            while len(seen.value) != count:
                seen = await watcher.changed(seen.token) or await watcher.read()
            return list(seen.value)
        finally:
            await watcher.aclose()

    async def endpoint(self, scheme: str = "http") -> str:
        (instance,) = await self.instances(1)
        return next(url for url in instance.endpoints if url.startswith(scheme))

    async def left(self) -> str:
        """Return the last lines, when all of its processes have ended: they share a pipe."""
        assert self.process.stdout is not None
        return (await self.process.stdout.read()).decode()

    async def result(self) -> tuple[int, str]:
        """Return exit code and log, when all of its processes have ended."""
        _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def service(tmp_path: Path, **options: Any) -> AsyncGenerator[Service]:
    registry = f"file://{tmp_path / 'registry'}"
    options.setdefault("grpc", "")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, SCRIPT, registry, json.dumps(options)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    made = Service(process, registry)
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        _, errors = await process.communicate()  # the end of the workers, too
        sys.stderr.write(errors.decode())


async def exchange(url: str, request: bytes) -> bytes:
    """Send a request on a connection of its own and return the body of the answer."""
    host, _, port = url.partition("://")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    return body


async def ask(url: str, word: str = "who") -> int:
    """Return which process answered."""
    body = json.dumps(word).encode()
    answer = await exchange(
        url,
        b"POST /kratos.testing/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body),
    )
    return int(json.loads(answer))


def where(transport: str) -> str:
    """Return the address for gRPC; what a test does not use would only slow its start."""
    return ANY if transport == "grpc" else ""


def connector_of(transport: str, engine: Any) -> Any:
    """Return what reaches workers over a transport; gRPC on an engine."""
    return GrpcConnector(engine=engine) if transport == "grpc" else transport


async def callers(
    held: Service, transport: str, stack: AsyncExitStack, engine: Any = "grpcio"
) -> list[Client]:
    """Return clients, of which each worker has at least one."""
    await held.instances(1)
    connector = connector_of(transport, engine)
    made: list[Client] = []
    reached: set[int] = set()
    while reached != set(held.workers):
        client = Client(
            "discovery:///held", transport=connector, discovery=held.registry, timeout=50
        )
        made.append(await stack.enter_async_context(client))
        reached.add(int((await client.unary(ECHO, text("who"))).value))
    return made


async def test_both_workers_serve_and_the_host_is_registered_once(tmp_path: Path) -> None:
    async with service(tmp_path) as held:
        url = await held.endpoint()
        await held.until("serving", 2)
        answers = await asyncio.gather(*(ask(url) for _ in range(CONNECTIONS)))
        assert set(answers) == set(held.workers)


@pytest.mark.parametrize("engine", ["grpcio", "kratos"])
async def test_both_workers_serve_grpc(tmp_path: Path, engine: str) -> None:
    options = {"grpc": ANY, "engine": engine}
    async with service(tmp_path, **options) as held, AsyncExitStack() as stack:
        await held.until("serving", 2)
        assert len(await callers(held, "grpc", stack, engine)) >= 2


async def test_connections_that_wait_for_a_killed_worker_are_answered_by_its_successor(
    tmp_path: Path,
) -> None:
    async with service(tmp_path) as held:
        url = await held.endpoint()
        await held.until("serving", 2)
        killed, other = held.workers
        os.kill(killed, signal.SIGSTOP)  # so that connections wait, some of them at its socket
        asking = [asyncio.create_task(ask(url)) for _ in range(CONNECTIONS)]
        answered = 0
        while answered < CONNECTIONS // 8:
            done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            answered = len(done)
        os.kill(killed, signal.SIGKILL)
        answers = Counter(await asyncio.gather(*asking))
        await held.until("serving", 3)
        assert set(answers) == {other, held.workers[-1]}


@pytest.mark.parametrize(("transport", "engine"), WAYS)
async def test_every_call_in_flight_is_answered_when_the_supervisor_is_terminated(
    transport: str, engine: str, tmp_path: Path
) -> None:
    options = {"grpc": where(transport), "engine": engine}
    async with service(tmp_path, **options) as held, AsyncExitStack() as stack:
        await held.until("serving", 2)
        calls = [
            asyncio.create_task(caller.unary(ECHO, text("hold")))
            for caller in await callers(held, transport, stack, engine)
            for _ in range(32)
        ]
        await held.until("held", len(calls))
        workers = {str(pid) for pid in held.workers}
        held.process.send_signal(signal.SIGTERM)
        answers = {answer.value for answer in await asyncio.gather(*calls)}
        assert answers == workers
        code, _ = await held.result()
        assert code == 0
    assert list(await get_service(from_url(held.registry), "held")) == []


@pytest.mark.parametrize(("transport", "engine"), WAYS)
async def test_reload_replaces_the_workers_and_fails_no_call(
    transport: str, engine: str, tmp_path: Path
) -> None:
    over = asyncio.Event()

    async def call(caller: Client) -> list[int]:
        failures: list[int] = []
        while not over.is_set():
            try:
                await caller.unary(REPEATABLE, text("who"))
            except Error as error:
                failures.append(error.code)
        return failures

    options = {"grpc": where(transport), "engine": engine}
    async with service(tmp_path, **options) as held, AsyncExitStack() as stack:
        await held.until("serving", 2)
        before = set(held.workers)
        clients = await callers(held, transport, stack, engine)
        calling = [asyncio.create_task(call(caller)) for caller in clients]
        held.process.send_signal(signal.SIGHUP)
        await held.until("stopped", 2)
        over.set()
        assert not any(await asyncio.gather(*calling))
        assert len(held.workers) == 2
        assert before.isdisjoint(held.workers)


async def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    async with service(tmp_path) as held:
        await held.until("serving", 2)
        held.process.kill()
        await held.left()


async def test_third_signal_ends_supervisor_and_workers_at_once(tmp_path: Path) -> None:
    async with service(tmp_path, drain_delay=3600.0) as held:
        url = await held.endpoint()
        await held.until("serving", 2)
        calls = [asyncio.create_task(ask(url, "stick")) for _ in range(8)]
        await held.until("stuck", 1)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):  # equal ones could merge
            held.process.send_signal(number)
        code, errors = await held.result()
        assert code < 0
        assert "application ends at once" in errors
        await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize(("failure", "code"), [("refused", 2), ("failed", 1)])
async def test_worker_that_cannot_build_ends_the_start_with_its_reason(
    failure: str, code: int, tmp_path: Path
) -> None:
    async with service(tmp_path, failure=failure) as held:
        ended, errors = await held.result()
    assert ended == code
    assert "could not start" in errors
    assert "no luck today" in errors
    assert list(await get_service(from_url(held.registry), "held")) == []


async def test_second_supervisor_on_the_same_port_is_refused(tmp_path: Path) -> None:
    async with service(tmp_path / "one") as held:
        address = (await held.endpoint()).partition("://")[2]
        async with service(tmp_path / "two", http=address) as second:
            code, errors = await second.result()
    assert code == 2
    assert f"{address}: the address is in use" in errors


async def test_server_of_the_host_tells_the_health_of_all_workers(tmp_path: Path) -> None:
    async with service(tmp_path, host=ANY) as held:
        instance = (await held.instances(1))[0]
        assert len(instance.endpoints) == 1  # that of the host is nobody's to call
        url = (await held.told("kratos.http: serving HTTP on ")).strip()
        assert url not in instance.endpoints
        probe = b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        answer = await exchange(url, probe)
        checks = {check["name"]: check["ok"] for check in json.loads(answer)["checks"]}
        assert checks == {"workers": True, "worker 0": True, "worker 1": True, "registration": True}


async def test_one_scrape_tells_of_all_workers_also_of_those_that_were_killed(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, host=ANY) as held:
        url = await held.endpoint()
        debug = (await held.told("kratos.http: serving HTTP on ")).strip()
        await held.until("serving", 2)
        for round_ in range(1, 4):
            await asyncio.gather(*(ask(url) for _ in range(CONNECTIONS)))
            scrape = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            told = (await exchange(debug, scrape)).decode().splitlines()
            assert f"calls_total {float(round_ * CONNECTIONS)}" in told
            os.kill(held.workers.pop(), signal.SIGKILL)
            await held.until("serving", 2 + round_)


@pytest.mark.parametrize(("transport", "engine"), WAYS)
async def test_each_worker_registers_by_itself_when_asked_to(
    transport: str, engine: str, tmp_path: Path
) -> None:
    options = {"registration": "worker", "grpc": where(transport), "engine": engine}
    connector = connector_of(transport, engine)
    async with service(tmp_path, **options) as held:
        instances = await held.instances(2)
        await held.until("serving", 2)
        assert len({instance.id for instance in instances}) == 2
        reached: set[int] = set()
        for instance in instances:
            url = next(url for url in instance.endpoints if url.startswith(transport))
            async with Client(url.partition("://")[2], transport=connector, timeout=50) as caller:
                answers = {(await caller.unary(ECHO, text("who"))).value for _ in range(3)}
            assert len(answers) == 1  # an address of its own leads to one worker
            reached.update(map(int, answers))
        assert reached == set(held.workers)
        held.process.send_signal(signal.SIGTERM)
        code, _ = await held.result()
        assert code == 0
    assert list(await get_service(from_url(held.registry), "held")) == []
