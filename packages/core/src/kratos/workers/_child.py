"""A worker process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

from kratos.clock import Clock
from kratos.errors import KratosError
from kratos.limit import cancel_and_wait, describe
from kratos.workers._channel import Channel
from kratos.workers._messages import (
    LARGEST,
    Configured,
    Failed,
    Finish,
    Leaving,
    Measured,
    Message,
    Published,
    Ready,
    Report,
    Setup,
    Stop,
)

__all__ = ["Child", "ChildProcess", "Heard", "start"]

_MOST_AT_START: Final = 16 * LARGEST  # bytes unread
_LAST_WORDS: Final = 1.0  # seconds in which what a dead worker said is still read


class Child(Protocol):
    """A worker, from its start to its end.

    Attributes:
        pid: Process id.
        ready_at: Clock time at which it was ready; ``None`` before.
        report: Its newest health; ``None`` before the first.
        failure: Why it ended, if it told.
        code: Exit code, negative for a signal; ``None`` while it lives.
    """

    pid: int
    ready_at: float | None
    report: Report | None
    failure: Failed | None
    code: int | None

    async def settled(self) -> None:
        """Return when it is ready or has ended."""
        ...

    async def leaving(self) -> None:
        """Return when it is about to stop accepting, or has ended."""
        ...

    async def ended(self) -> None:
        """Return when the process has ended and was reaped."""
        ...

    def send(self, message: Message, /) -> None:
        """Tell it something; one that takes nothing any more is ended."""
        ...

    def stop(self) -> None:
        """Ask it to be no longer ready."""
        ...

    def finish(self) -> None:
        """Ask it to finish what is in flight, and to end."""
        ...

    def kill(self) -> None:
        """End it at once; nothing happens if it has ended."""
        ...


Heard: TypeAlias = "Callable[[Child, Configured | Measured | Published], None]"


class ChildProcess:
    """A ``Child`` that is a process; made by ``start``.

    Args:
        process: The process.
        channel: Our end of the channel to it.
        clock: Time for ``ready_at``.
        changed: Called when there is news of it.
        heard: Called with what it says to others.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        channel: Channel,
        *,
        clock: Clock,
        changed: Callable[[], None],
        heard: Heard,
    ) -> None:
        self.pid = process.pid
        self.ready_at: float | None = None
        self.report: Report | None = None
        self.failure: Failed | None = None
        self.code: int | None = None
        self._process = process
        self._channel = channel
        self._clock = clock
        self._changed = changed
        self._heard = heard
        self._asked = False
        self._settled = asyncio.Event()
        self._leaving = asyncio.Event()
        self._exited = asyncio.Event()
        self._ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        # Not by SIGCHLD: there is one handler in a process, and it may be somebody else's.
        waiting = threading.Thread(
            target=self._wait, args=(loop,), name=f"kratos-wait-{self.pid}", daemon=True
        )
        waiting.start()
        self._living = asyncio.create_task(self._live(), name=f"kratos-worker-{self.pid}")

    async def settled(self) -> None:
        """Return when it is ready or has ended."""
        await self._settled.wait()

    async def leaving(self) -> None:
        """Return when it is about to stop accepting, or has ended."""
        await self._leaving.wait()

    async def ended(self) -> None:
        """Return when the process has ended and was reaped."""
        await self._ended.wait()

    def send(self, message: Message, /) -> None:
        """Tell it something; one that takes nothing any more is ended."""
        # While it imports its modules it reads nothing, and what is kept comes all at once.
        most = _MOST_AT_START if self.ready_at is None else LARGEST
        if self._channel.unread > most and self.code is None:
            self.failure = Failed(reason=f"it has left {self._channel.unread} bytes unread")
            self.kill()
        else:
            self._channel.send(message)

    def stop(self) -> None:
        """Ask it to be no longer ready."""
        self._asked = True
        self._channel.send(Stop())

    def finish(self) -> None:
        """Ask it to finish what is in flight, and to end."""
        self.stop()
        self._channel.send(Finish())

    def kill(self) -> None:
        """End it at once; nothing happens if it has ended."""
        if self.code is None:
            self._process.send_signal(signal.SIGKILL)

    async def _live(self) -> None:
        listening = asyncio.create_task(self._listen())
        await self._exited.wait()
        await asyncio.wait({listening}, timeout=_LAST_WORDS)
        await cancel_and_wait(listening)
        self._channel.close()
        self.code = self._process.returncode
        for event in (self._settled, self._leaving, self._ended):
            event.set()
        self._changed()

    async def _listen(self) -> None:
        try:
            async for message in self._channel.messages():
                self._take(message)
        except KratosError as error:
            self.failure = Failed(reason=describe(error))
            self.kill()

    def _take(self, message: Message) -> None:
        match message:
            case Ready():
                self.ready_at = self._clock.time()
                self._settled.set()
            case Report():
                self.report = message
            case Failed():
                self.failure = message
            case Configured() | Measured() | Published():
                self._heard(self, message)
                return
            case Leaving():
                self._leaving.set()
                if not self._asked:  # it stops of its own accord, and has nothing to wait for
                    self.finish()
            case _:
                return
        self._changed()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._process.wait()
        with suppress(RuntimeError):  # the loop is closed, so nobody wants to know
            loop.call_soon_threadsafe(self._exited.set)


async def start(
    target: str,
    setup: Setup,
    sockets: Sequence[socket.socket],
    *,
    clock: Clock,
    changed: Callable[[], None],
    heard: Heard,
) -> ChildProcess:
    """Start a worker by exec: nothing of this process but some descriptors goes into it.

    Args:
        target: What it is to build.
        setup: What it is told first.
        sockets: What it inherits, under the same descriptors.
        clock: Time for ``ready_at``.
        changed: Called when there is news of it.
        heard: Called with what it says to others.

    Raises:
        OSError: The system has no room for a further process.
    """
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    try:
        with theirs:
            await channel.open()
            # Nothing waits from here on, so no cancellation can lose track of the process.
            process = subprocess.Popen(  # noqa: ASYNC220  it takes a millisecond
                [
                    # -P: what lies in the current folder must not take the place of modules.
                    *(sys.executable, *_interpreter_flags(), "-P", "-m", "kratos.worker"),
                    *("--channel", str(theirs.fileno()), target),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *(sock.fileno() for sock in sockets)),
            )
    except BaseException:
        channel.close()
        raise
    channel.send(setup)
    return ChildProcess(process, channel, clock=clock, changed=changed, heard=heard)


def _interpreter_flags() -> Sequence[str]:
    """Return options such as ``-O`` and ``-X dev``, so that workers run as this process does."""
    # As multiprocessing does for processes that it spawns; the name is not in the type stubs.
    flags: Callable[[], list[str]] = getattr(subprocess, "_args_from_interpreter_flags", list)
    return flags()
