"""One slot of a supervisor: it has a worker, and gets another one when that ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from kratos.app._interrupt import Interruptible
from kratos.clock import Clock
from kratos.errors import KratosError, StartupError
from kratos.limit import Limit, describe
from kratos.log import Level, Logger
from kratos.workers._child import Child
from kratos.workers._restarts import Restarts, Verdict

__all__ = ["Slot", "SlotLimits"]

_LINGER: Final = 1.0  # seconds in which clients of a replaced worker hear that it is leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotLimits:
    """How long things may take, in seconds; ``None`` for no limit.

    Attributes:
        start: From the start of a process until it is ready.
        stop: From the order to finish until the end of the process.
    """

    start: float | None
    stop: float | None


class Slot:
    """Keeps one worker running.

    Args:
        number: Its number, from 0.
        launch: Starts a process, with the sockets of this slot.
        release: Closes these sockets; ``launch`` makes them again.
        restarts: When the next worker starts.
        limits: How long things may take.
        changed: Called with whether the slot serves, at each change.
        clock: Time for all waits.
        log: Where its lines go.

    Attributes:
        children: Its processes: mostly one, two while one replaces the other.
        current: The one that serves; ``None`` if there is none.
    """

    def __init__(
        self,
        number: int,
        *,
        launch: Callable[[], Awaitable[Child]],
        release: Callable[[], None],
        restarts: Restarts,
        limits: SlotLimits,
        changed: Callable[[bool], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self.children: set[Child] = set()
        self.current: Child | None = None
        self._number = number
        self._launch = launch
        self._release = release
        self._restarts = restarts
        self._limits = limits
        self._changed = changed
        self._clock = clock
        self._log = log
        self._turn = asyncio.Lock()  # of whoever starts a process
        self._launching = asyncio.Lock()  # held while one is made that nobody knows of yet
        self._pausing = Interruptible()
        self._retired = asyncio.Event()

    async def run(self) -> None:
        """Keep a worker running until ``retire``.

        Raises:
            StartupError: The first worker refused to start.
            KratosError: The first worker could not start.

        Cancellation: leaves its processes to ``children``.
        """
        began = False
        while not self._retired.is_set():
            try:
                worker = await self._obtain()
            except KratosError as error:
                if self._retired.is_set():
                    return
                if not began:
                    raise
                self._log.log(Level.ERROR, str(error))
                served = None
            else:
                began = True
                served = await self._watch(worker)
            if not self._retired.is_set():
                await self._pause(self._restarts.ended(served))

    async def replace(self) -> None:
        """Start another worker, and when it is ready let the present one finish and end.

        Raises:
            KratosError: The new one could not start; the present one goes on.

        Cancellation: the one that was not needed is left in ``children``.
        """
        async with self._turn:
            if self._retired.is_set():
                return
            before = self.current
            self._put(await self._start())
        self._pausing.interrupt()
        if before is not None:
            await self.dismiss(before)

    async def dismiss(self, child: Child) -> None:
        """Let a worker finish, within its time, and return when it has ended.

        Cancellation: leaves it to ``children``.
        """
        child.stop()
        try:
            with suppress(TimeoutError):
                async with Limit(self._clock, _LINGER):
                    await child.ended()
            child.finish()
            async with Limit(self._clock, self._limits.stop):
                await child.ended()
        except TimeoutError:
            self._tell(Level.WARN, "a worker did not end in time and is killed", child)
            child.kill()
        await child.ended()
        self.children.discard(child)

    async def retire(self) -> None:
        """Start nothing any more; what was begun is among ``children`` then. Idempotent."""
        self._retired.set()
        self._pausing.interrupt()
        async with self._launching:
            return

    async def _obtain(self) -> Child:
        async with self._turn:  # somebody may be about to replace the one that has ended
            if self.current is None:
                self._put(await self._start())
            assert self.current is not None, "put there"
            return self.current

    async def _start(self) -> Child:
        """Return a new worker that is ready.

        Raises:
            StartupError: It refused to start.
            KratosError: It could not start, or not in time.
        """
        name = f"worker {self._number}"
        async with self._launching:
            if self._retired.is_set():
                raise KratosError(f"{name} is not started, because the application stops")
            try:
                child = await self._launch()
            except (OSError, StartupError) as error:
                raise KratosError(f"{name} could not start: {describe(error)}") from error
            self.children.add(child)
        try:
            async with Limit(self._clock, self._limits.start):
                await child.settled()
        except TimeoutError:
            child.kill()
            await child.ended()
            self.children.discard(child)
            raise KratosError(f"{name} was not ready within {self._limits.start} s") from None
        if child.code is None:
            return child
        self.children.discard(child)
        told = child.failure
        kind = StartupError if told is not None and told.refused else KratosError
        raise kind(f"{name} could not start: {_end_of(child)}")

    def _put(self, child: Child) -> None:
        self.current = child
        self._tell(Level.INFO, "worker serves", child)
        self._changed(True)

    async def _watch(self, worker: Child) -> float:
        """Return for how long the slot's last worker had served when it ended by itself."""
        while True:
            await worker.ended()
            self.children.discard(worker)
            if self.current is worker:
                break
            assert self.current is not None, "only the end of the present one empties the slot"
            worker = self.current
        self.current = None
        if not self._retired.is_set():
            self._tell(Level.ERROR, f"worker ended by itself: {_end_of(worker)}", worker)
        self._changed(False)
        assert worker.ready_at is not None, "it served"
        return self._clock.time() - worker.ready_at

    async def _pause(self, verdict: Verdict) -> None:
        if verdict.close:
            self._release()
        if verdict.delay:
            self._log.log(
                Level.WARN,
                "a worker will be started again",
                {"worker": self._number, "in": round(verdict.delay, 2)},
            )
        self._pausing = Interruptible()
        async with self._pausing:
            await self._clock.sleep(verdict.delay)

    def _tell(self, level: Level, event: str, child: Child) -> None:
        self._log.log(level, event, {"worker": self._number, "pid": child.pid})


def _end_of(child: Child) -> str:
    if child.failure is not None:
        return child.failure.reason
    code = child.code or 0
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
