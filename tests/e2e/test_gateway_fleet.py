"""A fleet behind a gateway, found through a real registry, while everything happens to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest

from kratos import Client
from kratos.testing.app import running
from kratos.testing.convergence import holds
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, text
from kratos.testing.proxy import FaultProxy
from kratos_gateway.assembly import application
from kratos_gateway.settings import Settings
from kratos_http.testing import SocketPeer

pytestmark = [pytest.mark.slow]

SCRIPT = Path(__file__).with_name("fleet_service.py")
CLIENTS = 8
CONFIG = """
name: fleet
version: "{release}"
endpoints:
  - path: /fleet/*
    protocol: HTTP
    timeout: 10s
    retry: {{attempts: 3, perTryTimeout: 1s, conditions: [{{byStatusCode: 502-504}}]}}
    backends: [{{target: "discovery:///{name}"}}]
    middlewares:
      - name: rewrite
        required: true
        options:
          "@type": type.googleapis.com/gateway.middleware.rewrite.v1.Rewrite
          responseHeadersRewrite: {{set: {{x-release: "{release}"}}}}
  - path: /kratos.testing.Echo/*
    protocol: GRPC
    timeout: 10s
    backends: [{{target: "discovery:///{name}"}}]
  - path: /kratos.testing/*
    protocol: HTTP
    timeout: 10s
    backends: [{{target: "discovery:///{name}"}}]
"""


@pytest.fixture(
    params=[
        pytest.param("etcd", marks=pytest.mark.service("etcd")),
        pytest.param("consul", marks=pytest.mark.service("consul")),
    ]
)
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, FaultProxy]]:
    """The URL of a registry, and the way to it, which can be cut."""
    address = os.environ[f"KRATOS_TEST_{request.param.upper()}"]
    if address == "start":
        pytest.skip(f"only tests of kratos-{request.param} start one: give its address")
    host, _, port = address.rpartition(":")
    async with FaultProxy(host, int(port)) as way:
        yield request.param, way


class Fleet:
    """Services in processes of their own."""

    def __init__(self, registry: str, name: str) -> None:
        self.name = name
        self.members: dict[str, asyncio.subprocess.Process] = {}
        self._registry = registry

    async def add(self, own: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            SCRIPT,
            self._registry,
            self.name,
            own,
            stdout=asyncio.subprocess.PIPE,
        )
        self.members[own] = process
        assert process.stdout is not None
        assert (await process.stdout.readline()).strip() == b"serving"

    async def end(self) -> None:
        for process in self.members.values():
            if process.returncode is None:
                process.terminate()
        for process in self.members.values():
            await process.wait()


class Load:
    """Clients that ask one after the other, without a pause, and what they are told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []
        self.failures: list[str] = []
        self.answers: Counter[str] = Counter()
        self.releases: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(CLIENTS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result

    async def _ask(self) -> None:
        peer = await SocketPeer.connect("127.0.0.1", self._port)
        try:
            while True:
                answer = await peer.request("GET", "/fleet/who")
                if answer.status != 200:
                    self.failures.append(f"{answer.status} {answer.body!r}")
                self.answers[answer.body.decode()] += 1
                self.releases[answer.header("x-release")] += 1
        finally:
            await peer.aclose()

    async def more(self, count: int) -> None:
        """Wait for so many further answers."""
        until = self.answers.total() + count
        await holds(lambda: self.failures or self.answers.total() >= until, patience=60)

    async def heard(self, member: str) -> None:
        """Wait for a further answer of a member."""
        until = self.answers[member]
        await holds(lambda: self.failures or self.answers[member] > until, patience=60)


@asynccontextmanager
async def fleet_of(url: str) -> AsyncGenerator[Fleet]:
    fleet = Fleet(url, f"fleet-{uuid4().hex[:8]}")
    try:
        await asyncio.gather(*(fleet.add(own) for own in ("a", "b", "c")))
        yield fleet
    finally:
        await fleet.end()


def write(config: Path, fleet: Fleet, *, release: str) -> None:
    config.write_text(CONFIG.format(name=fleet.name, release=release))


@asynccontextmanager
async def gateway_of(config: Path, fleet: Fleet, registry: str) -> AsyncGenerator[int]:
    """A gateway that serves a configuration; its port."""
    write(config, fleet, release="one")
    settings = Settings(
        addresses=["127.0.0.1:0"], conf=str(config), discovery=registry, dial_timeout=2.0
    )
    async with running(application(settings, environ={})) as app:
        yield int(app.endpoints[0].rpartition(":")[2])


async def test_no_idempotent_request_fails_whatever_happens_to_a_fleet(
    registry: tuple[str, FaultProxy], tmp_path: Path
) -> None:
    scheme, way = registry
    url = f"{scheme}://{os.environ[f'KRATOS_TEST_{scheme.upper()}']}"
    config = tmp_path / "gateway.yaml"
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(fleet_of(url))
        port = await stack.enter_async_context(
            gateway_of(config, fleet, f"{scheme}://{way.address}")
        )
        load = await stack.enter_async_context(Load(port))
        for member in fleet.members:
            await load.heard(member)

        fleet.members["a"].kill()  # in the middle of its answers, and still registered
        await fleet.members["a"].wait()
        await load.more(200)
        assert load.failures == []

        way.cut()  # the registry has gone, and what it said last is good
        await load.more(200)
        await load.heard("b")
        way.restore()
        await fleet.add("d")
        await load.heard("d")
        assert load.failures == []

        fleet.members["b"].send_signal(signal.SIGUSR1)
        await load.more(200)
        assert load.failures == []

        write(config, fleet, release="two")
        await holds(lambda: load.failures or load.releases["two"] > 200, patience=60)
        fleet.members["c"].terminate()  # says so to the registry, and ends what it has begun
        assert await fleet.members["c"].wait() == 0
        await load.more(200)
    assert load.failures == []
    assert set(load.answers) == {"a", "b", "c", "d"}
    assert set(load.releases) == {"one", "two"}


@pytest.mark.parametrize("transport", ["http", "grpc"])
async def test_calls_and_streams_of_all_kinds_reach_a_fleet(
    registry: tuple[str, FaultProxy], transport: str, tmp_path: Path
) -> None:
    """Over HTTP, streams of replies are events, and those of requests are WebSockets."""
    scheme, way = registry
    url = f"{scheme}://{way.address}"
    async with (
        fleet_of(url) as fleet,
        gateway_of(tmp_path / "gateway.yaml", fleet, url) as port,
        Client(f"127.0.0.1:{port}", transport=transport, timeout=20) as caller,
    ):
        assert (await caller.unary(ECHO, text("one"))).value == "one"
        async with caller.server_stream(WATCH, text("one two three")) as replies:
            assert [reply.value async for reply in replies] == ["one", "two", "three"]
        async with caller.bidi_stream(CHAT) as talk:
            for word in ("one", "two"):
                await talk.send(text(word))
                assert (await anext(talk)).value == word
            await talk.end()
            assert [reply async for reply in talk] == []
        joined = await caller.client_stream(COLLECT, [text("one"), text("two")])
        assert joined.value == "one two"
