"""Tasks that belong to the application and to no call."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar

from kratos.app._waiting import unended
from kratos.clock import Clock
from kratos.log import Level, Logger
from kratos.transport.call import is_detached

__all__ = ["CANCEL_GRACE", "Spawned"]

T = TypeVar("T")

CANCEL_GRACE: Final = 5.0  # seconds that something cancelled gets to clean up


class Spawned:
    """Keeps tasks alive, notices their failures and ends them, newest first."""

    def __init__(self, *, log: Logger, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._tasks: dict[asyncio.Task[Any], bool] = {}
        self._context: Context | None = None

    def open(self, context: Context) -> None:
        """Accept tasks, each in a copy of ``context``."""
        self._context = context

    def spawn(
        self,
        work: Coroutine[Any, Any, T],
        *,
        name: str,
        finish: bool,
        context: Context | None,
    ) -> asyncio.Task[T]:
        """Start a task; see ``App.spawn``."""
        name = name or getattr(work, "__qualname__", type(work).__name__)
        if self._context is None:
            work.close()
            raise RuntimeError(f"{name} cannot be spawned: the application is not running")
        if context is None:
            context = copy_context() if is_detached() else self._context.copy()
        task = asyncio.get_running_loop().create_task(work, name=name, context=context)
        self._tasks[task] = finish
        task.add_done_callback(self._ended)
        return task

    async def aclose(self, timeout: float | None) -> None:
        """Wait for tasks that are to finish, then cancel the rest and tell which.

        Args:
            timeout: Seconds for those that are to finish; ``None`` for no limit.
        """
        finishing = [task for task, finish in self._tasks.items() if finish]
        await unended(finishing, clock=self._clock, timeout=timeout)
        self._context = None
        await self._cancel()

    async def _cancel(self) -> None:
        dropped = list(reversed(self._tasks))
        if not dropped:
            return
        self._log.log(Level.INFO, "spawned tasks are cancelled", {"tasks": _names(dropped)})
        cancelling = asyncio.create_task(_cancel_in_turn(dropped))
        if await unended([cancelling], clock=self._clock, timeout=CANCEL_GRACE):
            cancelling.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.wait({cancelling})
        if self._tasks:
            self._log.log(
                Level.ERROR,
                "spawned tasks ignore their cancellation and are left behind",
                {"tasks": _names(self._tasks)},
            )

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        error = _failure(task)
        if error is not None:
            self._log.log(
                Level.ERROR, "a spawned task failed", {"task": task.get_name(), "error": error}
            )


def _failure(task: asyncio.Task[Any]) -> BaseException | None:
    """Return what a task failed with; ``None`` for one that somebody cancelled."""
    if not task.cancelled():
        return task.exception()
    # Else something that it awaited was cancelled, which is a failure as any other.
    return None if task.cancelling() else asyncio.CancelledError()


async def _cancel_in_turn(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:  # a task may need those that are older
        task.cancel()
        await asyncio.wait({task})


def _names(tasks: Iterable[asyncio.Task[Any]]) -> str:
    return ", ".join(task.get_name() for task in tasks)
