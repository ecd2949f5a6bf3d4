"""The table of checks, the phase of the application and the statuses made of both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.health._check import Check, CheckFunction, Kind, Result
from kratos.limit import Limit

__all__ = ["Health", "Phase", "Report", "Status"]

_log = logging.getLogger("kratos.health")

OVERALL: Final = ""  # the whole application, by the convention of gRPC health

Listener: TypeAlias = "Callable[[Status | None], None]"


class Phase(Enum):
    """Where the application is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


class Status(Enum):
    """Whether a service is to be called; the numbers are those of ``grpc.health.v1``."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The answer to one of the three questions.

    Attributes:
        kind: The question.
        ok: The answer.
        phase: Where the application was in its life.
        results: What the checks of this kind found, in the order in which they were added.
    """

    kind: Kind
    ok: bool
    phase: Phase
    results: tuple[Result, ...]

    @property
    def failed(self) -> tuple[Result, ...]:
        """Results of critical checks that failed."""
        return tuple(result for result in self.results if result.critical and not result.ok)


class Health:
    """Named checks and per-service statuses of one application.

    All methods belong to one event loop. Checks may be added before there is one.

    Args:
        clock: Time for limits and for how long results are kept.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._phase = Phase.STARTING
        self._checks: dict[str, Check] = {}
        self._logged: dict[str, bool] = {}  # whether it passed, of each check that failed once
        self._silent: set[str] = set()
        self._own: dict[str, Status] = {OVERALL: Status.SERVING}
        self._listeners: dict[object, tuple[str, Listener, list[Status | None]]] = {}
        self._refresh = asyncio.Event()

    @property
    def phase(self) -> Phase:
        """Where the application is in its life."""
        return self._phase

    @property
    def ready(self) -> bool:
        """Whether calls shall come here, by the newest results; a check not yet run says no."""
        return (
            self._phase is Phase.SERVING
            and self._own[OVERALL] is Status.SERVING
            and all(
                check.last is not None and check.last.ok
                for check in self._checks.values()
                if check.kind is Kind.READY and check.critical
            )
        )

    @property
    def services(self) -> tuple[str, ...]:
        """Names that have a status; the empty one stands for the whole application."""
        return tuple(self._own)

    def advance(self, phase: Phase, /) -> None:
        """Enter a phase of the application's life; its owner calls this.

        Raises:
            RuntimeError: The phase lies behind; there is no way back.
        """
        order = list(Phase)
        if order.index(phase) < order.index(self._phase):
            raise RuntimeError(f"health cannot go back from {self._phase.value} to {phase.value}")
        self._phase = phase
        self._publish()

    def add_check(
        self,
        name: str,
        check: CheckFunction,
        /,
        *,
        kind: Kind = Kind.READY,
        critical: bool = True,
        timeout: float = 5.0,
        ttl: float = 1.0,
        logged: bool = True,
    ) -> Callable[[], None]:
        """Add a check.

        It fails by raising or by returning ``False``. It may be ``async``, except for liveness;
        a plain function runs on the event loop and must not block
        (``kratos.offload.blocking`` makes an ``async`` one out of a function that does).

        Args:
            name: Unique in this table; shown by probes.
            check: Called without arguments.
            kind: Which question it answers.
            critical: Whether its failure fails the report; otherwise it is only shown.
            timeout: Seconds until a run counts as failed; positive.
            ttl: Seconds for which a result is kept, so that probes cannot burden what is checked.
            logged: Whether the log is told when it begins to fail, and when it passes again; not
                where what is checked logs that by itself.

        Returns:
            The way to remove it; calling it again does nothing.

        Raises:
            ConfigError: The name is empty or taken, a limit is wrong, or a check of liveness is
                ``async``.
        """
        if name in self._checks:
            raise ConfigError(f"there is a health check {name!r} already; use another name")
        added = Check(
            name,
            check,
            kind=kind,
            critical=critical,
            timeout=timeout,
            ttl=ttl,
            clock=self._clock,
        )
        self._checks[name] = added
        if not logged:
            self._silent.add(name)
        self._publish()

        def remove() -> None:
            if self._checks.get(name) is added:
                del self._checks[name]
                self._logged.pop(name, None)
                self._silent.discard(name)
                self._publish()

        return remove

    def set(self, service: str, status: Status, /) -> None:
        """Say by hand whether a service is to be called.

        Args:
            service: Full name, for example ``helloworld.Greeter``; empty for the whole
                application, for instance to take it out for maintenance.
            status: Its status, as long as the application is ready.
        """
        self._own[service] = status
        self._publish()

    def status(self, service: str = OVERALL) -> Status | None:
        """Return the status of a service; ``None`` if the name is unknown.

        No service is served by an application that is not ready.
        """
        own = self._own.get(service)
        if own is None or self.ready:
            return own
        return Status.NOT_SERVING

    async def report(self, kind: Kind) -> Report:
        """Answer a question, running those of its checks whose results are too old.

        Startup checks are not run again once the application has started.

        Cancellation: safe.
        """
        checks = [check for check in self._checks.values() if check.kind is kind]
        if kind is Kind.STARTUP and self._phase is not Phase.STARTING:
            results = [check.last for check in checks if check.last is not None]
        else:
            results = await self._run(checks)
        report = Report(kind=kind, ok=False, phase=self._phase, results=tuple(results))
        ok = {
            Kind.LIVE: not report.failed,
            Kind.READY: self.ready,
            Kind.STARTUP: self._phase is not Phase.STARTING,
        }[kind]
        return Report(kind=kind, ok=ok, phase=self._phase, results=report.results)

    def subscribe(self, service: str, listener: Listener, /) -> Callable[[], None]:
        """Call ``listener`` with the present status of a service and with each new one.

        It runs in the loop's thread and must not block; what it raises is logged. The status
        is ``None`` while the name is unknown. Failing checks are noticed when somebody asks for
        a report; ``monitor`` does.

        Returns:
            The way to stop listening; calling it again does nothing.
        """
        key = object()
        status = self.status(service)
        self._listeners[key] = (service, listener, [status])
        _call(listener, status)

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    async def monitor(self, interval: float, /) -> None:
        """Ask for readiness and liveness every ``interval`` seconds and at each ``refresh``.

        Cancellation: the normal end.
        """
        while True:
            self._refresh.clear()
            await self.report(Kind.READY)
            await self.report(Kind.LIVE)
            limit = Limit(self._clock, interval)
            try:
                async with limit:
                    await self._refresh.wait()
            except TimeoutError:
                continue

    def refresh(self) -> None:
        """Have ``monitor`` look at once, because something is known to have changed."""
        self._refresh.set()

    async def aclose(self) -> None:
        """End checks that are under way; idempotent."""
        await asyncio.gather(*(check.aclose() for check in self._checks.values()))

    async def _run(self, checks: Iterable[Check]) -> list[Result]:
        results = await asyncio.gather(*(check.result() for check in checks))
        for result in results:
            if result.name in self._silent:
                continue
            if self._logged.get(result.name, True) is not result.ok:
                self._logged[result.name] = result.ok  # by whichever of those who asked at once
                _log_change(result)
        self._publish()
        return results

    def _publish(self) -> None:
        for service, listener, told in tuple(self._listeners.values()):
            status = self.status(service)
            if told[0] is not status:
                told[0] = status
                _call(listener, status)


def _log_change(now: Result) -> None:
    if now.ok:
        _log.info("health check %s passes again", now.name)
    else:
        _log.warning("health check %s fails: %s", now.name, now.message)


def _call(listener: Listener, status: Status | None) -> None:
    try:
        listener(status)
    except (Exception, asyncio.CancelledError):  # no cancellation of ours: no await
        _log.exception("a listener of health failed")
