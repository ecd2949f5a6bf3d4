"""One life of an application: the start order, the stop order, and every way out of them."""

from __future__ import annotations

import asyncio
import inspect
import math
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import Context
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kratos.app._failures import Failures, within
from kratos.app._interrupt import Interruptible
from kratos.app._options import Hook, Options, name_of
from kratos.app._registration import Publication
from kratos.app._servers import Servers
from kratos.app._signals import end_process
from kratos.app._spawned import Spawned
from kratos.errors import KratosError, StartupError
from kratos.health import Kind, Phase, Status
from kratos.limit import Limit, cancel_and_wait, is_cancelled_from_outside
from kratos.log import Level, count_dropped
from kratos.metrics import NopMeter
from kratos.registry import Registrar
from kratos.transport.server import AppInfo, Mount, attends

if TYPE_CHECKING:
    from kratos.app._app import App
    from kratos.middleware import AnyMiddleware

__all__ = ["Life"]

_STARTUP_CHECK_EVERY: Final = 1.0  # seconds
_CONFIG: Final = "config"
_STARTUP: Final = "startup_timeout"
_STOP: Final = "stop_timeout"
_REGISTRAR: Final = "registrar_timeout"


class Life:
    """Starts an application, waits for a reason to end, and stops it.

    Args:
        app: The application, for its hooks.
        options: What it is made of.

    Attributes:
        info: Who it is, with endpoints as soon as they are known.
        failures: What went wrong.
        spawned: Its tasks.
        started: Whether all of the start is done.
        settled: Set when it is, or never will be.
    """

    def __init__(self, app: App, options: Options) -> None:
        self.info = AppInfo(
            id=options.id,
            name=options.name,
            version=options.version,
            metadata=dict(options.metadata),
            endpoints=tuple(options.endpoints),
        )
        self.failures = Failures(options.log)
        self.spawned = Spawned(log=options.log, clock=options.clock)
        self.started = False
        self.settled = asyncio.Event()
        self._app = app
        self._options = options
        self._health = options.health
        self._clock = options.clock
        self._servers = self._group(options, attending=False)
        self._attendants = self._group(options, attending=True)
        self._publication = Publication(options, changed=options.health.refresh)
        self._stack = AsyncExitStack()
        self._starting = Interruptible()
        self._draining = Interruptible()
        self._ending = asyncio.Event()
        self._step = "start"
        self._stop_by: float | None = None

    def _group(self, options: Options, *, attending: bool) -> Servers:
        """Return the servers that start and stop together."""
        servers = [each for each in options.servers if attends(each) is attending]
        others = [each for each in options.host_servers if attends(each) is attending]
        return Servers(
            () if attending else servers,
            unpublished=[*servers, *others] if attending else others,
            ended=lambda name: self.stop(f"{name} ended"),
            failures=self.failures,
            log=options.log,
            clock=options.clock,
        )

    @property
    def publication(self) -> Publication:
        """Its place in the registry."""
        return self._publication

    def stop(self, reason: str) -> None:
        """Begin to stop, also in the middle of the start; only the first reason counts."""
        if not self._ending.is_set():
            self._ending.set()
            self._options.log.log(Level.INFO, "application stops", {"reason": reason})
            self._starting.interrupt()

    def hurry(self) -> bool:
        """Skip the drain delay; tell whether it was not skipped before."""
        if self._draining.interrupted:
            return False
        self._draining.interrupt()
        return True

    def signalled(self, number: signal.Signals) -> None:
        """Act on a signal: stop; at the second skip the drain delay; at the third end at once."""
        if not self._ending.is_set():
            self.stop(f"signal {number.name}")
        elif not self.hurry():
            self._options.log.log(Level.WARN, "application ends at once", {"signal": number.name})
            self._servers.abandon()
            self._attendants.abandon()
            end_process(number)

    async def live(self, context: Context) -> None:
        """Run the whole life; failures are in ``failures`` and not raised.

        Args:
            context: The one this runs in; what hooks set there is seen by later ones.
        """
        self.spawned.open(context)
        async with self._stack:
            try:
                async with self._starting:
                    await self._start()
                await self._ending.wait()
            except (Exception, asyncio.CancelledError) as error:
                self._fail(self._step, error, StartupError)
            finally:
                self._ending.set()
                self.settled.set()
                self._health.advance(Phase.STOPPING)
        self._options.log.log(Level.INFO, "application stopped", {"id": self.info.id})

    async def _start(self) -> None:
        options = self._options
        count_dropped(options.metrics)
        self._at_end("close of the thread pool", options.offload.aclose)
        self._limited_at_end("close of health", self._health.aclose, _STOP)
        await self._load_config()
        self._hooks_at_end("after-stop", options.after_stop)
        registrar = self._publication.open()
        self._limited_at_end("close of the registry", self._publication.aclose, _REGISTRAR)
        await self._start_attendants()
        await self._enter_resources()
        self._at_end("end of spawned tasks", self._end_spawned)
        self._mount()
        await self._bind()
        await self._run_hooks("before-start", options.before_start)
        await self._start_servers()
        self._at_end("drain delay", self._drain)
        await self._publish(registrar)
        self._hooks_at_end("before-stop", options.before_stop)
        await self._run_hooks("after-start", options.after_start)
        self._begin("serving")
        self.started = True
        self.settled.set()
        options.log.log(
            Level.INFO,
            "application started",
            {
                "id": self.info.id,
                "name": self.info.name,
                "version": self.info.version,
                "endpoints": ",".join(self.info.endpoints),
            },
        )

    async def _load_config(self) -> None:
        config = self._options.config
        if config is None:
            return
        step = "load of the configuration"
        self._begin(step)
        config.measure(self._options.metrics)
        # A change that is refused is nothing to take the service away for: it goes on as it was.
        self._health.add_check(_CONFIG, config.check, critical=False, ttl=0.0, logged=False)
        self._limited_at_end("close of the configuration", config.aclose, _STOP)
        await self._in_time(step, config.load(), _STARTUP)

    async def _start_attendants(self) -> None:
        """Start the servers that are there for whoever looks after the application."""
        self._begin("start of attending servers")
        attendants, timeout = self._attendants, self._options.startup_timeout
        attendants.mount(self._mounted())
        self._at_end(
            "stop of attending servers", lambda: attendants.stop(self._options.stop_timeout)
        )
        limit = Limit(self._clock, timeout)
        try:
            async with limit:
                await attendants.bind()
                attendants.start()
                await attendants.wait_ready()
        except TimeoutError as error:
            if not limit.expired:
                raise
            late = ", ".join(attendants.unready)
            raise StartupError(
                f"not started within startup_timeout={timeout} s; not ready: {late}"
            ) from error

    async def _enter_resources(self) -> None:
        for resource in self._options.resources:
            name = type(resource).__name__
            step = f"entry of {name}"
            self._begin(step)
            await self._in_time(step, self._enter(resource, name), _STARTUP)

    async def _enter(self, resource: AbstractAsyncContextManager[Any], name: str) -> None:
        await resource.__aenter__()
        # Noted at once: the start may be stopped in the turns that its time limit takes to end.
        leave = partial(resource.__aexit__, None, None, None)
        self._limited_at_end(f"exit of {name}", leave, _STOP)

    def _mount(self) -> None:
        self._begin("mount")
        self._servers.mount(self._mounted())
        for service in self._options.services:
            for name in {method.service: None for method in service.METHODS}:
                self._health.set(name, Status.SERVING)

    def _mounted(self) -> Mount:
        options = self._options
        return Mount(
            services=tuple(options.services),
            middleware=self._chain(),
            info=self.info,
            health=self._health,
            missing=options.missing,
            metrics=options.metrics,
        )

    def _chain(self) -> tuple[AnyMiddleware, ...]:
        options = self._options
        if not options.count_calls or isinstance(options.metrics, NopMeter):
            return tuple(options.middleware)
        # Loaded with a meter alone: programs without one do not pay for it.
        from kratos.middleware._default_metrics import DefaultMetrics

        return (DefaultMetrics(options.metrics, log=options.log), *options.middleware)

    async def _bind(self) -> None:
        self._begin("bind")
        self._at_end("stop of servers", self._stop_servers)
        bound = await self._servers.bind()
        if not self.info.endpoints:
            self.info = replace(self.info, endpoints=bound)

    async def _start_servers(self) -> None:
        """Start servers and return when they serve and the startup checks pass."""
        self._begin("start of servers")
        timeout = self._options.startup_timeout
        limit = Limit(self._clock, timeout)
        missing = "startup checks are still under way"
        try:
            async with limit:
                self._servers.start()
                await self._servers.wait_ready()
                await asyncio.sleep(0)  # one that failed in this very moment is heard
                self._begin("startup checks")
                while failed := (await self._health.report(Kind.STARTUP)).failed:
                    missing = "; ".join(f"{result.name}: {result.message}" for result in failed)
                    await self._clock.sleep(_STARTUP_CHECK_EVERY)
        except TimeoutError as error:
            if not limit.expired:
                raise
            waited = self._servers.unready
            late = f"not ready: {', '.join(waited)}" if waited else missing
            raise StartupError(f"not started within startup_timeout={timeout} s; {late}") from error

    async def _publish(self, registrar: Registrar | None) -> None:
        """Let calls come, from load balancers and from the registry at the same moment."""
        self._begin("registration")
        monitor = asyncio.create_task(
            self._health.monitor(self._options.check_interval), name="kratos-health"
        )
        self._at_end("end of health checks", lambda: cancel_and_wait(monitor))
        self._publication.add_check(self._health)
        self._health.advance(Phase.SERVING)
        if registrar is not None:
            self._at_end("deregistration", self._publication.withdraw)
            await self._publication.start(registrar, self.info)

    async def _run_hooks(self, kind: str, hooks: Sequence[Hook]) -> None:
        for hook in hooks:
            step = f"{kind} hook {name_of(hook)}"
            self._begin(step)
            await self._call(step, hook, _STARTUP)

    def _hooks_at_end(self, kind: str, hooks: Sequence[Hook]) -> None:
        for hook in reversed(hooks):  # a stack: pushed last, called first
            step = f"{kind} hook {name_of(hook)}"
            self._at_end(step, partial(self._call, step, hook, _STOP))

    async def _in_time(self, step: str, work: Awaitable[object], option: str) -> None:
        """Await something that is not ours, for as long as an option allows.

        Raises:
            StartupError: The start takes too long.
            KratosError: The stop takes too long; the next step follows.
        """
        seconds: float | None = getattr(self._options, option)
        limit = Limit(self._clock, seconds)
        try:
            async with limit:
                await work
        except TimeoutError as error:
            if not limit.expired:
                raise
            kind = StartupError if option == _STARTUP else KratosError
            raise kind(f"{step} took longer than {option}={seconds:g} s") from error

    async def _call(self, step: str, hook: Hook, option: str) -> None:
        result = hook(self._app)
        if inspect.isawaitable(result):
            await self._in_time(step, result, option)

    async def _drain(self) -> None:
        delay = self._options.drain_delay
        if not delay or not self._servers.alive or self._draining.interrupted:
            return
        async with self._draining:
            if delay == math.inf:  # until somebody who knows says ``hurry``
                await asyncio.get_running_loop().create_future()
            self._options.log.log(Level.INFO, "draining", {"drain_delay": delay})
            await self._clock.sleep(delay)

    async def _stop_servers(self) -> None:
        timeout = self._options.stop_timeout
        if timeout is not None:
            self._stop_by = self._clock.time() + timeout
        await self._servers.stop(timeout)

    async def _end_spawned(self) -> None:
        left = self._options.stop_timeout
        if self._stop_by is not None:
            left = max(0.0, self._stop_by - self._clock.time())
        await self.spawned.aclose(left)

    def _begin(self, step: str) -> None:
        """Note what comes next; if the start is to end, end it here."""
        self._step = step
        self._starting.leave()

    def _at_end(self, step: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work on the way out, whatever happens to the rest."""

        async def guarded() -> None:
            try:
                await work()
            except (Exception, asyncio.CancelledError) as error:
                self._fail(step, error, KratosError)

        self._stack.push_async_callback(guarded)

    def _limited_at_end(
        self, step: str, work: Callable[[], Awaitable[object]], option: str
    ) -> None:
        """Do on the way out what is not ours, for as long as an option allows."""
        self._at_end(step, lambda: self._in_time(step, work(), option))

    def _fail(self, step: str, error: BaseException, kind: type[KratosError]) -> None:
        """Note what a step ended with."""
        if is_cancelled_from_outside():
            self._take_cancellation()
        elif isinstance(error, asyncio.CancelledError):
            error = within(step, error, kind)
        self.failures.add(step, error)

    def _take_cancellation(self) -> None:
        """Answer a cancellation of this task by giving up one step; the next ones still run."""
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()
