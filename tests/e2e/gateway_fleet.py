"""A fleet behind a gateway, and what asks it all the while."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

from kratos import Client
from kratos.testing.app import running
from kratos.testing.convergence import holds
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, text
from kratos_gateway.assembly import application
from kratos_gateway.settings import Settings
from kratos_http.testing import SocketPeer

__all__ = ["Fleet", "Load", "all_kinds", "fleet_of", "gateway_of", "write"]

SCRIPT: Final = Path(__file__).with_name("fleet_service.py")
CLIENTS: Final = 8
CONFIG: Final = """
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


class Fleet:
    """Services in processes of their own."""

    def __init__(self, registry: str, name: str) -> None:
        self.name = name
        self.members: dict[str, asyncio.subprocess.Process] = {}
        self._registry = registry

    async def add(self, own: str, *program: str) -> None:
        """Start a member, and wait until it serves.

        Args:
            own: Its id.
            program: What starts it, before the name of the service and that id; ours if there is
                none.
        """
        command = program or (sys.executable, str(SCRIPT), self._registry)
        process = await asyncio.create_subprocess_exec(
            *command, self.name, own, stdout=asyncio.subprocess.PIPE
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
async def fleet_of(url: str, *members: tuple[str, ...]) -> AsyncGenerator[Fleet]:
    """Start members, each as of ``Fleet.add``."""
    fleet = Fleet(url, f"fleet-{uuid4().hex[:8]}")
    try:
        await asyncio.gather(*(fleet.add(*each) for each in members))
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


async def all_kinds(caller: Client) -> None:
    """Make a call and a stream of each kind.

    Over HTTP, streams of replies are events, and those of requests are WebSockets.
    """
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
