"""The lifespan of a mounted ASGI application: told when the server starts and stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from kratos.errors import StartupError
from kratos.limit import cancel_and_wait
from kratos_http._asgi_mount import AsgiApplication
from kratos_http._asgi_wire import Event

__all__ = ["Mounted", "lifespan"]

_log = logging.getLogger("kratos.http")

_SHUTDOWN: Final = 10.0  # seconds for an application to shut down


class _Talk:
    """What passes between an application and its server in the two phases."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.phase: dict[str, asyncio.Future[str]] = {}
        loop = asyncio.get_running_loop()
        for name in ("startup", "shutdown"):
            self.phase[name] = loop.create_future()
        self._asked = False

    async def receive(self) -> Event:
        """Return the phase that begins; the second one waits for the stop."""
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self.stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def send(self, event: Event) -> None:
        """Take the end of a phase: its problem, or none."""
        _, phase, outcome = event["type"].split(".")
        waiting = self.phase[phase]
        if not waiting.done():
            problem = event.get("message") or f"{phase} failed"
            waiting.set_result(problem if outcome == "failed" else "")


@dataclass(slots=True)
class Mounted:
    """An application within a server.

    Attributes:
        application: The application.
        state: What its lifespan leaves for its requests.
    """

    application: AsgiApplication
    state: dict[str, Any] = field(default_factory=dict[str, Any])


@asynccontextmanager
async def lifespan(mounted: Mounted) -> AsyncGenerator[None]:
    """Start an application, and shut it down at the end.

    One that knows no lifespan, because it raises when it is asked, is served without.

    Args:
        mounted: The application.

    Raises:
        StartupError: It says that it cannot start.
    """
    talk = _Talk()
    scope: Event = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": mounted.state}

    async def run() -> None:
        await mounted.application(scope, talk.receive, talk.send)

    running = asyncio.create_task(run())
    try:
        started = talk.phase["startup"]
        await asyncio.wait((running, started), return_when=asyncio.FIRST_COMPLETED)
        if started.done() and started.result():
            raise StartupError(f"a mounted application did not start: {started.result()}")
        yield
        talk.stopping.set()
        ended = talk.phase["shutdown"]
        await asyncio.wait((running, ended), return_when=asyncio.FIRST_COMPLETED, timeout=_SHUTDOWN)
        if ended.done() and ended.result():
            _log.error("a mounted application did not shut down well: %s", ended.result())
        elif not running.done() and not ended.done():
            _log.error("a mounted application did not shut down in %g s", _SHUTDOWN)
    finally:
        if running.done():
            _note(running)
        await cancel_and_wait(running)


def _note(running: asyncio.Task[None]) -> None:
    if not running.cancelled() and running.exception() is not None:
        _log.debug("a mounted application knows no lifespan", exc_info=running.exception())
