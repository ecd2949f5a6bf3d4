"""Services over gRPC in two languages that show what they see of a call: go/peer, and this one."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
import pytest_asyncio
from interop.peer.v1.peer_kratos import Peer, PeerClient
from interop.peer.v1.peer_pb2 import EndedReply, EndedRequest, Seen, Step

from kratos import App, Client, Error, server_call
from kratos.errors import unauthorized
from kratos.metadata import server_metadata
from kratos.middleware import metadata, recovery
from kratos.testing.app import running
from kratos.transport import Call, Cause, Handler
from kratos_grpc import GrpcConnector, GrpcServer

Engine: TypeAlias = Literal["grpcio", "kratos"]
Serving: TypeAlias = AbstractAsyncContextManager[str]
PATIENCE = 60.0  # seconds


async def guard(call: Call, request: Any, next: Handler, /) -> Any:
    """Refuse calls with a bad token, before their handler runs."""
    if call.headers.get("x-token") == "bad":
        raise unauthorized("BAD_TOKEN", "who is there", {"key": "value"})
    return await next(call, request)


async def passes(call: Call, request: Any, next: Handler, /) -> Any:
    """Leave a mark in the headers of a request."""
    call.headers.set("x-passed", "python")
    return await next(call, request)


class Service(Peer):
    """What go/peer/server.go is, in Python."""

    def __init__(self, name: str, engine: Engine) -> None:
        self._name = name
        self._engine: Engine = engine
        self._ended: dict[str, asyncio.Queue[str]] = defaultdict(asyncio.Queue[str])

    async def single(self, request: Step, /) -> Seen:
        call = self._echo()
        if request.next:
            return await relay(request, self._engine)
        await self._take(call, request)
        return self._seen(call)

    async def gather(self, requests: AsyncIterator[Step], /) -> Seen:
        call = self._echo()
        async for request in requests:
            await self._take(call, request)
        return self._seen(call)

    async def feed(self, request: Step, /) -> AsyncIterator[Seen]:
        call = self._echo()
        for _ in range(request.replies):
            yield self._seen(call)
        await self._take(call, request)

    async def talk(self, requests: AsyncIterator[Step], /) -> AsyncIterator[Seen]:
        call = self._echo()
        async for request in requests:
            await self._take(call, request)
            yield self._seen(call)

    async def ended(self, request: EndedRequest, /) -> EndedReply:
        return EndedReply(by=await self._ended[request.name].get())

    def _echo(self) -> Call:
        """Send headers of the request back, as headers and as trailers."""
        call = server_call()
        assert call is not None
        call.reply_headers.set("x-server", self._name)
        for value in call.headers.values("x-many"):
            call.reply_headers.add("x-many", value)
            call.trailers.add("x-many-trailer", value)
        raw = call.headers.get_bytes("x-raw-bin")
        if raw is not None:
            call.trailers.add_bytes("x-raw-bin", raw)
        return call

    async def _take(self, call: Call, step: Step) -> None:
        if step.hang:
            await self._hang(call, step.name)
        if step.fail:
            raise Error(step.fail, "A_REASON", "a message", {"key": "value"})

    async def _hang(self, call: Call, name: str) -> None:
        self._ended[f"{name} hangs"].put_nowait("yet")
        try:
            await asyncio.Event().wait()
        finally:
            by = "deadline" if call.cause is Cause.DEADLINE else "cancelled"
            self._ended[name].put_nowait(by)

    def _seen(self, call: Call) -> Seen:
        left = call.remaining()
        carried = server_metadata()
        return Seen(
            server=self._name,
            left=-1 if left is None else round(left * 1000),
            many=call.headers.values("x-many"),
            raw=call.headers.get_bytes("x-raw-bin") or b"",
            passed=call.headers.values("x-passed"),
            metadata={} if carried is None else {key: values[0] for key, values in carried.items()},
        )


def connect(target: str, engine: Engine) -> Client:
    """Reach a service as the clients of both programs do."""
    connector = GrpcConnector(engine=engine)
    return Client(target, transport=connector, middleware=[metadata(), passes], timeout=PATIENCE)


async def relay(step: Step, engine: Engine) -> Seen:
    """Get the answer from the next service."""
    async with connect(f"grpc://{step.next}", engine) as caller:
        further = Step(name=step.name, fail=step.fail, hang=step.hang)
        return await PeerClient(caller).single(further)


@asynccontextmanager
async def ours(
    name: str = "python", *, engine: Engine, timeout: float | None = None
) -> AsyncGenerator[str]:
    """Serve in this process; gives the address."""
    app = App(
        name=name,
        services=[Service(name, engine)],
        middleware=[recovery(), guard, metadata()],
        servers=[GrpcServer("127.0.0.1:0", timeout=timeout, engine=engine)],
        signals=(),
    )
    async with running(app):
        yield app.endpoints[0].removeprefix("grpc://")


@pytest.fixture(name="ours")
def give_ours(engine: Engine) -> Callable[..., Serving]:
    """Start services of ours."""
    return partial(ours, engine=engine)


@pytest.fixture(scope="session")
def peer_program(go_program: Path) -> Path:
    """Path of the Go program; see go/peer/main.go for what it does."""
    return go_program.with_name("peer")


@pytest.fixture
def theirs(peer_program: Path) -> Callable[..., Serving]:
    """Start services of Go Kratos."""

    @asynccontextmanager
    async def theirs(name: str = "go", *, timeout: float = PATIENCE) -> AsyncGenerator[str]:
        process = await asyncio.create_subprocess_exec(
            peer_program,
            *("server", name, str(round(timeout * 1000))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield (await process.stdout.readline()).decode().strip()
        finally:
            process.stdin.close()
            assert await process.wait() == 0

    return theirs


@pytest.fixture
def go_peer(peer_program: Path) -> Callable[..., Any]:
    """Run the client of the Go program, and return the lines that it prints."""

    async def run(*arguments: str) -> list[Any]:
        process = await asyncio.create_subprocess_exec(
            peer_program,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return [json.loads(line) for line in out.splitlines()]

    return run


@pytest_asyncio.fixture
async def go_address(theirs: Callable[..., Serving]) -> AsyncIterator[str]:
    """Address of a running service of Go Kratos."""
    async with theirs() as address:
        yield address


@pytest_asyncio.fixture
async def client(go_address: str, engine: Engine) -> AsyncIterator[PeerClient]:
    """A client of ours for it."""
    async with connect(f"grpc://{go_address}", engine) as caller:
        yield PeerClient(caller)
