"""All workers of one application, as one server of the supervisor."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from kratos.app._options import Options
from kratos.app._signals import Signals
from kratos.app._waiting import unended
from kratos.bus import Bus
from kratos.errors import KratosError
from kratos.health import Health
from kratos.limit import cancel_and_wait, describe
from kratos.log import Level
from kratos.metrics import Including, Meter, Snapshot
from kratos.transport.server import Mount, Shareable
from kratos.workers import _child
from kratos.workers._child import Child
from kratos.workers._measures import Measures
from kratos.workers._messages import Configured, Measured, Published, Setup
from kratos.workers._places import Places
from kratos.workers._restarts import Quorum, Restarts
from kratos.workers._slot import Slot, SlotLimits

if TYPE_CHECKING:
    from kratos.app import App
    from kratos.config import Config
    from kratos.workers._followers import Followers

__all__ = ["BOOT", "GRACE", "Pool"]

BOOT: Final = 30.0  # seconds to start Python, import and build, beside ``startup_timeout``
GRACE: Final = 10.0  # seconds in which a worker ends when its ``stop_timeout`` is over

_RELOAD: Final = tuple(number for number in signal.Signals if number.name == "SIGHUP")


class Pool:
    """Starts the workers, starts again what dies, replaces and ends them in order.

    Args:
        target: What each worker is to build.
        options: Those of the application.
        workers: How many.
        registered: Called with whether enough workers serve, at each change.
        bus: The supervisor's, whose messages go to the workers and come from them.
        launch: Starts a process.
    """

    def __init__(
        self,
        target: str,
        options: Options,
        *,
        workers: int,
        registered: Callable[[bool], None],
        bus: Bus,
        launch: Callable[..., Awaitable[Child]] = _child.start,
    ) -> None:
        self._target = target
        self._options = options
        self._registered = registered
        self._start_process = launch
        self._apart = options.registration == "worker"
        self._places = Places(options.servers, slots=workers, apart=self._apart)
        self._quorum = Quorum(workers, least=options.min_ready)
        self._slots = [self._slot(number) for number in range(workers)]
        self._health: Health | None = None
        self._measures = Measures(options.clock)
        self._bus = bus
        bus.connect(self._broadcast)
        self._figures = _Figures(options.metrics)
        self._followers = None if options.config is None else self._following(options.config)
        if isinstance(options.metrics, Including):
            options.metrics.include(self._collect)
        self._complete = asyncio.Event()
        self._stopped = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False
        self._retired = False
        self._started = 0

    def __str__(self) -> str:
        return "workers"

    def mount(self, mount: Mount, /) -> None:
        """Add the health of the workers to that of the supervisor."""
        self._health = mount.health
        if self._health is None:
            return
        self._health.add_check("workers", self._check_all, ttl=0.0)
        for number in range(len(self._slots)):
            check = partial(self._check_one, number)
            self._health.add_check(f"worker {number}", check, critical=False, ttl=0.0)

    async def bind(self) -> Sequence[str]:
        """Take all addresses; see ``Endpointer``."""
        return await self._places.open()

    async def start(self) -> None:
        """Keep the workers running until ``stop`` has ended.

        Raises:
            StartupError: A worker refused to start the first time.
            KratosError: A worker could not start the first time.

        Whoever starts it stops it too, after a failure as well, so that the other workers end in
        order.

        Cancellation: kills the workers.
        """
        running = [
            asyncio.create_task(slot.run(), name=f"kratos-slot-{number}")
            for number, slot in enumerate(self._slots)
        ]
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            with Signals(_RELOAD, lambda _: self.reload()):
                waiting = {*running, stopped}
                while not stopped.done():
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in running:  # in their order: of several failures, the first is told
                        if task in done:
                            task.result()
        except asyncio.CancelledError:
            self.abandon()
            raise
        finally:
            await cancel_and_wait(*running, stopped)

    async def ready(self) -> None:
        """Return when every worker has served once; see ``Readying``."""
        await self._complete.wait()

    def reload(self) -> None:
        """Replace the workers one after another, each new one ready before an old one goes.

        Asked for again meanwhile, it is done once more afterwards. It ends at the first worker
        that cannot start; the others go on as they are.
        """
        if self._retired:
            return
        if self._reloading is not None and not self._reloading.done():
            self._reload_again = True
            return
        self._reloading = asyncio.create_task(self._reload(), name="kratos-reload")

    async def retire(self, _app: App) -> None:
        """Have no worker ready any more, and return when their hooks before the stop have run.

        A hook of the supervisor, before deregistration; nothing is started from here on.
        """
        await self._retire()
        children = self._children()
        for child in children:
            child.stop()
        timeout = self._options.stop_timeout
        waiting = [asyncio.create_task(child.leaving()) for child in children]
        try:
            if await unended(waiting, clock=self._options.clock, timeout=timeout):
                self._options.log.log(
                    Level.WARN, "before-stop hooks of workers are late", {"limit": timeout}
                )
        finally:
            await cancel_and_wait(*waiting)

    async def stop(self) -> None:
        """Have the workers finish and end; see ``Server``.

        Cancellation: kills them.
        """
        await self._retire()
        # A connection that comes now is refused; in the queue of a socket that nobody reads any
        # more it would wait.
        self._places.stop_listening()
        children = self._children()
        for child in children:
            child.finish()
        try:
            for child in children:
                await child.ended()
        finally:
            self.abandon()
            for child in children:
                await child.ended()
            self._places.close()
            self._stopped.set()

    def abandon(self) -> None:
        """Kill the workers, because this process ends at once."""
        for child in self._children():
            child.kill()

    async def _retire(self) -> None:
        self._retired = True
        if self._reloading is not None:
            await cancel_and_wait(self._reloading)
        for slot in self._slots:
            await slot.retire()

    async def _reload(self) -> None:
        log = self._options.log
        while True:
            self._reload_again = False
            log.log(Level.INFO, "workers are being replaced")
            try:
                for slot in self._slots:
                    await slot.replace()
            except KratosError as error:
                log.log(Level.ERROR, "the reload ends here", {"error": describe(error)})
            else:
                log.log(Level.INFO, "workers are replaced")
            if not self._reload_again:
                return

    def _children(self) -> list[Child]:
        return [child for slot in self._slots for child in slot.children]

    def _slot(self, number: int) -> Slot:
        options = self._options
        start, stop = options.startup_timeout, options.stop_timeout
        if stop is not None:
            stop += GRACE + (options.drain_delay if self._apart else 0.0)
        return Slot(
            number,
            launch=partial(self._launch, number),
            release=partial(self._places.close_slot, number),
            restarts=Restarts(random=random.random),
            limits=SlotLimits(start=None if start is None else start + BOOT, stop=stop),
            changed=partial(self._note, number),
            clock=options.clock,
            log=options.log,
        )

    def _following(self, config: Config) -> Followers:
        # Loaded with a configuration alone: programs without one do not pay for it.
        from kratos.workers._followers import Followers

        return Followers(
            config,
            children=lambda: {
                child: number for number, slot in enumerate(self._slots) for child in slot.children
            },
            changed=self._refresh,
            meter=self._options.metrics,
            log=self._options.log,
        )

    async def _launch(self, number: int) -> Child:
        await self._places.open_slot(number)
        handed = self._places.of(number)
        self._started += 1
        # A worker with an entry of its own and its successor are in the registry together.
        own = f"{self._options.id}-{number}.{self._started}"
        revision, config = (0, {}) if self._followers is None else self._followers.present()
        setup = Setup(
            slot=number,
            id=own if self._apart else self._options.id,
            registers=self._apart,
            path=list(sys.path),
            argv=list(sys.argv),
            sockets={str(index): sock.fileno() for index, sock in handed.sockets.items()},
            addresses={str(index): str(address) for index, address in handed.addresses.items()},
            expected={
                str(index): str(server.address)
                for index, server in enumerate(self._options.servers)
                if isinstance(server, Shareable)
            },
            revision=revision,
            config=config,
            parts=True,
        )
        child = await self._start_process(
            self._target,
            setup,
            list(handed.sockets.values()),
            clock=self._options.clock,
            changed=self._refresh,
            heard=partial(self._hear, number),
        )
        self._figures.started(number)
        # The last thing: what is published from here on goes to it as to all others.
        for published in self._bus.kept():
            child.send(replace(published, number=0))
        if self._followers is not None:
            self._followers.catch_up(child, revision)
        return child

    def _hear(self, number: int, child: Child, message: Configured | Measured | Published) -> None:
        if isinstance(message, Configured):
            if self._followers is not None:
                self._followers.hear(child, message)
        elif isinstance(message, Measured):
            try:
                self._measures.take(child, str(number), message)
            except ValueError as error:
                self._options.log.log(
                    Level.ERROR, "a worker told no metrics", {"worker": number, "error": error}
                )
        else:
            of_another = replace(message, number=0)
            self._bus.deliver(of_another)
            self._broadcast(of_another, but=child)
            if message.keep and message.number:
                child.send(message)  # its place is after all that was sent to it until now

    def _broadcast(self, message: Published, *, but: Child | None = None) -> None:
        of_another = replace(message, number=0)
        for child in self._children():
            if child is not but:
                child.send(of_another)

    async def _collect(self) -> Snapshot:
        return await self._measures.collect(self._children())

    def _note(self, number: int, serves: bool) -> None:  # noqa: FBT001  a callback
        if serves:
            self._quorum.gained(number)
        else:
            self._quorum.lost(number)
        self._figures.ready(self._quorum.ready)
        if self._quorum.complete:
            self._complete.set()
            if not self._retired:
                self._registered(self._quorum.met)
        self._refresh()

    def _refresh(self) -> None:
        self._measures.sweep()
        if self._followers is not None:
            self._followers.sweep()
        if self._health is not None:
            self._health.refresh()

    def _check_all(self) -> None:
        if self._retired:
            return  # that the application stops is known
        reports = [slot.current.report for slot in self._slots if slot.current is not None]
        ready = sum(report is not None and report.ready for report in reports)
        if ready < self._options.min_ready:
            raise KratosError(
                f"{ready} of {len(self._slots)} workers are ready; "
                f"min_ready={self._options.min_ready}"
            )

    def _check_one(self, number: int) -> None:
        worker = self._slots[number].current
        if self._retired:
            return
        if worker is None:
            raise KratosError("there is none")
        if worker.report is None or not worker.report.ready:
            failed = {} if worker.report is None else worker.report.failed
            told = "; ".join(f"{name}: {text}" for name, text in failed.items())
            raise KratosError(told or "not ready")
        behind = "" if self._followers is None else self._followers.problem_of(worker)
        if behind:
            raise KratosError(f"it keeps its old configuration: {behind}")


class _Figures:
    """What the supervisor counts itself."""

    __slots__ = ("_ready", "_started")

    def __init__(self, meter: Meter) -> None:
        self._ready = meter.gauge(
            "kratos_workers_ready", description="Workers that serve.", across="sum"
        )
        self._started = meter.counter(
            "kratos_workers_started_total",
            description="Processes that were started as this worker.",
            labels=("worker",),
        )

    def ready(self, count: int) -> None:
        self._ready.set(count)

    def started(self, number: int) -> None:
        self._started.labels(str(number)).inc()
