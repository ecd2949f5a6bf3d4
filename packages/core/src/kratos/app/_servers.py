"""The servers of an application: bound, started and stopped together."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from kratos.app._failures import Failures, within
from kratos.app._options import name_of
from kratos.app._spawned import CANCEL_GRACE
from kratos.app._waiting import unended
from kratos.clock import Clock
from kratos.errors import KratosError, StartupError
from kratos.limit import cancel_and_wait, is_cancelled_from_outside
from kratos.log import Level, Logger
from kratos.transport.server import Endpointer, Mount, Mountable, Readying, Server

__all__ = ["Servers"]


@runtime_checkable
class _Abandoning(Protocol):
    """A server that has something to end when there is no time for ``stop``."""

    def abandon(self) -> None: ...


@dataclass(slots=True, kw_only=True, eq=False)
class _Member:
    """One server and how far it got."""

    server: Server
    name: str
    published: bool = True
    bound: bool = False
    ready: bool = False
    running: asyncio.Task[None] | None = None


class Servers:
    """All servers of one application.

    Args:
        servers: In the order in which they start.
        unpublished: Those that start after them, and whose endpoints are kept back.
        ended: Called when a server ended by itself, with its name.
        failures: Where errors go that nobody waits for.
        log: Where lines go.
        clock: Time for limits.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        unpublished: Sequence[Server] = (),
        ended: Callable[[str], None],
        failures: Failures,
        log: Logger,
        clock: Clock,
    ) -> None:
        self._members = [
            _Member(server=server, name=name_of(server), published=published)
            for group, published in ((servers, True), (unpublished, False))
            for server in group
        ]
        self._ended = ended
        self._failures = failures
        self._log = log
        self._clock = clock
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether a server is running."""
        return any(m.running is not None and not m.running.done() for m in self._members)

    @property
    def unready(self) -> list[str]:
        """Names of servers that have not said yet that they serve."""
        return [m.name for m in self._members if not m.ready]

    def mount(self, mount: Mount) -> None:
        """Give services and middleware to the servers that take them; health to all of these."""
        for member in self._members:
            if isinstance(member.server, Mountable):
                member.server.mount(mount if member.published else replace(mount, services=()))

    async def bind(self) -> tuple[str, ...]:
        """Reserve every port and return the endpoints to publish, in the order of the servers.

        Raises:
            StartupError: A port cannot be had, or two servers have the same; names them.
        """
        owners: dict[str, _Member] = {}
        endpoints: list[str] = []
        for member in self._members:
            if not isinstance(member.server, Endpointer):
                continue
            try:
                urls = tuple(await member.server.bind())
            except OSError as error:
                raise StartupError(f"{member.name} cannot listen: {error}") from error
            member.bound = True
            for url in urls:
                # A port that is shared by SO_REUSEPORT would silently lose half of its calls.
                owner = owners.setdefault(urlsplit(url).netloc or url, member)
                if owner is not member:
                    raise StartupError(
                        f"{owner.name} and {member.name} have the same address in {url}; "
                        "give one of them another port"
                    )
            if member.published:
                endpoints.extend(urls)
        return tuple(endpoints)

    def start(self) -> None:
        """Start every server in a task of its own, which inherits the running context."""
        for member in self._members:
            member.running = asyncio.create_task(
                _call(member, member.server.start), name=f"kratos-server {member.name}"
            )
            member.running.add_done_callback(functools.partial(self._end, member))

    async def wait_ready(self) -> None:
        """Return when every server serves.

        Raises:
            Exception: Whatever a server's ``ready`` raises.

        Cancellation: safe.
        """
        waiting = [
            asyncio.create_task(self._ready(member), name=f"kratos-ready {member.name}")
            for member in self._members
        ]
        try:
            for task in waiting:
                await task
        finally:
            await cancel_and_wait(*waiting)

    async def stop(self, timeout: float | None) -> None:
        """Stop every server that was bound or started, all at once, the last one first.

        Args:
            timeout: Seconds after which those that still run are cancelled; ``None``: never.
        """
        self._stopping = True
        stopping: dict[asyncio.Task[Any], _Member] = {
            asyncio.create_task(self._stop(member), name=f"kratos-stop {member.name}"): member
            for member in reversed(self._members)
            if member.bound or member.running is not None
        }
        try:
            late = await unended(stopping, clock=self._clock, timeout=timeout)
            if late:
                names = ", ".join(stopping[task].name for task in late)
                self._log.log(
                    Level.WARN,
                    "servers did not stop in time and are cancelled",
                    {"servers": names, "stop_timeout": timeout},
                )
        finally:
            # First stop(), which then ends at once what is in flight; then what is left.
            await self._cancel(list(stopping))
            await self._cancel([m.running for m in self._members if m.running is not None])

    def abandon(self) -> None:
        """End what would outlive this process, which is about to end at once."""
        for member in self._members:
            if isinstance(member.server, _Abandoning):
                member.server.abandon()

    async def _ready(self, member: _Member) -> None:
        if isinstance(member.server, Readying):
            await member.server.ready()
        member.ready = True

    async def _stop(self, member: _Member) -> None:
        try:
            await _call(member, member.server.stop)
        except (Exception, asyncio.CancelledError) as error:
            where = f"stop of {member.name}"
            if isinstance(error, asyncio.CancelledError):
                if is_cancelled_from_outside():
                    raise
                error = within(where, error)
            self._failures.add(where, error)
            if member.running is not None:
                member.running.cancel()
        if member.running is not None:
            await asyncio.wait({member.running})

    async def _cancel(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        pending = [task for task in tasks if not task.done()]
        for task in pending:
            task.cancel()
        for task in await unended(pending, clock=self._clock, timeout=CANCEL_GRACE):
            self._log.log(
                Level.ERROR,
                "a server ignores its cancellation and is left behind",
                {"task": task.get_name()},
            )

    def _end(self, member: _Member, task: asyncio.Task[None]) -> None:
        error: BaseException | None
        if task.cancelled():
            error = None if self._stopping else KratosError(f"{member.name} cancelled itself")
        else:
            error = task.exception()
        if error is None and not self._stopping and not member.ready:
            error = StartupError(f"{member.name} ended before it served")
        if error is not None:
            self._failures.add(member.name, error)
        if not self._stopping:
            self._ended(member.name)


async def _call(member: _Member, method: Callable[[], Awaitable[None]]) -> None:
    """Await a server's method, which users may have written without ``async``."""
    result: object = method()
    if not inspect.isawaitable(result):
        raise StartupError(f"{name_of(method)} of {member.name} must be async def")
    await result
