"""Tasks that begin at once, as those of Python 3.12 can."""

from __future__ import annotations

import sys
from asyncio import AbstractEventLoop, Task, current_task

# Private by name, and told to those who make tasks of their own (asyncio, Extending).
from asyncio.tasks import (
    _enter_task,  # pyright: ignore[reportPrivateUsage]
    _leave_task,  # pyright: ignore[reportPrivateUsage]
)
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final, Never, TypeAlias

__all__ = ["Starter"]

_NATIVE: Final = sys.version_info >= (3, 12)

_Step: TypeAlias = Callable[[], object]


class Starter:
    """Starts tasks on one loop without a turn of it.

    Before Python 3.12 a task has its loop call its first step soon. Here the loop gives that step
    away, by a ``call_soon`` of its own for as long as the task is made; it is one like all others
    from then on. A loop that has no place for that, or a factory of tasks, starts them as ever.

    What ends the process, as ``SystemExit``, ends the loop, and does not reach who starts the
    task: that is within a callback of a transport, and uvloop takes what comes out of one for a
    failure of the connection alone.

    Args:
        loop: The running loop.
        origin: What the contexts of tasks are copies of.
    """

    __slots__ = (
        "_attributes",
        "_call_soon",
        "_catching",
        "_context",
        "_held",
        "_loop",
        "_origin",
        "_steps",
        "_takes",
    )

    def __init__(self, loop: AbstractEventLoop, origin: Context) -> None:
        self._loop = loop
        self._origin = origin
        self._call_soon: Callable[..., Any] = loop.call_soon
        self._catching = self._catch
        self._context: Context | None = None
        self._steps: list[tuple[_Step, Context]] = []
        self._held = False
        self._attributes: dict[str, Any] = getattr(loop, "__dict__", {})
        self._takes = not _NATIVE and hasattr(loop, "__dict__")

    if sys.version_info >= (3, 12):

        def start(self, work: Coroutine[Any, Any, None]) -> Task[None]:
            """Return a task in a context of its own; it may be done already."""
            loop, context = self._loop, self._origin.copy()
            try:
                if loop.get_task_factory() is not None:
                    return loop.create_task(work, context=context)
                return Task(work, loop=loop, context=context, eager_start=True)
            except (KeyboardInterrupt, SystemExit) as error:
                return Task(_end(error), loop=loop, context=context)

    else:

        def start(self, work: Coroutine[Any, Any, None]) -> Task[None]:
            """Return a task in a context of its own; it may be done already."""
            context = self._origin.copy()
            if self._held:
                self._context = context
                return Task(work, loop=self._loop, context=context)
            if not self.hold():
                return self._loop.create_task(work, context=context)
            try:
                self._context = context
                return Task(work, loop=self._loop, context=context)
            finally:
                self.release()

    def hold(self) -> bool:
        """Let tasks begin when all are made: one kind of work at a time is quicker.

        ``release`` has to follow, before anything is awaited. Tells whether tasks are held; those
        of Python 3.12 begin at once.
        """
        attributes = self._attributes
        if (
            self._takes
            and not self._held
            and "call_soon" not in attributes  # of somebody else
            and self._loop.get_task_factory() is None
        ):
            self._held = True
            attributes["call_soon"] = self._catching
        return self._held

    def release(self) -> None:
        """Let the tasks begin that were made meanwhile."""
        if self._held:
            self._held = False
            del self._attributes["call_soon"]
        if self._steps:
            self._take_steps()

    def _catch(self, callback: _Step, *args: Any, context: Context | None = None) -> Any:
        """Stand for the loop's ``call_soon`` while a task is made."""
        if context is not None and context is self._context:
            self._context = None
            self._steps.append((callback, context))
            return None
        return self._call_soon(callback, *args, context=context)  # of what was collected meanwhile

    def _take_steps(self) -> None:
        """Take the first steps of tasks; another task may be in the middle of causing them."""
        loop = self._loop
        steps, self._steps = self._steps, []
        outer = current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        try:
            for step, context in steps:
                try:
                    context.run(step)
                except (KeyboardInterrupt, SystemExit) as error:
                    loop.call_soon(_raise, error)  # which ends the loop, and not a connection
        finally:
            if outer is not None:
                _enter_task(loop, outer)


def _raise(error: BaseException) -> Never:
    raise error


async def _end(error: BaseException) -> Never:
    raise error
