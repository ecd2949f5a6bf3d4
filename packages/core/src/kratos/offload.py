"""Blocking code next to asyncio: a bounded set of threads and the rules of using it.

The rule: what may block for more than a millisecond does not run on the event loop. Await it
through ``offload(function, ...)``, or make it ``async`` for good with ``@blocking``.

* Context variables are copied once, before the hop: the thread sees those of the caller, and
  what it sets stays in the thread.
* At most ``threads`` functions run at a time. Further callers wait, at most ``queue`` of them;
  the next one is refused with 503 ``OFFLOAD_FULL``, which beats a turn that comes too late.
* A thread cannot be interrupted. Cancelling a caller ends its ``await`` at once; a function
  that has begun runs on, keeps its place among ``threads`` until it ends, and its result is
  dropped (an exception is logged). ``Offload.abandoned`` counts them.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.limit import Limit

__all__ = ["Offload", "blocking", "offload"]

P = ParamSpec("P")
T = TypeVar("T")

_ENDING: Final = 1.0  # seconds for an idle thread to end

_log = logging.getLogger("kratos.offload")


class Offload:
    """A bounded set of threads for functions that block.

    Threads start when they are needed and end with ``aclose``. They are daemons: a function
    that never returns cannot keep the process alive. One event loop at a time.

    Args:
        threads: How many functions run at a time.
        queue: How many callers may wait for their turn.
        name: Prefix of the threads' names.
        clock: Time for ``aclose``.

    Raises:
        ConfigError: A bound is too small.
    """

    def __init__(
        self,
        *,
        threads: int = 32,
        queue: int = 256,
        name: str = "kratos-offload",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if threads < 1 or queue < 0:
            raise ConfigError(f"threads={threads} must be at least 1 and queue={queue} at least 0")
        self._threads = threads
        self._queue = queue
        self._name = name
        self._clock = clock
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._started: list[threading.Thread] = []
        self._running: set[_Job[Any]] = set()
        self._places = asyncio.Semaphore(threads)
        self._waiting = 0
        self._idle = asyncio.Event()
        self._closed = False

    @property
    def running(self) -> int:
        """How many functions are running, abandoned ones included."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many callers wait for their turn."""
        return self._waiting

    @property
    def abandoned(self) -> int:
        """How many of the running functions have lost their caller."""
        return sum(job.future.cancelled() for job in self._running)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in a thread and return what it returns.

        Raises:
            Error: 503 ``OFFLOAD_FULL``: too many callers wait already.
            RuntimeError: This was closed, or the function raised ``StopIteration`` or
                ``CancelledError``, which have a meaning of their own in ``await``.
            BaseException: Whatever else the function raises.

        Cancellation: ends the wait at once. A function that has not begun will not; one that
        has runs on and its result is dropped.
        """
        context = copy_context()
        await self._take_place()
        job = _Job(self, context, functools.partial(function, *args, **kwargs))
        self._running.add(job)
        self._jobs.put(job)
        if len(self._started) < len(self._running):
            self._start_thread()
        return await job.future

    async def aclose(self, *, timeout: float | None = 5.0) -> None:
        """Refuse new functions, fail those that wait, and wait for those that run; idempotent.

        Args:
            timeout: Seconds to wait; what still runs then is logged and left behind.
        """
        if not self._closed:
            self._closed = True
            for _ in range(self._waiting):
                self._places.release()  # wakes a caller, who finds this closed
            for _ in self._started:
                self._jobs.put(None)
        if self._running:
            self._idle.clear()
            limit = Limit(self._clock, timeout)
            try:
                async with limit:
                    await self._idle.wait()
            except TimeoutError:
                for job in self._running:
                    _log.error("%s still blocks its thread and is left behind", job.name)
                return
        for thread in self._started:
            thread.join(_ENDING)  # nothing is left to do for it, so that is at once

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _take_place(self) -> None:
        """Wait for a place among the threads, in the order of arrival."""
        if self._places.locked() and self._waiting >= self._queue and not self._closed:
            raise Error(
                503,
                "OFFLOAD_FULL",
                f"{self._threads} blocking functions run and {self._queue} callers wait",
            )
        self._waiting += 1
        try:
            if not self._closed:
                await self._places.acquire()
        finally:
            self._waiting -= 1
        if self._closed:
            raise RuntimeError(f"{self._name} is closed")

    def left(self, job: _Job[Any]) -> None:
        """Note that a function has ended (for jobs; on the event loop)."""
        self._running.discard(job)
        self._places.release()
        if not self._running:
            self._idle.set()

    def _start_thread(self) -> None:
        thread = threading.Thread(
            target=_work,
            args=(self._jobs,),
            name=f"{self._name}-{len(self._started) + 1}",
            daemon=True,
        )
        self._started.append(thread)
        thread.start()


class _Job(Generic[T]):
    """One function on its way through a thread."""

    def __init__(self, pool: Offload, context: Context, function: functools.partial[T]) -> None:
        self._pool = pool
        self._context = context
        self._function = function
        self._loop = asyncio.get_running_loop()
        self.name: str = getattr(function.func, "__qualname__", repr(function.func))
        self.future: asyncio.Future[T] = self._loop.create_future()

    def run(self) -> None:
        """Run it, in the thread."""
        try:
            deliver = functools.partial(self._succeed, self._context.run(self._function))
        except BaseException as error:
            deliver = functools.partial(self._fail, error)
        try:
            self._loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            _log.warning("the event loop closed before %s ended; its result is lost", self.name)

    def _succeed(self, result: T) -> None:
        self._pool.left(self)
        if not self.future.cancelled():
            self.future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        self._pool.left(self)
        if self.future.cancelled():
            _log.error("%s failed after its caller had gone", self.name, exc_info=error)
            return
        if isinstance(error, StopIteration | asyncio.CancelledError):
            wrapped = RuntimeError(f"{self.name} raised {type(error).__name__}")
            wrapped.__cause__ = error
            error = wrapped
        self.future.set_exception(error)


def _work(jobs: SimpleQueue[_Job[Any] | None]) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # an idle thread keeps no result alive


# Set by an application for all that runs in it.
CURRENT: Final[ContextVar[Offload | None]] = ContextVar("kratos.offload", default=None)


async def offload(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread of the application; see ``Offload.run``.

    Outside of an application it runs in the event loop's own executor.

    Raises:
        Error: 503 ``OFFLOAD_FULL``: too many callers wait already.
        BaseException: Whatever the function raises.

    Cancellation: as ``Offload.run``.
    """
    pool = CURRENT.get()
    if pool is None:
        return await asyncio.to_thread(function, *args, **kwargs)
    return await pool.run(function, *args, **kwargs)


def blocking(function: Callable[P, T], /) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make an ``async`` function out of one that blocks, for instance a service's method.

    The decorated function or method runs through ``offload`` each time it is awaited.
    """

    @functools.wraps(function)
    async def offloaded(*args: P.args, **kwargs: P.kwargs) -> T:
        return await offload(function, *args, **kwargs)

    return offloaded
