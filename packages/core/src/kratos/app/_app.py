"""The application as its users see it."""

from __future__ import annotations

import asyncio
import random
import signal
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import Context, copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from kratos.app._context import CURRENT, of_process
from kratos.app._life import Life
from kratos.app._main import default_loop_factory
from kratos.app._options import Hook, Options, RegistrationBy, Workers
from kratos.app._signals import Signals
from kratos.bus import Bus
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import StartupError
from kratos.health import Health
from kratos.limit import describe
from kratos.log import Level, Logger, StdLogger
from kratos.log._console import shown
from kratos.metrics import Meter, default_meter
from kratos.offload import CURRENT as CURRENT_OFFLOAD
from kratos.offload import Offload
from kratos.registry import Registrar, RegistrationStatus
from kratos.transport.method import Service
from kratos.transport.operation import Missing
from kratos.transport.server import AppInfo, Server

if TYPE_CHECKING:
    from kratos.config import Config
    from kratos.middleware import AnyMiddleware

__all__ = ["App"]

T = TypeVar("T")

_SIGNALS = tuple(
    number for number in signal.Signals if number.name in ("SIGTERM", "SIGQUIT", "SIGINT")
)  # Windows has no SIGQUIT


class App:
    """Services, servers and everything around them, started and stopped as one.

    Making one touches nothing: no socket, no file, no thread. So a factory ``build() -> App``
    may run anywhere, any number of times. It runs once; build another to run again.

    Hooks are called with the application and may be ``async``. ``after_stop`` hooks run on
    every way out, also when the start failed before anything was opened, so they must bear
    that; ``before_stop`` hooks run when the start came as far as the ``after_start`` hooks.
    A failing start hook ends the start; a failing stop hook ends nothing. What a hook sets in
    context variables is seen by later hooks, by servers and by their calls.

    Args:
        name: Name of the service in registries.
        id: Unique id of this instance; a UUID (version 1, random node) by default.
        version: Version of the service.
        metadata: Texts by text, for registries.
        config: Its configuration: loaded before anything else, and a start without it fails; closed
            last. With workers the supervisor alone follows the sources, and each change is in
            force in all workers or in none.
        endpoints: URLs to publish in place of those the servers are bound to.
        services: Objects to serve on every server that serves services.
        middleware: Their chain, outermost first; a server's own middleware follows it.
        servers: Anything with ``start`` and ``stop``: transports, cron jobs, consumers.
        host_servers: Servers of which the machine needs one, however many workers there are: the
            supervisor runs them, and without workers this process does. They serve health and
            no services, and what they are bound to is not published.
        resources: Asynchronous context managers that services use, such as clients and
            connection pools. Entered in order before anything is bound, left in reverse order
            when the last call and the last spawned task have ended.
        missing: What to do with methods that a service leaves out.
        registrar: Where to register, as an object or as a URL such as ``etcd://host:2379``.
        registrar_timeout: Seconds for one attempt to register or to deregister.
        require_registration: Whether the start fails if the first attempt to register does.
            Otherwise the application serves, unready, and keeps trying.
        workers: Processes that ``kratos.run`` and ``kratos run`` start and supervise, ``"auto"``
            for one on each core; 0 serves in this process.
        registration: Whether a supervisor registers once for all workers (``"host"``), or each
            worker registers, with an id and a port of its own (``"worker"``).
        min_ready: Of a supervisor: how many workers have to serve for it to stay registered.
        startup_timeout: Seconds for servers to serve and startup checks to pass; as many for the
            entry of each resource and for each start hook. ``None`` for no limit.
        stop_timeout: Seconds for servers to finish what is in flight before it is cancelled; as
            many for each stop hook and for the exit of each resource, which are then cancelled,
            and the next step follows. ``None`` for no limit, which is Go's default and lets one
            endless stream hold the process until it is killed.
        drain_delay: Seconds between deregistration and the stop of the servers, in which
            clients and load balancers notice. In Kubernetes, together with ``stop_timeout``
            less than the pod's grace period.
        check_interval: Seconds between looks at the health checks without a probe.
        signals: Those that stop the application: the second one skips ``drain_delay``, the
            third ends the process at once.
        before_start: Called when ports are reserved, before servers start.
        after_start: Called when the application serves and registration has begun.
        before_stop: Called before deregistration; readiness is off.
        after_stop: Called when everything else has stopped.
        health: Its table of checks; a fresh one by default.
        offload: Threads for blocking code; closed at the end. A fresh one by default.
        log: Where the application's own lines go.
        metrics: Where its figures go, and those of the middleware ``metrics``; by default
            ``kratos.metrics.default_meter()``, what an installed distribution brings.
        count_calls: Whether the calls of its servers are counted and timed, where there is a meter
            and neither ``middleware`` nor a server's own has ``metrics()``. Outermost, but behind a
            ``tracing()`` that is.
        clock: Time for all limits and waits.

    Raises:
        ConfigError: An option is wrong; the text names it and says what to do.
    """

    def __init__(
        self,
        *,
        name: str = "",
        id: str | None = None,  # noqa: A002  Go's name, and the registries'
        version: str = "",
        metadata: Mapping[str, str] | None = None,
        config: Config | None = None,
        endpoints: Sequence[str] = (),
        services: Sequence[Service] = (),
        middleware: Sequence[AnyMiddleware] = (),
        servers: Sequence[Server] = (),
        host_servers: Sequence[Server] = (),
        resources: Sequence[AbstractAsyncContextManager[Any]] = (),
        missing: Missing = Missing.REFUSE,
        registrar: Registrar | str | None = None,
        registrar_timeout: float = 10.0,
        require_registration: bool = False,
        workers: Workers = 0,
        registration: RegistrationBy = "host",
        min_ready: int = 1,
        startup_timeout: float | None = 30.0,
        stop_timeout: float | None = 10.0,
        drain_delay: float = 0.0,
        check_interval: float = 10.0,
        signals: Sequence[signal.Signals] = _SIGNALS,
        before_start: Sequence[Hook] = (),
        after_start: Sequence[Hook] = (),
        before_stop: Sequence[Hook] = (),
        after_stop: Sequence[Hook] = (),
        health: Health | None = None,
        offload: Offload | None = None,
        log: Logger | None = None,
        metrics: Meter | None = None,
        count_calls: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._options = Options(
            id=_unique_id() if id is None else id,
            name=name,
            version=version,
            metadata={} if metadata is None else metadata,
            config=config,
            endpoints=endpoints,
            services=services,
            middleware=middleware,
            servers=servers,
            host_servers=host_servers,
            resources=resources,
            missing=missing,
            registrar=registrar,
            registrar_timeout=registrar_timeout,
            require_registration=require_registration,
            workers=workers,
            registration=registration,
            min_ready=min_ready,
            startup_timeout=startup_timeout,
            stop_timeout=stop_timeout,
            drain_delay=drain_delay,
            check_interval=check_interval,
            signals=signals,
            before_start=before_start,
            after_start=after_start,
            before_stop=before_stop,
            after_stop=after_stop,
            health=Health(clock=clock) if health is None else health,
            offload=Offload(clock=clock) if offload is None else offload,
            log=StdLogger() if log is None else log,
            metrics=default_meter() if metrics is None else metrics,
            count_calls=count_calls,
            clock=clock,
        )
        self._options.check()
        self._bus = Bus(log=self._options.log)
        self._life = Life(self, self._options)
        self._ran = False
        self._adapted = False

    @property
    def options(self) -> Options:
        """What it is made of."""
        return self._options

    @property
    def info(self) -> AppInfo:
        """Who this application is; with endpoints once its servers are bound."""
        return self._life.info

    @property
    def id(self) -> str:
        """Unique id of this instance."""
        return self.info.id

    @property
    def name(self) -> str:
        """Name of the service in registries."""
        return self.info.name

    @property
    def version(self) -> str:
        """Version of the service."""
        return self.info.version

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata in registries."""
        return self.info.metadata

    @property
    def endpoints(self) -> tuple[str, ...]:
        """URLs it can be reached at; empty until its servers are bound, unless given."""
        return self.info.endpoints

    @property
    def config(self) -> Config:
        """Its configuration; ``config.snapshot`` is what is in force.

        Raises:
            RuntimeError: It was given none.
        """
        if self._options.config is None:
            raise RuntimeError("the application has no configuration: pass App(config=Config(...))")
        return self._options.config

    @property
    def health(self) -> Health:
        """Its table of checks."""
        return self._options.health

    @property
    def bus(self) -> Bus:
        """Messages to and from its other processes, if it has workers."""
        return self._bus

    @property
    def offload(self) -> Offload:
        """Its threads for blocking code."""
        return self._options.offload

    @property
    def registration(self) -> RegistrationStatus | None:
        """How it stands in the registry; ``None`` before that begins or without a registrar."""
        return self._life.publication.status

    async def run(self) -> None:
        """Start, serve until there is a reason to stop, and stop.

        Reasons are a signal, ``stop``, a server that ends by itself, with or without an error,
        and a cancellation. Every way out unwinds all that was started.

        Raises:
            Exception: The first thing that went wrong; later ones are notes on it.
            RuntimeError: It ran before.

        Cancellation: stops in order and then passes on. A second one skips ``drain_delay``;
            each further one gives up the step of the stop that is under way.
        """
        if self._ran:
            raise RuntimeError("an App runs once; build another to run again")
        self._ran = True
        life = self._life
        if self._options.workers and not self._adapted:
            self._options.log.log(
                Level.WARN,
                "this process serves alone: workers are started by kratos.run(build) "
                "and by the command kratos run",
                {"workers": self._options.workers},
            )
        context = copy_context()
        context.run(CURRENT.set, self)
        context.run(CURRENT_OFFLOAD.set, self.offload)
        cancelled: asyncio.CancelledError | None = None
        with of_process(self), Signals(self._options.signals, life.signalled):
            # A task of its own, so that a cancellation of this one cannot tear the stop apart.
            living = asyncio.get_running_loop().create_task(
                life.live(context), name=f"kratos-app {self.name or self.id}", context=context
            )
            while not living.done():
                try:
                    await asyncio.wait({living})
                except asyncio.CancelledError as error:
                    if cancelled is None:
                        cancelled = error
                        life.stop("run() was cancelled")
                    elif not life.hurry():
                        living.cancel()
        living.result()
        self._raise(cancelled, life.failures.first)

    def serve(self, *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        """Run in an event loop of its own and return when the application has stopped.

        A program that has not configured ``logging`` shows Kratos' records from ``INFO`` on, on
        standard error: where the application listens, and each call that ``logging()`` is told.

        Args:
            loop_factory: Makes the loop; by default uvloop's if it is installed, else asyncio's.

        Raises:
            Exception: As ``run``.
        """
        make = loop_factory or default_loop_factory()
        with shown(), asyncio.Runner(loop_factory=make) as runner:
            runner.run(self.run())

    async def ready(self) -> None:
        """Return when the start is complete, hooks included.

        Raises:
            StartupError: The start failed or was stopped; the cause is chained, and ``run``
                raises it.

        Cancellation: safe.
        """
        await self._life.settled.wait()
        if not self._life.started:
            raise StartupError("the application ends before it has started") from (
                self._life.failures.first
            )

    def stop(self, reason: str = "stop() was called", /) -> None:
        """Ask the application to stop; ``run`` returns when it has.

        Idempotent, and allowed at any time: before ``run`` it keeps it from starting. From
        another thread, use ``loop.call_soon_threadsafe(app.stop)``.

        Args:
            reason: For the log.
        """
        self._life.stop(reason)

    def hurry(self) -> None:
        """Skip what is left of ``drain_delay``, now or when it comes to that. Idempotent."""
        self._life.hurry()

    def want_registered(self, wanted: bool, /) -> None:  # noqa: FBT001  the only argument
        """Say whether to be in the registry from now on, which follows in the background.

        It has no effect before registration begins, after it ended, and without a registrar.
        """
        self._life.publication.want(wanted)

    def adapt(self, change: Callable[[Options], Options], /) -> None:
        """Run with other options: for what runs an application on behalf of another.

        Args:
            change: Returns the options to run with.

        Raises:
            RuntimeError: It ran before.
        """
        if self._ran:
            raise RuntimeError("an App that has run cannot be changed")
        self._options = change(self._options)
        self._life = Life(self, self._options)
        self._adapted = True

    def spawn(
        self,
        work: Coroutine[Any, Any, T],
        /,
        *,
        name: str = "",
        finish: bool = False,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Start a task that belongs to the application and outlives the call that started it.

        The task is kept from being collected, and its failure is logged. When the servers have
        stopped, tasks are cancelled, newest first, and named in the log.

        Args:
            work: What to run.
            name: Name in logs; by default that of the coroutine function.
            finish: Whether the stop waits for it, within ``stop_timeout``, before cancelling.
            context: Context variables to run with. By default those of the application and not
                of the caller, so that no call's deadline or metadata leaks into it; in a block
                ``with detached()`` those of the caller, without the deadline.

        Raises:
            RuntimeError: The application is not running, or has stopped its tasks already.
            TypeError: It is no coroutine, but the function that makes one for instance.
        """
        if not asyncio.iscoroutine(work):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"spawn(...) takes a coroutine, such as refresh(), not {work!r}")
        return self._life.spawned.spawn(work, name=name, finish=finish, context=context)

    def update_metadata(self, metadata: Mapping[str, str], /) -> None:
        """Put other metadata in force, for instance another ``weight``; registries follow.

        Raises:
            ValueError: It cannot be published.
            RuntimeError: The application is already deregistered.
        """
        info = replace(self.info, metadata=dict(metadata))
        self._life.publication.update(info)
        self._life.info = info

    @staticmethod
    def _raise(cancelled: asyncio.CancelledError | None, first: BaseException | None) -> None:
        if cancelled is not None:
            if first is not None:
                for note in (describe(first), *getattr(first, "__notes__", ())):
                    cancelled.add_note(note)
            raise cancelled
        if first is not None:
            raise first


def _unique_id() -> str:
    # The node is random, with the bit that says so: the machine's address is nobody's business.
    return str(uuid.uuid1(node=random.getrandbits(48) | 1 << 40))
