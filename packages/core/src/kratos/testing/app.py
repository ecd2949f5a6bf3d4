"""Applications in tests: run one for a block, call it, and servers that need no socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from kratos.app import App
from kratos.client import Client
from kratos.limit import cancel_and_wait
from kratos.transport.server import Mount

__all__ = ["FakeServer", "client_of", "running"]


@asynccontextmanager
async def running(app: App) -> AsyncGenerator[App]:
    """Run an application for the block: it serves inside, and has stopped afterwards.

    Raises:
        Exception: What ``app.run`` raises, at the start as well as at the end.
        RuntimeError: The application stopped before it served, or was run before.
        TypeError: It is none.
    """
    if not isinstance(app, App):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"an App is run, not {app!r}; services are served by serving(...)")
    run = asyncio.create_task(app.run())
    ready = asyncio.create_task(app.ready())
    try:
        await asyncio.wait({run, ready}, return_when=asyncio.FIRST_COMPLETED)
        # One that runs already is ready, too, but is another's.
        if run.done() or not ready.done() or ready.exception() is not None:
            await run
            raise RuntimeError("the application stopped before it served")
        yield app
    finally:
        await cancel_and_wait(ready)
        if not run.done():
            app.stop()
        await run


@asynccontextmanager
async def client_of(
    app: App, *, transport: str | None = None, **options: Any
) -> AsyncGenerator[Client]:
    """Run an application for the block, as ``running`` does, and yield a client of it.

    Let its servers listen on a port that the system chooses: ``HttpServer("127.0.0.1:0")``.

    Args:
        app: The application.
        transport: Which of its endpoints to call: ``http`` or ``grpc``; ``None`` for the first.
        options: Of the client.

    Raises:
        LookupError: It has no such endpoint.
        Exception: What ``running`` raises.
    """
    async with running(app):
        for url in app.endpoints:
            scheme = url.partition("://")[0]
            if transport is None or scheme.removesuffix("s") == transport:
                break
        else:
            wanted = f"endpoint of {transport!r}" if transport else "endpoint"
            raise LookupError(f"the application has no {wanted}, but {list(app.endpoints)}")
        async with Client(url, **options) as client:
            yield client


class FakeServer:
    """A server of every kind, without a socket: writes down its life and fails where it is told.

    Steps are ``mount``, ``bind``, ``start``, ``ready``, ``stop`` and ``end``, the last one when
    ``start`` returns.

    Args:
        name: What the journal calls it.
        endpoint: What ``bind`` returns; empty for nothing.
        journal: Where each step is written, as ``<name> <step>``; one of its own by default.

    Attributes:
        journal: What happened so far.
        failures: What to raise, by step.
        gates: What to wait for, by step.
        mounts: What it was mounted with.
        bound: Whether it holds its port.
    """

    def __init__(
        self, name: str = "fake", *, endpoint: str = "", journal: list[str] | None = None
    ) -> None:
        self.journal: list[str] = [] if journal is None else journal
        self.failures: dict[str, BaseException] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.mounts: list[Mount] = []
        self.bound = False
        self._name = name
        self._endpoint = endpoint
        self._serving = asyncio.Event()
        self._over = asyncio.Event()
        self._failure: BaseException | None = None

    def __str__(self) -> str:
        return self._name

    def end(self, failure: BaseException | None = None) -> None:
        """Let ``start`` return, or raise, although nobody asked for it."""
        self._failure = failure
        self._over.set()

    def mount(self, mount: Mount, /) -> None:
        """Keep what is to be served."""
        self.mounts.append(mount)
        self._note("mount")

    async def bind(self) -> Sequence[str]:
        """Pretend to reserve a port."""
        await self._step("bind")
        self.bound = True
        return [self._endpoint] if self._endpoint else []

    async def start(self) -> None:
        """Serve nobody until ``stop`` or ``end`` is called."""
        await self._step("start")
        self._serving.set()
        await self._over.wait()
        await self._step("end")
        if self._failure is not None:
            raise self._failure

    async def ready(self) -> None:
        """Return when ``start`` is under way."""
        await self._serving.wait()
        await self._step("ready")

    async def stop(self) -> None:
        """Release the port and let ``start`` return."""
        self.bound = False
        await self._step("stop")
        self._over.set()

    async def _step(self, step: str) -> None:
        self._note(step)
        if step in self.gates:
            await self.gates[step].wait()

    def _note(self, step: str) -> None:
        self.journal.append(f"{self._name} {step}")
        if step in self.failures:
            raise self.failures[step]
