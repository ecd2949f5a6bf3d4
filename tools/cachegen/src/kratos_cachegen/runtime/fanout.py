"""Work that nobody waits for: a bounded queue, and a few tasks that take from it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeAlias

__all__ = ["Fanout", "Job"]

Job: TypeAlias = Callable[[], Awaitable[None]]
"""Does something, and raises nothing."""


class Fanout:
    """Runs jobs in the order in which they come, some at the same time.

    Its tasks live while there is work. They have no context variables of whoever brings it: a
    job belongs to no call, and knows no deadline.

    Args:
        workers: Most jobs at the same time.
        capacity: Most jobs that wait.
    """

    __slots__ = ("_capacity", "_closed", "_jobs", "_tasks", "_workers")

    def __init__(self, *, workers: int, capacity: int) -> None:
        self._workers = workers
        self._capacity = capacity
        self._jobs: deque[tuple[Job, Callable[[], None]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job, dropped: Callable[[], None]) -> bool:
        """Take a job, and tell whether it was taken; it is not if there is no room.

        Args:
            job: What to do.
            dropped: Called if it was taken, and is not even begun when all ends.
        """
        if self._closed or len(self._jobs) >= self._capacity:
            return False
        self._jobs.append((job, dropped))
        if len(self._tasks) < self._workers:
            self._start()
        return True

    async def drain(self) -> None:
        """Wait until nothing is left to do."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def aclose(self, patience: float) -> int:
        """Take no more jobs, let those that are there end, and return how many were cut off.

        Args:
            patience: Seconds to wait for them.
        """
        self._closed = True
        tasks = tuple(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        while self._jobs:
            _, dropped = self._jobs.popleft()
            dropped()
        late = tuple(self._tasks)
        for task in late:
            task.cancel()
        await self.drain()
        return len(late)

    def _start(self) -> None:
        task = asyncio.get_running_loop().create_task(self._work(), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._jobs and not self._closed:  # a job was cancelled, and its worker with it
            self._start()

    async def _work(self) -> None:
        while self._jobs:
            job, _ = self._jobs.popleft()
            await job()
